//! The cluster, in types that can't be wrong: nothing here needs checking again.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use nkd_contract::Runtime;

use crate::diagnostics::SourceId;
use crate::ignition::user::UserConfig;
use crate::version::Version;
use crate::yaml;

/// A cluster.
pub struct Cluster {
    /// Its name, a DNS label.
    pub name: String,
    /// The Kubernetes version of all nodes.
    pub version: Version,
    /// Where the API is reached.
    pub endpoint: Endpoint,
    /// Where Kubernetes' images are.
    pub image_repository: String,
    /// The network of pods.
    pub pod_subnet: IpNet,
    /// The network of services.
    pub service_subnet: IpNet,
    /// The DNS domain of services.
    pub dns_domain: String,
    /// Further names and addresses of the API server.
    pub cert_sans: Vec<String>,
    /// What carries the endpoint's address among the control planes, unless something outside does.
    pub kube_vip: Option<KubeVip>,
    /// kubeadm overlay documents.
    pub overlays: Vec<Overlay>,
    /// The container runtime.
    pub runtime: Runtime,
    /// The image of pod sandboxes.
    pub sandbox_image: String,
    /// Manifests the init node applies, in order.
    pub manifests: Vec<Manifest>,
    /// Directory on the nodes with image archives; without it, registries are used.
    pub airgap_images: Option<String>,
    /// Where nodes report to.
    pub report: Option<Report>,
    /// The user's own Ignition configs of all nodes.
    pub ignition: Vec<UserConfig>,
    /// What kind of keys and certificates are made.
    pub pki: Pki,
    /// The nodes; at least one is a control plane.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// The control planes, in the order in which they join. The first makes the cluster.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(|node| node.role == Role::ControlPlane)
    }

    /// The control plane that makes the cluster.
    pub fn init_node(&self) -> Option<&Node> {
        self.control_planes().next()
    }

    /// Whether a node makes the cluster.
    pub fn is_init(&self, node: &Node) -> bool {
        self.init_node().is_some_and(|init| init.name == node.name)
    }

    /// The port of the API server on a control plane itself: the endpoint's, unless something
    /// else stands there.
    pub fn bind_port(&self) -> u16 {
        let own = self
            .control_planes()
            .any(|node| node.address.to_string() == self.endpoint.host);
        if own || self.kube_vip.is_some() {
            self.endpoint.port
        } else {
            super::resolved::DEFAULT_API_PORT
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Node {
    /// Where its own API server is reached, if it is a control plane.
    pub fn api(&self, port: u16) -> Endpoint {
        let host = self.address.to_string();
        Endpoint { host, port }
    }
}

/// kube-vip, a static pod on every control plane.
pub struct KubeVip {
    /// The network interface the address is put on.
    pub interface: String,
    /// Its image.
    pub image: String,
}

/// A document laid over one of kubeadm's.
pub struct Overlay {
    /// The file it is from.
    pub source: SourceId,
    /// The document.
    pub document: yaml::Node,
}

/// A manifest.
pub struct Manifest {
    /// Its file name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where nodes report to.
pub struct Report {
    /// `http` or `https` URL.
    pub url: String,
    /// PEM certificates to trust.
    pub certificate_authority: Option<String>,
}

/// What kind of keys and certificates are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pki {
    /// Of the CAs.
    pub algorithm: Algorithm,
    /// How long the CAs are valid.
    pub validity: Duration,
}

/// What kind of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `ecdsa-p256`
    EcdsaP256,
    /// `rsa-2048`
    Rsa2048,
    /// `rsa-3072`
    Rsa3072,
    /// `rsa-4096`
    Rsa4096,
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::EcdsaP256, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// As in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }
}

/// A node.
pub struct Node {
    /// Its name, a DNS name: hostname and name in Kubernetes.
    pub name: String,
    /// What it is in the cluster.
    pub role: Role,
    /// Its address.
    pub address: IpAddr,
    /// Labels it sets on itself.
    pub labels: Vec<(String, String)>,
    /// Taints it sets on itself; `None` leaves them to kubeadm.
    pub taints: Option<Vec<Taint>>,
    /// The user's own Ignition configs of this node.
    pub ignition: Vec<UserConfig>,
}

/// What a node is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the control plane.
    ControlPlane,
    /// Runs what users run.
    Worker,
}

impl Role {
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
