/// The images of a Kubernetes version that its number alone does not determine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesImages {
    /// The tag of the etcd that kubeadm runs.
    pub etcd_tag: String,
    /// The tag of `CoreDNS`.
    pub coredns_tag: String,
    /// The tag of the pause image that kubeadm pulls.
    pub pause_tag: String,
    /// The full names of images that releases before did not have. Every node gets them.
    pub further: Vec<String>,
}
