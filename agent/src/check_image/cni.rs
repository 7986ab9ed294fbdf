//! The CNI plugins. nkd leaves their directory to the runtime, which looks in `/opt/cni/bin`; nkd's
//! configuration of iSulad names it as well. Network add-ons install further plugins there.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;

const DIRECTORY: &str = "/opt/cni/bin";
/// Where packages of distributions install the plugins. CRI-O also looks in the first one.
const OTHERS: [&str; 3] = ["/usr/libexec/cni", "/usr/lib/cni", "/usr/lib64/cni"];

pub(super) fn check(image: &Image, report: &mut Report) {
    let tree = &image.tree;
    let place = tree.resolve(DIRECTORY);
    if place == "/usr" || place.starts_with("/usr/") {
        let message = format!(
            "{DIRECTORY} is {place}: network add-ons cannot write there if /usr is read-only"
        );
        let help = "make /opt a link to var/opt, and link the single plugins as docs/network-addons.md describes";
        read_only(image, report, message, help);
        return;
    }
    if tree.is_ostree() && !place.starts_with("/var/") && tree.exists("/opt") {
        let message =
            format!("{DIRECTORY} is not writable: /opt is a directory, not a link to /var/opt");
        let help = "make /opt a link to var/opt, as in Fedora CoreOS and NestOS";
        // While rpm-ostree composes an image, the link may not have been made yet.
        let is_composed = tree.exists("/sysroot/ostree");
        if !is_composed {
            report.warning(Cause::ReadyNoNetwork, message, help);
        } else if !image.is_booted || image.is_read_only(&place) {
            report.error(Cause::ReadyNoNetwork, message, help);
        }
        return;
    }
    let plugins = tree.names(DIRECTORY);
    if tree.is_ostree() && !image.is_booted && !plugins.is_empty() {
        let message = format!(
            "the image has plugins in {place}, but OSTree does not update /var: nodes do not have these files"
        );
        let help = "install the plugins into /usr/libexec/cni, and link them into /opt/cni/bin as docs/network-addons.md describes";
        report.error(Cause::ReadyNoNetwork, message, help);
        return;
    }
    if plugins.iter().any(|name| name == "loopback") {
        return;
    }
    let elsewhere = OTHERS
        .into_iter()
        .find(|directory| tree.exists(&format!("{directory}/loopback")));
    match elsewhere {
        Some(directory) => report.warning(
            Cause::ReadyNoNetwork,
            format!("the CNI plugins are in {directory}, but containerd looks for them in {DIRECTORY}"),
            "link the plugins with a Butane file, as docs/network-addons.md describes, unless the network add-on brings them",
        ),
        None => report.warning(
            Cause::ReadyNoNetwork,
            "the image has no CNI plugins",
            "install containernetworking-plugins, unless the network add-on brings all plugins that it needs",
        ),
    }
}

/// Reports a directory in `/usr`, which is certainly read-only in images of `OSTree`.
fn read_only(image: &Image, report: &mut Report, message: String, help: &str) {
    if image.tree.is_ostree() {
        report.error(Cause::ReadyNoNetwork, message, help);
    } else {
        report.warning(Cause::ReadyNoNetwork, message, help);
    }
}
