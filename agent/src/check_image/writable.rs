//! The places to which the agent, kubeadm, kubelet and the runtime write.

use nkd_contract::{Cause, Runtime};

use super::image::Image;
use super::report::Report;

/// Directories, each with the cause if it cannot be written to. The directory for volume plugins, which is
/// in /usr by default, is not one of them, because nkd sets another one below /var/lib/kubelet.
const DIRECTORIES: [(&str, Cause); 7] = [
    ("/etc/kubernetes", Cause::KubeadmFailed),
    ("/etc/cni/net.d", Cause::ReadyNoNetwork),
    ("/etc/nkd", Cause::PlanMissing),
    ("/var/lib/etcd", Cause::KubeadmControlPlane),
    ("/var/lib/kubelet", Cause::KubeadmFailed),
    ("/var/lib/nkd", Cause::AgentState),
    ("/var/log/pods", Cause::KubeadmTimeout),
];

pub(super) fn check(image: &Image, report: &mut Report) {
    for (directory, cause) in DIRECTORIES {
        place(image, directory, cause, report);
    }
    let store = image.plan.as_ref().map(|plan| plan.runtime.store());
    let store = store.unwrap_or(Runtime::Containerd.store());
    place(image, store, Cause::RuntimeStart, report);
}

fn place(image: &Image, directory: &str, cause: Cause, report: &mut Report) {
    let resolved = image.tree.resolve(directory);
    let is_link = if resolved == directory {
        String::new()
    } else {
        format!(" is {resolved}, which")
    };
    let (problem, help) = if resolved == "/usr" || resolved.starts_with("/usr/") {
        let help = "replace the link with a directory, or have it lead into /var";
        ("is read-only on a machine", help)
    } else if let Some(file) = file_on_the_way(image, &resolved) {
        report.error(
            cause,
            format!("{directory} cannot be a directory: {file} is a file"),
            format!("remove {file} from the image"),
        );
        return;
    } else if image.is_booted && image.is_read_only(&resolved) {
        (
            "is on a read-only file system",
            "mount the file system writable",
        )
    } else {
        return;
    };
    report.error(cause, format!("{directory}{is_link} {problem}"), help);
}

/// The first part of a path that exists and is no directory.
fn file_on_the_way(image: &Image, path: &str) -> Option<String> {
    let ends = path.char_indices().skip(1);
    let ends = ends.filter_map(|(at, character)| (character == '/').then_some(at));
    let mut parts = ends.chain([path.len()]).filter_map(|end| path.get(..end));
    let file = parts.find(|part| image.tree.exists(part) && !image.tree.is_directory(part));
    file.map(str::to_owned)
}
