//! The version of cgroups, which the kernel's command line and systemd determine at boot.

use nkd_contract::Cause;

use super::image::Image;
use super::report::{Report, Severity};

/// A file that only the unified hierarchy has at its root (cgroups(7)).
const VERSION_2: &str = "/sys/fs/cgroup/cgroup.controllers";
/// The argument of the kernel that makes systemd use cgroups v1 (systemd(1)).
const VERSION_1: [&str; 2] = [
    "systemd.unified_cgroup_hierarchy=0",
    "systemd.unified_cgroup_hierarchy=no",
];
/// The first kubelet that refuses cgroups v1 by default.
const REFUSING: u32 = 35;

const HELP: &str = "use the kernel argument `systemd.unified_cgroup_hierarchy=1`, or set `failCgroupV1: false` in a KubeletConfiguration";

pub(super) fn check(image: &Image, report: &mut Report) {
    let refuses = match &image.plan {
        Some(plan) => !plan.machine.cgroups.is_empty() && !plan.machine.cgroups.contains(&1),
        None => image.minor().is_some_and(|minor| minor >= REFUSING),
    };
    if image.is_booted {
        if refuses && !image.tree.exists(VERSION_2) {
            let message = "this machine uses cgroups v1, which this version of kubelet refuses";
            report.error(Cause::HostCgroups, message, HELP);
        }
        return;
    }
    let severity = if refuses {
        Severity::Error
    } else {
        Severity::Warning
    };
    for path in command_lines(image) {
        let text = image.tree.read(&path);
        if let Some(argument) = VERSION_1.iter().find(|argument| text.contains(**argument)) {
            let message = format!(
                "{path} has the kernel argument {argument}, and kubelet 1.{REFUSING} and later refuses cgroups v1"
            );
            report.add(severity, Some(Cause::HostCgroups), message, HELP);
        }
    }
}

/// The files of an image with arguments of the kernel: those of bootc, of kernel-install and of GRUB.
fn command_lines(image: &Image) -> Vec<String> {
    let directory = "/usr/lib/bootc/kargs.d";
    let names = image.tree.names(directory).into_iter();
    let drop_ins = names.map(|name| format!("{directory}/{name}"));
    let files = [
        "/etc/kernel/cmdline",
        "/usr/lib/kernel/cmdline",
        "/etc/default/grub",
    ];
    drop_ins.chain(files.map(str::to_owned)).collect()
}
