//! Patches, with which kubeadm changes static pods and kubelet's configuration on one node.

use nkd_model::{Cluster, Node, NodeRole};

/// The static pods that kubeadm makes on every control plane, as patches name them. etcd's comes on top where
/// kubeadm runs it.
pub const STATIC_PODS: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// Where kubeadm takes patches from, if nkd has any for it.
pub const PATCHES: &str = "/etc/nkd/patches";

/// The patch of kubelet's configuration, as kubeadm names its targets and kinds of patches.
pub const KUBELET_PATCH: &str = "kubeletconfiguration+merge.yaml";

/// Whether nkd has any patches for a node.
pub fn has_patches(cluster: &Cluster, node: &Node) -> bool {
    patches_static_pods(node) || cluster.kubelet_overlays_of(node).next().is_some()
}

/// The directory of patches that the agent names to a kubeadm whose configuration cannot name one. Such a kubeadm
/// patches static pods only.
pub fn argument(cluster: &Cluster, node: &Node) -> Option<String> {
    let is_needed = patches_static_pods(node) && !cluster.version.configures_patches();
    is_needed.then(|| PATCHES.to_owned())
}

/// Whether kubeadm is to patch the static pods it makes on a node.
pub fn patches_static_pods(node: &Node) -> bool {
    node.role == NodeRole::ControlPlane && node.os.container_separation.is_some()
}
