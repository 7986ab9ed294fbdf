use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Endpoint, OsSettings, Overlay, Own};

/// A node.
pub struct Node {
    /// Its name, a DNS name: hostname and name in Kubernetes.
    pub name: String,
    /// What it is in the cluster.
    pub role: NodeRole,
    /// Its pool, by its place in the cluster's.
    pub pool: Option<usize>,
    /// Its address.
    pub address: IpAddr,
    /// Its address of the other IP version, in clusters of both.
    pub second_address: Option<IpAddr>,
    /// The MAC address of the interface it boots from, in lower case with `:`.
    pub mac: Option<String>,
    /// Its network interfaces, where they aren't left to DHCP.
    pub interfaces: Vec<Interface>,
    /// Labels it sets on itself.
    pub labels: Vec<(String, String)>,
    /// Taints it sets on itself; `None` leaves them to kubeadm.
    pub taints: Option<Vec<Taint>>,
    /// Further arguments of its kubelet, by name.
    pub kubelet_args: Vec<(String, String)>,
    /// The disk an installer writes the OS to.
    pub install_disk: Option<String>,
    /// Its operating system, everything from cluster and pool included.
    pub os: OsSettings,
    /// kubeadm overlay documents of this node.
    pub overlays: Vec<Overlay>,
    /// The user's own configs of this node.
    pub own: Own,
}

impl Node {
    /// Its addresses, as kubelet's `--node-ip` takes them.
    pub fn node_ip(&self) -> String {
        match self.second_address {
            Some(second) => format!("{},{second}", self.address),
            None => self.address.to_string(),
        }
    }

    /// Its address and, in clusters of both IP versions, its second address.
    pub fn each_address(&self) -> impl Iterator<Item = IpAddr> {
        [self.address].into_iter().chain(self.second_address)
    }

    /// Where its own API server is reached, if it is a control plane.
    pub fn api(&self, port: u16) -> Endpoint {
        let host = self.address.to_string();
        Endpoint { host, port }
    }
}

/// What nodes have in common that isn't laid into each of them.
pub struct Pool {
    /// Its name.
    pub name: String,
    /// kubeadm overlay documents.
    pub overlays: Vec<Overlay>,
    /// The user's own configs.
    pub own: Own,
}

/// A network interface.
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC address, in lower case with `:`.
    pub mac: Option<String>,
    /// Its addresses with the length of their network's prefix; none means DHCP.
    pub addresses: Vec<IpNet>,
    /// Where it sends what is not for its networks, one for each IP version at most.
    pub gateways: Vec<IpAddr>,
    /// DNS servers.
    pub dns: Vec<IpAddr>,
    /// Domains in which names without a dot are looked up.
    pub search_domains: Vec<String>,
    /// The largest packet.
    pub mtu: Option<u64>,
}

/// Roles of nodes
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Role")]
pub enum NodeRole {
    /// Runs the control plane.
    ControlPlane,
    /// Runs what users run.
    Worker,
}

impl NodeRole {
    /// As in the cluster file.
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
