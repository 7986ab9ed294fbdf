//! The files that kubeadm and kubelet write, and their state after a power cut.
//!
//! kubeadm and kubelet do not sync these files. A file that was written in the last half minute before a
//! power cut may exist without its contents: it is empty, or full of zero bytes. Such a file is called
//! *torn* here. kubeadm and kubelet treat it as an invalid file of the administrator, and fail.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use nkd_contract::{Role, paths};

use super::super::Node;
use super::super::api::KUBELET_CREDENTIALS;
use crate::system::files::{remove, write_atomic};

/// A marker that kubeadm has finished on this node. It contains the certificate authority of the cluster.
/// A node with this marker is never reset again, even if the agent has lost its state or the cluster is
/// slow to come up.
pub(crate) const MEMBER: &str = "/etc/kubernetes/nkd-member.crt";
/// A marker that this node's etcd was started only to restore the quorum of the cluster's etcd. The node
/// has not joined yet: the agent has to remove it from etcd, reset it and let it join.
pub(super) const QUORUM_REPAIR: &str = "/etc/kubernetes/nkd-quorum-repair";
/// A marker that files of an earlier `kubeadm init` were torn. These files may have shown that nodes have
/// joined, so etcd's data are never deleted.
pub(super) const INIT_REPAIR: &str = "/etc/kubernetes/nkd-init-repair";

/// The administrator's kubeconfig. `kubeadm init` writes it before the control plane comes up.
pub(crate) const ADMIN_CONFIG: &str = "/etc/kubernetes/admin.conf";
pub(super) const KUBELET_CONFIG: &str = "/etc/kubernetes/kubelet.conf";
pub(super) const KUBELET_BOOTSTRAP_CONFIG: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const KUBELET_SETTINGS: &str = "/var/lib/kubelet/config.yaml";
/// The settings of kubelet on this node. If its feature gate `NodeLocalCRISocket` is on, kubeadm writes
/// the CRI socket into this file before it starts kubelet, and not into the Node object.
pub(super) const INSTANCE_SETTINGS: &str = "/var/lib/kubelet/instance-config.yaml";
/// The flags with which kubelet's unit starts it. kubeadm never leaves this file empty.
pub(super) const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";
pub(super) const ETCD_DATA: &str = "/var/lib/etcd/member";
pub(super) const ETCD_LOG: &str = "/var/lib/etcd/member/wal";
pub(super) const ETCD_MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// The files from which a control plane comes up by itself, in addition to etcd's manifest.
const CONTROL_PLANE: [&str; 4] = [
    ADMIN_CONFIG,
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
];
/// Other files with which kubeadm and kubelet cannot continue if they are torn.
const OTHERS: [&str; 10] = [
    KUBELET_CONFIG,
    KUBELET_SETTINGS,
    INSTANCE_SETTINGS,
    KUBELET_CREDENTIALS,
    KUBELET_BOOTSTRAP_CONFIG,
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    KUBELET_FLAGS,
    "/var/lib/kubelet/pki/kubelet-server-current.pem",
];
/// Certificates with their keys, by the path without `.crt` and `.key`. kubeadm fails if one file of a
/// pair is missing.
const PAIRS: [&str; 8] = [
    "/etc/kubernetes/pki/apiserver",
    "/etc/kubernetes/pki/apiserver-kubelet-client",
    "/etc/kubernetes/pki/apiserver-etcd-client",
    "/etc/kubernetes/pki/front-proxy-client",
    "/etc/kubernetes/pki/etcd/server",
    "/etc/kubernetes/pki/etcd/peer",
    "/etc/kubernetes/pki/etcd/healthcheck-client",
    "/var/lib/kubelet/pki/kubelet",
];
/// All files that kubeadm, and the agent for kubeadm, write before kubeadm ends.
const TRACES: [&str; 6] = [
    KUBELET_CONFIG,
    KUBELET_BOOTSTRAP_CONFIG,
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    KUBELET_SETTINGS,
    QUORUM_REPAIR,
    INIT_REPAIR,
];

/// Whether a file has contents.
pub(super) fn is_whole(node: &Node<'_>, path: &str) -> bool {
    let contents = fs::read(node.root.path(path));
    contents.is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0))
}

/// Whether a file, or a link to one, exists but has no contents.
pub(super) fn is_torn(node: &Node<'_>, path: &str) -> bool {
    fs::symlink_metadata(node.root.path(path)).is_ok() && !is_whole(node, path)
}

/// Whether kubeadm has finished on this node, for this cluster. If a person runs `kubeadm reset`, the
/// kubeconfig of kubelet is removed. Without its contents, there is no node.
pub(super) fn is_member(node: &Node<'_>) -> bool {
    let authority = fs::read(node.root.path(MEMBER));
    authority.is_ok_and(|pem| pem == node.plan.certificate_authority.as_bytes())
        && is_whole(node, KUBELET_CONFIG)
}

/// Whether an earlier attempt has left files at which kubeadm would fail. kubeadm uses complete
/// certificates and kubeconfigs again, but fails at torn ones and at incomplete pairs.
pub(super) fn has_traces(node: &Node<'_>) -> bool {
    let own_etcd = node.plan.runs_etcd.then_some(ETCD_DATA);
    TRACES
        .into_iter()
        .chain(own_etcd)
        .any(|path| exists(node, path))
        || is_anything_torn(node)
        || has_workers_authority(node)
        || PAIRS.into_iter().any(|pair| is_half_there(node, pair))
}

