//! `extraVolumes` of the components of the control plane.

use std::collections::HashSet;

use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics};

/// The components that have `extraVolumes`.
const COMPONENTS: [&str; 3] = ["apiServer", "controllerManager", "scheduler"];
/// Directories that kubeadm always mounts into the first two of them (kubeadm, `getHostPathVolumesForTheControlPlane`).
const MOUNTED: [&str; 2] = ["/etc/kubernetes/pki", "/etc/ssl/certs"];

/// Reports volumes with which the static pod would not start, or of which kubeadm would use only the last.
pub(super) fn check(document: &Node, to: &mut Diagnostics) {
    for component in COMPONENTS {
        let volumes = document
            .get(component)
            .and_then(|component| component.get("extraVolumes"));
        let (mut names, mut mounts) = (HashSet::new(), HashSet::new());
        for volume in volumes.map(Node::items).unwrap_or_default() {
            let text = |key: &str| volume.get(key).and_then(Node::as_text).unwrap_or_default();
            let span = |key: &str| volume.get(key).map_or(volume.span, |node| node.span);
            let mut refuse = |key: &str, message: String, help: &str| {
                to.report_with_help(Code::OverlayVolume, span(key), message, help);
            };
            let name = text("name");
            if !is_label(name) {
                let message = format!("`{name}` is not a valid name for a volume");
                refuse("name", message, "use lower-case letters, digits and `-`");
            } else if !names.insert(name) {
                let message = format!("another volume of {component} also has the name `{name}`");
                refuse("name", message, "give each volume a different name");
            }
            for key in ["hostPath", "mountPath"] {
                let path = text(key);
                if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    let message = format!("`{path}` is not an absolute path");
                    let help = "write a path that begins with `/` and does not contain `..`";
                    refuse(key, message, help);
                }
            }
            let mount = text("mountPath").trim_end_matches('/');
            if component != "scheduler" && MOUNTED.contains(&mount) {
                let message =
                    format!("kubeadm already mounts `{mount}` into the pod of {component}");
                refuse(
                    "mountPath",
                    message,
                    "remove the volume, or mount it at another path",
                );
            } else if !mount.is_empty() && !mounts.insert(mount) {
                let message = format!("another volume of {component} is also mounted at `{mount}`");
                refuse(
                    "mountPath",
                    message,
                    "mount each volume at a different path",
                );
            }
        }
    }
}

/// Whether a text is a DNS label.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
