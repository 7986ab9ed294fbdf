//! `os.selinux`: what has to hold on control planes, whose static pods get patches for it.

use super::domain::{Node, Overlay, Role};
use super::nodes::Settings;
use crate::diagnostics::{Code, Diagnostics, Span};
use crate::kubeadm::PATCHES;
use crate::version::Version;

/// Reports control planes whose static pods can't be patched: where kubeadm can't be told to, and where the
/// user tells it to take patches from elsewhere, since it takes them from one directory.
pub fn check(
    nodes: &[Option<Node>],
    pools: &[Settings],
    cluster: &[Overlay],
    version: Version,
    to: &mut Diagnostics,
) {
    let nodes = nodes.iter().flatten();
    let control_planes = nodes.filter(|node| node.role == Role::ControlPlane);
    let mut reported: Vec<Span> = Vec::new();
    for node in control_planes {
        let Some(span) = node.host.container_separation else {
            continue;
        };
        let pool = node.pool.and_then(|pool| pools.get(pool));
        let overlays = cluster
            .iter()
            .chain(pool.into_iter().flat_map(|pool| &pool.overlays))
            .chain(&node.overlays);
        let too_old = (!version.takes_patches()).then(|| (span, too_old_for_patches(version)));
        let wrong = too_old.into_iter().chain(overlays.filter_map(own_patches));
        for (span, (message, help)) in wrong {
            // What all control planes have in common is wrong once.
            if !reported.contains(&span) {
                reported.push(span);
                to.report_with_help(Code::Selinux, span, message, help);
            }
        }
    }
}

fn too_old_for_patches(version: Version) -> (String, String) {
    let message = format!(
        "kubeadm {version} can't be told in its configuration to patch the control plane's pods"
    );
    let help = "use Kubernetes 1.22 or later, or set `os.selinux` in pools of workers alone";
    (message, help.to_owned())
}

fn own_patches(overlay: &Overlay) -> Option<(Span, (String, String))> {
    let directory = overlay.document.get("patches")?.get("directory")?;
    directory.as_text().filter(|path| *path != PATCHES)?;
    let message = format!("with `os.selinux`, kubeadm takes its patches from {PATCHES}");
    let help = format!(
        "put your patches into {PATCHES} by your own Ignition or Butane, under other names than nkd's, \
         and remove this"
    );
    Some((directory.span, (message, help)))
}
