//! Checks for clusters in which nkd writes patches for kubeadm: for the static pods of control planes
//! with `os.selinux`, and for the configuration of kubelet in pools and nodes.

use super::nodes::Checked;
use crate::kubeadm::PATCHES;
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::{Node, NodeRole, Overlay};

/// Reports nodes on which kubeadm would not read nkd's patches, because the user has configured another
/// directory. kubeadm reads patches from one directory only.
pub fn check(nodes: &[Option<Node>], pools: &[Checked], cluster: &[Overlay], to: &mut Diagnostics) {
    let mut reported: Vec<Span> = Vec::new();
    for node in nodes.iter().flatten() {
        let pool = node.pool.and_then(|pool| pools.get(pool));
        let of_pool = pool.into_iter().flat_map(|pool| pool.overlays.iter());
        let own = || of_pool.clone().chain(node.overlays.iter());
        let separation = node.os.container_separation;
        let separated = separation.filter(|_| node.role == NodeRole::ControlPlane);
        let (code, what) = match separated {
            Some(_) => (Code::Selinux, "`os.selinux`"),
            None if own().any(Overlay::is_of_kubelet) => (
                Code::OverlayOwned,
                "a KubeletConfiguration of a pool or node",
            ),
            None => continue,
        };
        let overlays = cluster.iter().chain(own());
        let elsewhere = overlays.filter_map(|overlay| own_patches(overlay, what));
        for (span, (message, help)) in elsewhere {
            // What several nodes have in common is wrong once.
            if !reported.contains(&span) {
                reported.push(span);
                to.report_with_help(code, span, message, help);
            }
        }
    }
}

fn own_patches(overlay: &Overlay, what: &str) -> Option<(Span, (String, String))> {
    let directory = overlay.document.get("patches")?.get("directory")?;
    directory.as_text().filter(|path| *path != PATCHES)?;
    let message = format!("with {what}, kubeadm must read its patches from {PATCHES}");
    let help = format!(
        "remove this, and put your patches into {PATCHES} with your own Ignition or Butane config, under file names \
         that nkd does not use"
    );
    Some((directory.span, (message, help)))
}