/// Whether a worker has the cluster's authority. kubeadm writes it before it checks whether the node's
/// name is free, and fails at it the next time.
fn has_workers_authority(node: &Node<'_>) -> bool {
    let authority = fs::read_to_string(node.root.path(AUTHORITY)).unwrap_or_default();
    node.plan.role == Role::JoinWorker
        && authority.trim() == node.plan.certificate_authority.trim()
        && !authority.is_empty()
}

/// Whether one file of a pair that kubeadm makes itself exists without the other.
fn is_half_there(node: &Node<'_>, pair: &str) -> bool {
    let halves = halves(pair);
    let there = halves.iter().filter(|half| exists(node, half)).count();
    there == 1 && !is_delivered(node, &halves[0])
}

/// Whether kubeadm's etcd has data on this node.
pub(super) fn has_etcd_data(node: &Node<'_>) -> bool {
    node.plan.runs_etcd && exists(node, ETCD_DATA)
}

/// Whether a file or directory exists.
pub(super) fn exists(node: &Node<'_>, path: &str) -> bool {
    node.root.path(path).exists()
}

fn control_plane(node: &Node<'_>) -> impl Iterator<Item = &'static str> {
    let etcd = node.plan.runs_etcd.then_some(ETCD_MANIFEST);
    CONTROL_PLANE.into_iter().chain(etcd)
}

/// Whether a control plane can come up from the files on this node.
pub(super) fn control_plane_is_whole(node: &Node<'_>) -> bool {
    control_plane(node).all(|path| is_whole(node, path))
}

/// Whether a power cut has torn anything that kubeadm or kubelet has written.
pub(super) fn is_anything_torn(node: &Node<'_>) -> bool {
    kubeadms().chain(OTHERS).any(|path| is_torn(node, path))
        || PAIRS
            .into_iter()
            .flat_map(halves)
            .any(|half| is_torn(node, &half))
}

fn kubeadms() -> impl Iterator<Item = &'static str> {
    CONTROL_PLANE.into_iter().chain([ETCD_MANIFEST])
}

/// Whether kubelet can run with the files on this node.
pub(super) fn kubelet_is_whole(node: &Node<'_>) -> bool {
    is_whole(node, KUBELET_CONFIG) && is_whole(node, KUBELET_SETTINGS) && !lacks_credentials(node)
}

/// Whether kubelet's kubeconfig names the file with its credentials, which kubelet has got from the
/// cluster, but this file is missing.
fn lacks_credentials(node: &Node<'_>) -> bool {
    let config = fs::read_to_string(node.root.path(KUBELET_CONFIG)).unwrap_or_default();
    config.contains(KUBELET_CREDENTIALS) && !is_whole(node, KUBELET_CREDENTIALS)
}

/// Removes torn files of kubeadm and kubelet, so that both write them again. Also removes files that are
/// useless without them: the other file of a pair, and a kubeconfig whose credentials are missing.
///
/// # Errors
/// A file cannot be removed or written. The error names the file.
pub(super) fn remove_torn(node: &Node<'_>) -> anyhow::Result<()> {
    if lacks_credentials(node) {
        remove_named(node, KUBELET_CONFIG)?;
    }
    for path in kubeadms().chain(OTHERS) {
        if is_torn(node, path) {
            remove_named(node, path)?;
        }
    }
    remove_torn_pairs(node)
}

fn halves(pair: &str) -> [String; 2] {
    ["crt", "key"].map(|kind| format!("{pair}.{kind}"))
}

/// Removes torn certificates and keys that kubeadm makes itself, and files of incomplete pairs. Delivered
/// files stay, because they are copied again.
///
/// # Errors
/// A file cannot be removed or written. The error names the file.
pub(super) fn remove_torn_pairs(node: &Node<'_>) -> anyhow::Result<()> {
    for pair in PAIRS {
        let halves = halves(pair);
        if halves.iter().all(|half| is_whole(node, half)) || is_delivered(node, &halves[0]) {
            continue;
        }
        for half in &halves {
            remove_named(node, half)?;
        }
    }
    Ok(())
}

/// Whether a file below kubeadm's PKI was delivered.
fn is_delivered(node: &Node<'_>, path: &str) -> bool {
    let name = Path::new(path).strip_prefix(paths::KUBERNETES_PKI);
    name.is_ok_and(|name| node.root.path(paths::PKI).join(name).exists())
}

/// Removes a file, if it exists.
///
/// # Errors
/// A file cannot be removed or written. The error names the file.
pub(super) fn remove_named(node: &Node<'_>, path: &str) -> anyhow::Result<()> {
    remove(&node.root.path(path)).with_context(|| path.to_owned())
}

/// Writes a marker that survives a power cut.
///
/// # Errors
/// A file cannot be removed or written. The error names the file.
pub(super) fn mark(node: &Node<'_>, path: &str) -> anyhow::Result<()> {
    write_atomic(&node.root.path(path), b"", 0o600).with_context(|| path.to_owned())
}
