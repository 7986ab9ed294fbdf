use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use nkd_document::Spanned;

use super::{Endpoint, OsSettings, Overlay, Own};

/// A node, or all machines of an open pool, which have one config.
pub struct Node {
    /// The node's name, a DNS name. It is the hostname and the name in Kubernetes. For an open pool, it is the
    /// name of the pool, and each machine gets the name of its node from its platform.
    pub name: String,
    /// The node's role in the cluster.
    pub role: NodeRole,
    /// The node's pool, as an index into the cluster's pools.
    pub pool: Option<usize>,
    /// The node's address. `None` for an open pool, whose machines get their addresses from their platform.
    pub address: Option<IpAddr>,
    /// The node's address of the other IP version, in a dual-stack cluster.
    pub second_address: Option<IpAddr>,
    /// The MAC address of the interface from which the node boots, in lower case with `:`.
    pub mac: Option<String>,
    /// The node's network interfaces, if DHCP does not configure them.
    pub interfaces: Vec<Interface>,
    /// The labels that the node sets on itself.
    pub labels: Vec<(String, String)>,
    /// The taints that the node sets on itself. With `None`, kubeadm's defaults apply.
    pub taints: Option<Vec<Taint>>,
    /// Further arguments of kubelet, by name, each with the place of its value.
    pub kubelet_args: Vec<(String, Spanned<String>)>,
    /// The disk to which an installer writes the OS.
    pub install_disk: Option<String>,
    /// The settings of the operating system, including those of the cluster and the pool.
    pub os: OsSettings,
    /// kubeadm overlay documents of this node.
    pub overlays: Arc<[Overlay]>,
    /// The user's own configs of this node.
    pub own: Arc<Own>,
}

impl Node {
    /// Whether this is an open pool.
    pub fn is_open(&self) -> bool {
        self.address.is_none()
    }

    /// The node's addresses, in the form of kubelet's `--node-ip`. Empty for an open pool.
    pub fn node_ip(&self) -> String {
        let addresses: Vec<_> = self.each_address().map(|own| own.to_string()).collect();
        addresses.join(",")
    }

    /// The node's address and, in a dual-stack cluster, its second address. None for an open pool.
    pub fn each_address(&self) -> impl Iterator<Item = IpAddr> {
        self.address.into_iter().chain(self.second_address)
    }

    /// The address and port of the API server on a control plane.
    pub fn api(&self, port: u16) -> Option<Endpoint> {
        let host = self.address?.to_string();
        Some(Endpoint { host, port })
    }
}

/// The settings of a pool that are not copied into each of its nodes.
pub struct Pool {
    /// The pool's name.
    pub name: String,
    /// How long the bootstrap token that its nodes share is valid, if not as long as other tokens.
    pub token_ttl: Option<Duration>,
    /// kubeadm overlay documents.
    pub overlays: Arc<[Overlay]>,
    /// The user's own configs.
    pub own: Arc<Own>,
}

impl Pool {
    /// The nodes that share the pool's bootstrap token, in words.
    pub fn token_scope(&self) -> String {
        format!("pool {}", self.name)
    }
}

/// A network interface.
pub struct Interface {
    /// The interface's name.
    pub name: String,
    /// What the interface is.
    pub link: Link,
    /// Whether the interface gets its addresses by DHCP.
    pub dhcp: bool,
    /// The interface's addresses with their prefix lengths; none with DHCP.
    pub addresses: Vec<IpNet>,
    /// The default gateways, at most one of each IP version.
    pub gateways: Vec<IpAddr>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// DNS servers.
    pub dns: Vec<IpAddr>,
    /// The domains in which the node looks up names without a dot.
    pub search_domains: Vec<String>,
    /// The size of the largest packet, in bytes.
    pub mtu: Option<u64>,
}

/// What a network interface is.
pub enum Link {
    /// An Ethernet interface of the machine.
    Ethernet {
        /// The MAC address by which the node finds the interface, in lower case with `:`. Without it, the
        /// node finds the interface by its name.
        mac: Option<String>,
        /// The name of the bond that the interface is a member of.
        bond: Option<String>,
    },
    /// A bond.
    Bond {
        /// The options of the kernel's bonding driver, including `mode`.
        options: Vec<(String, String)>,
    },
    /// A VLAN.
    Vlan {
        /// The VLAN's number.
        id: u64,
        /// The name of the interface that carries the VLAN.
        parent: String,
    },
}

/// A static route of a network interface.
pub struct Route {
    /// The network that the route leads to.
    pub destination: IpNet,
    /// The next hop. Without it, the network is directly at the interface.
    pub gateway: Option<IpAddr>,
    /// The route's metric; of several routes to a network, the one with the smallest metric is used.
    pub metric: Option<u64>,
}

/// Roles of nodes
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Role")]
pub enum NodeRole {
    /// A node that runs the control plane.
    ControlPlane,
    /// A node that runs the users' pods.
    Worker,
}

impl NodeRole {
    /// The role's name, as in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
        }
    }
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// `key`
    pub key: String,
    /// `value`, may be empty.
    pub value: String,
    /// `effect`
    pub effect: String,
}
