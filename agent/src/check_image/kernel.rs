//! Kernel modules.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;
use crate::requirements::{MODULES, USEFUL_MODULES};

/// Where an image has the modules of its kernels, with one directory for each.
const DIRECTORY: &str = "/usr/lib/modules";

/// Where kubeadm looks for the configuration of the running kernel, before the name of the kernel and after it.
const CONFIGS: [(&str, &str); 7] = [
    ("/boot/config-", ""),
    ("/usr/src/linux-", "/.config"),
    ("/usr/lib/modules/", "/config"),
    ("/usr/lib/ostree-boot/config-", ""),
    ("/usr/lib/kernel/config-", ""),
    ("/usr/src/linux-headers-", "/.config"),
    ("/usr/lib/modules/", "/build/.config"),
];
/// The part of a kernel, or the module, that has the configuration in itself (`CONFIG_IKCONFIG`).
const OWN_CONFIG: &str = "configs";

pub(super) fn check(image: &Image, report: &mut Report) {
    let kernels = image.tree.names(DIRECTORY).into_iter();
    let lists = kernels.filter_map(|kernel| Some((modules(image, &kernel)?, kernel)));
    let lists: Vec<_> = lists.collect();
    if lists.is_empty() {
        report.not_checked(
            format!("the kernel, because the image has none in {DIRECTORY}"),
            "check the image to which this one is added",
        );
    }
    for (modules, kernel) in &lists {
        let has = |name: &str| modules.iter().any(|module| module == name);
        for module in &MODULES {
            if !has(module.name) {
                report.error(
                    Cause::HostKernel,
                    format!("the kernel {kernel} lacks the module {}", module.name),
                    "install the package with all modules of the kernel, such as kernel-modules or kernel-modules-extra",
                );
            }
        }
        for (name, purpose) in USEFUL_MODULES {
            if !has(name) {
                let message = format!("the kernel {kernel} lacks the module {name}: {purpose}");
                let help = "install the package with all modules of the kernel, unless the cluster does not need this one";
                report.warning(Cause::HostKernel, message, help);
            }
        }
        let is_config = |(start, end)| image.tree.exists(&format!("{start}{kernel}{end}"));
        if !has(OWN_CONFIG) && !CONFIGS.into_iter().any(is_config) {
            report.warning(
                Cause::KubeadmPreflight,
                format!(
                    "the configuration of the kernel {kernel} is missing, and kubeadm verifies it"
                ),
                format!(
                    "put it into {DIRECTORY}/{kernel}/config, unless machines have it in /boot"
                ),
            );
        }
    }
}

/// The names of all modules of a kernel, or `None` if a directory is not that of a kernel.
fn modules(image: &Image, kernel: &str) -> Option<Vec<String>> {
    let read = |name: &str| image.tree.read(&format!("{DIRECTORY}/{kernel}/{name}"));
    let (built_in, loadable) = (read("modules.builtin"), read("modules.dep"));
    if built_in.is_empty() && loadable.is_empty() {
        return None;
    }
    // kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz
    let lines = built_in.lines().chain(loadable.lines());
    let name = |line: &str| {
        let path = line.split(':').next()?;
        let (_, file) = path.rsplit_once('/')?;
        let (name, _) = file.split_once(".ko")?;
        Some(name.replace('-', "_"))
    };
    Some(lines.filter_map(name).collect())
}
