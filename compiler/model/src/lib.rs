//! The valid cluster, in types that cannot be wrong: names, versions, networks, nodes. Pure data and rules, without
//! parsing or I/O. The compiler makes it from the cluster file, and everything after that relies on it.

mod bundle;
mod host;
mod images;
pub mod lines;
mod nodes;
mod runtime;
mod secret;
mod user_config;
pub mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use nkd_contract::{BundleSource, Runtime, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

pub use bundle::Bundle;
pub use host::{HostsEntry, OsSettings, Own, Proxy, User};
pub use images::KubernetesImages;
pub use nodes::{Interface, Node, NodeRole, Pool, Taint};
pub use runtime::{Access, DOCKER_HUB, Mirror, Registry, server};
pub use secret::{KeyPair, Secret};
pub use user_config::{UserConfig, UserPath, UserUnit};

use lines::Lines;

use nkd_document::yaml;
use nkd_document::{SourceId, Span, Spanned};
use version::Version;

/// Where the API is found on a control plane, unless the endpoint says otherwise (kubeadm's
/// default `bindPort`).
pub const DEFAULT_API_PORT: u16 = 6443;

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
    /// Which images the version has.
    pub kubernetes_images: KubernetesImages,
    /// The network of pods, or one of each IP version.
    pub pod_subnets: Vec<IpNet>,
    /// The network of services, or one of each IP version; the first is the cluster's own.
    pub service_subnets: Vec<IpNet>,
    /// The DNS domain of services.
    pub dns_domain: String,
    /// Further names and addresses of the API server.
    pub cert_sans: Vec<String>,
    /// What carries the endpoint's address among the control planes, unless something outside does.
    pub kube_vip: Option<KubeVip>,
    /// The etcd of others; without it the control planes run their own.
    pub external_etcd: Option<ExternalEtcd>,
    /// With what nodes join.
    pub tokens: Tokens,
    /// kubeadm overlay documents.
    pub overlays: Vec<Overlay>,
    /// The container runtime.
    pub runtime: Runtime,
    /// The image of pod sandboxes.
    pub sandbox_image: String,
    /// Registries that are reached otherwise than by their name alone.
    pub registries: Vec<Registry>,
    /// Manifests the init node applies, in order.
    pub manifests: Vec<Manifest>,
    /// Ports of the network add-on, as `8472/udp`.
    pub network_ports: Vec<String>,
    /// How long stages may go on failing, in seconds, where not their own default.
    pub budgets: BTreeMap<Stage, u64>,
    /// Where images come from.
    pub images_from: ImagesFrom,
    /// Where nodes report to.
    pub report: Option<Report>,
    /// The user's own configs of all nodes.
    pub own: Own,
    /// What kind of keys and certificates are made.
    pub pki: Pki,
    /// Keys and certificates that are there already.
    pub own_keys: OwnKeys,
    /// What nodes have in common.
    pub pools: Vec<Pool>,
    /// The nodes; at least one is a control plane.
    pub nodes: Vec<Node>,
    /// Where the cluster file has its keys.
    pub lines: Lines,
}

