use nkd_document::Spanned;
use nkd_document::yaml::{Both, Pairs};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Os, Text};
use crate::model::Role;

/// An item of `spec.pools`
pub type Pool = Both<PoolKeys, Settings>;

/// An item of `spec.pools`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Pool")]
pub struct PoolKeys {
    /// The pool's name.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The role of its nodes in the cluster. A node's own role takes precedence.
    pub role: Option<Spanned<Role>>,
}

/// An item of `spec.nodes`
pub type Node = Both<NodeKeys, Settings>;

/// An item of `spec.nodes`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Node", extend("anyOf" = [{"required": ["role"]}, {"required": ["pool"]}]))]
pub struct NodeKeys {
    /// The node's hostname and its name in Kubernetes, a DNS name.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The pool that the node belongs to.
    pub pool: Option<Text>,
    /// The node's role in the cluster. By default that of its pool.
    pub role: Option<Spanned<Role>>,
    /// The node's address. In a dual-stack cluster one of each IP version, separated by a comma.
    #[schemars(required)]
    pub address: Option<Text>,
    /// The MAC address of the interface from which the machine boots by PXE.
    pub mac: Option<Text>,
    /// The node's network interfaces, where DHCP does not configure them.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
}

/// Settings of a pool's nodes, or of one node
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Labels that the nodes set on themselves.
    #[serde(default)]
    pub labels: Pairs,
    /// Taints that the nodes set on themselves. Without the key control planes have kubeadm's taint; an empty
    /// list means none.
    pub taints: Option<Vec<Taint>>,
    /// Settings of kubelet.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Files of kubeadm configuration, merged field by field over the cluster's. The nodes that read an
    /// InitConfiguration or JoinConfiguration get it. From Kubernetes 1.25 a KubeletConfiguration
    /// changes kubelet on these nodes only; before, use kubelet.extraArgs. kubeadm has one ClusterConfiguration and
    /// one KubeProxyConfiguration for all nodes.
    #[serde(default)]
    pub kubeadm: Vec<Text>,
    /// The disk to which an installer writes the OS, such as /dev/sda.
    pub install_disk: Option<Text>,
    /// The operating system, in addition to what applies to all nodes.
    #[serde(default)]
    pub os: Os,
}

/// `kubelet` of a pool or node
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubelet {
    /// How many pods a node runs at most. By default kubelet's own limit of 110.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_pods: Option<Spanned<u64>>,
    /// Resources reserved for the system: cpu, memory, ephemeral-storage and pid, each a quantity.
    #[serde(default)]
    pub system_reserved: Pairs,
    /// Resources reserved for Kubernetes itself: cpu, memory, ephemeral-storage and pid, each a quantity.
    #[serde(default)]
    pub kube_reserved: Pairs,
    /// Further arguments of kubelet, by their names without dashes.
    #[serde(default)]
    pub extra_args: Pairs,
}

/// An item of `taints`
#[derive(Deserialize, JsonSchema)]
pub struct Taint {
    /// The taint's key.
    #[schemars(required)]
    pub key: Option<Text>,
    /// The taint's value. By default none.
    pub value: Option<Text>,
    /// The taint's effect.
    #[schemars(required)]
    pub effect: Option<Effect>,
}

/// Effects of taints
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub enum Effect {
    /// No pod that does not tolerate the taint is scheduled.
    NoSchedule,
    /// Pods that do not tolerate the taint are scheduled if no other node has room.
    PreferNoSchedule,
    /// No pod that does not tolerate the taint is scheduled, and running ones are evicted.
    NoExecute,
}

impl Effect {
    /// The effect's name in Kubernetes, which is also its word in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// An item of a node's `interfaces`
#[derive(Deserialize, JsonSchema)]
pub struct Interface {
    /// The interface's name, such as eth0.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The interface's MAC address, if the interface is to be found by that.
    pub mac: Option<Text>,
    /// The interface's addresses with the prefix length, such as 10.200.0.12/24. Without them DHCP is used.
    #[serde(default)]
    pub addresses: Vec<Text>,
    /// The default gateways, at most one of each IP version.
    #[serde(default)]
    pub gateways: Vec<Text>,
    /// DNS servers.
    #[serde(default)]
    pub dns: Vec<Text>,
    /// The largest packet in bytes.
    // From the kernel's smallest for IPv6 to the largest there is.
    #[schemars(range(min = 1280, max = 65_535))]
    pub mtu: Option<Spanned<u64>>,
}
