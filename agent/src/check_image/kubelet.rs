//! kubelet, which systemd starts. nkd's Ignition config contains the unit and the drop-in `10-kubeadm.conf`, so
//! the image needs neither.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;
use super::units;

/// The path in the unit that nkd writes.
const PROGRAM: &str = "/usr/bin/kubelet";
const UNIT: &str = "kubelet.service";
/// The drop-in that nkd writes.
const DROP_IN: &str = "10-kubeadm.conf";

pub(super) fn check(image: &Image, report: &mut Report) {
    let tree = &image.tree;
    if !tree.is_executable(PROGRAM) {
        let help =
            format!("install kubelet as {PROGRAM}: the unit that nkd writes starts this path");
        let message = match tree.program("kubelet") {
            Some(path) => format!("kubelet is {path}, not {PROGRAM}"),
            None => format!("the image has no {PROGRAM}"),
        };
        report.error(Cause::HostProgram, message, help);
    }
    for (path, text) in units::drop_ins(tree, UNIT) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_later = name > DROP_IN;
        if is_later && text.lines().any(|line| line.starts_with("ExecStart=")) {
            let message = format!(
                "{path} sets ExecStart=, and systemd reads it after {DROP_IN} of nkd: kubelet runs without nkd's arguments"
            );
            let help = format!("remove the file, or give it a name that sorts before {DROP_IN}");
            report.warning(Cause::KubeadmTimeout, message, help);
        }
    }
}