impl Cluster {
    /// The control planes, in the order in which they join. The first makes the cluster.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(|node| node.role == NodeRole::ControlPlane)
    }

    /// The control plane that makes the cluster.
    pub fn init_node(&self) -> Option<&Node> {
        self.control_planes().next()
    }

    /// The user's own configs of a node and of what it belongs to, in the order in which each is
    /// merged onto the one before.
    pub fn own_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Own> {
        let pool = self.pool_of(node).map(|pool| &pool.own);
        [&self.own].into_iter().chain(pool).chain([&node.own])
    }

    /// All of the user's own configs.
    pub fn all_own(&self) -> impl Iterator<Item = &Own> {
        let pools = self.pools.iter().map(|pool| &pool.own);
        let nodes = self.nodes.iter().map(|node| &node.own);
        [&self.own].into_iter().chain(pools).chain(nodes)
    }

    /// The overlays of a node's kubeadm documents, in the order in which they are merged.
    pub fn overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let own = self.own_overlays_of(node);
        self.overlays
            .iter()
            .chain(own.filter(|overlay| !overlay.is_of_kubelet()))
    }

    /// What a node's pool and the node itself change in the configuration of kubelet that all nodes share,
    /// in the order in which they are merged.
    pub fn kubelet_overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let own = self.own_overlays_of(node);
        own.filter(|overlay| overlay.is_of_kubelet())
    }

    fn own_overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let pool = self.pool_of(node).into_iter();
        let of_pool = pool.flat_map(|pool| &pool.overlays);
        of_pool.chain(&node.overlays)
    }

    /// Who shares a node's bootstrap token, and in what words.
    pub fn token_scope(&self, node: &Node) -> String {
        match self.pool_of(node) {
            _ if self.tokens.of_each_node => format!("node {}", node.name),
            Some(pool) => format!("pool {}", pool.name),
            None => "nodes without a pool".to_owned(),
        }
    }

    /// A node's pool.
    pub fn pool_of(&self, node: &Node) -> Option<&Pool> {
        self.pools.get(node.pool?)
    }

    /// Whether a node makes the cluster.
    pub fn is_init(&self, node: &Node) -> bool {
        self.init_node().is_some_and(|init| init.name == node.name)
    }

    /// Whether kubeadm runs etcd on a node. No overlay changes that: one that sets `etcd.external` or
    /// skips a phase that runs etcd is refused.
    pub fn runs_etcd(&self, node: &Node) -> bool {
        node.role == NodeRole::ControlPlane && self.external_etcd.is_none()
    }

    /// The port of the API server on a control plane itself: the endpoint's, unless something
    /// else stands there.
    pub fn bind_port(&self) -> u16 {
        let own = self.control_planes().any(|node| {
            let second = node.second_address.map(|address| address.to_string());
            [
                Some(node.address.to_string()),
                second,
                Some(node.name.clone()),
            ]
            .contains(&Some(self.endpoint.host.clone()))
        });
        if own || self.kube_vip.is_some() {
            self.endpoint.port
        } else {
            DEFAULT_API_PORT
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

/// Bootstrap tokens.
pub struct Tokens {
    /// Whether each node has its own, or only each pool.
    pub of_each_node: bool,
    /// How long they are good after the cluster is made.
    pub ttl: Duration,
}

/// kube-vip, a static pod on every control plane.
pub struct KubeVip {
    /// The network interface the address is put on.
    pub interface: String,
    /// Its image.
    pub image: String,
}

/// An etcd that is there already.
pub struct ExternalEtcd {
    /// Its members' URLs.
    pub endpoints: Vec<String>,
    /// PEM certificates that sign its own.
    pub authority: String,
    /// The API server's client certificate, as PEM.
    pub certificate: String,
    /// The key of that.
    pub key: Secret,
}

/// A document laid over one of kubeadm's.
pub struct Overlay {
    /// The file it is from.
    pub source: SourceId,
    /// The document.
    pub document: yaml::Node,
}

impl Overlay {
    /// Whether it is for kubelet, and not for kubeadm itself or for kube-proxy.
    pub fn is_of_kubelet(&self) -> bool {
        let kind = self.document.get("kind").and_then(yaml::Node::as_text);
        kind == Some("KubeletConfiguration")
    }

    /// The document without places.
    pub fn to_json(&self) -> serde_json::Value {
        self.document.to_json()
    }
}

/// A manifest.
pub struct Manifest {
    /// Its file name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The full names of the images it names.
    pub images: BTreeSet<String>,
}

/// Where images come from.
pub enum ImagesFrom {
    /// Registries.
    Registries,
    /// A directory of archives on the nodes.
    Directory(String),
    /// Bundles.
    Bundles {
        /// Where the cluster file names them.
        span: Span,
        /// What they say of themselves.
        bundles: Vec<Bundle>,
        /// Where nodes look for them.
        sources: Vec<BundleSource>,
        /// Whether what no source has is pulled.
        registry: bool,
    },
}

impl ImagesFrom {
    /// Whether nothing may be pulled.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Registries => false,
            Self::Directory(_) => true,
            Self::Bundles { registry, .. } => !registry,
        }
    }
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

/// Keys and certificates of the user's own, and where the cluster file names them.
#[derive(Default)]
pub struct OwnKeys {
    /// Signs the API server's, kubelets' and administrators' certificates.
    pub kubernetes: Option<Spanned<KeyPair>>,
    /// Signs etcd's certificates.
    pub etcd: Option<Spanned<KeyPair>>,
    /// Signs the certificates of aggregated API servers' clients.
    pub front_proxy: Option<Spanned<KeyPair>>,
    /// Signs service account tokens.
    pub service_account: Option<Spanned<KeyPair>>,
}

/// Algorithms of keys
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA on the curve P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// RSA of 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl Algorithm {
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

#[cfg(test)]
mod tests {
    use nkd_document::yaml::words;

    use super::{Algorithm, NodeRole};

    #[test]
    fn words_of_the_cluster_file_are_the_names_used_elsewhere() {
        let algorithms: Vec<Algorithm> = ["ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"]
            .map(|word| serde_json::from_value(word.into()).unwrap())
            .into();
        let names: Vec<_> = algorithms.into_iter().map(Algorithm::name).collect();
        let schema = schemars::schema_for!(Algorithm);
        assert_eq!(words(schema.as_value()), Some(names));
        for role in [NodeRole::ControlPlane, NodeRole::Worker] {
            let read: NodeRole = serde_json::from_value(role.name().into()).unwrap();
            assert_eq!(read, role);
        }
    }
}
