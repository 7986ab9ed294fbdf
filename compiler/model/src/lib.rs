//! The model of a valid cluster: names, versions, networks, nodes. It has only data and rules, without
//! parsing or I/O, and its types have only valid values. The compiler makes it from the cluster file, and
//! all later steps rely on it.

mod bundle;
mod extension;
mod host;
mod images;
pub mod lines;
mod nodes;
mod runtime;
mod secret;
mod url;
mod user_config;
pub mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nkd_contract::{BundleSource, Runtime, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

pub use bundle::Bundle;
pub use extension::{Architecture, Extension, ExtensionSource};
pub use host::{HostsEntry, OsSettings, Own, Proxy, User};
pub use images::KubernetesImages;
pub use nodes::{Interface, Link, Node, NodeRole, Pool, Route, Taint};
pub use runtime::{
    Access, DOCKER_HUB, Insecure, Mirror, OTHER_REGISTRIES, Registry, server, server_host,
};
pub use secret::{KeyPair, Secret};
pub use url::HttpUrl;
pub use user_config::{UserConfig, UserPath, UserUnit};

use lines::Lines;

use nkd_document::yaml;
use nkd_document::{SourceId, Span, Spanned};
use version::Version;

/// The port of the API server on a control plane, unless the endpoint has another one (kubeadm's default
/// `bindPort`).
pub const DEFAULT_API_PORT: u16 = 6443;

/// A cluster.
pub struct Cluster {
    /// The cluster's name, a DNS label.
    pub name: String,
    /// The Kubernetes version of all nodes.
    pub version: Version,
    /// The host and port at which nodes and users reach the API.
    pub endpoint: Endpoint,
    /// The registry and path of Kubernetes' images.
    pub image_repository: String,
    /// Which images the version has.
    pub kubernetes_images: KubernetesImages,
    /// The network of pods, or one of each IP version.
    pub pod_subnets: Vec<IpNet>,
    /// The network of services, or one of each IP version, the preferred version first.
    pub service_subnets: Vec<IpNet>,
    /// The DNS domain of services.
    pub dns_domain: String,
    /// Further names and addresses of the API server, for its certificate.
    pub cert_sans: Vec<String>,
    /// kube-vip, if it moves the endpoint's address between the control planes.
    pub kube_vip: Option<KubeVip>,
    /// An external etcd. Without it, the control planes run etcd.
    pub external_etcd: Option<ExternalEtcd>,
    /// Whether the init node may keep the data of etcd in memory.
    pub etcd_in_memory: bool,
    /// The bootstrap tokens with which nodes join.
    pub tokens: Tokens,
    /// kubeadm overlay documents.
    pub overlays: Vec<Overlay>,
    /// The container runtime.
    pub runtime: Runtime,
    /// The image of pod sandboxes.
    pub sandbox_image: String,
    /// Registries that need a mirror, a certificate authority or credentials.
    pub registries: Vec<Registry>,
    /// Manifests that the init node applies, in order.
    pub manifests: Vec<Manifest>,
    /// The full names of images that nothing else in the cluster file names.
    pub extra_images: Vec<String>,
    /// Ports of the network add-on, as `8472/udp`.
    pub network_ports: Vec<String>,
    /// The budgets of stages in seconds, where they differ from the defaults.
    pub budgets: BTreeMap<Stage, u64>,
    /// The sources of images.
    pub images_from: ImagesFrom,
    /// The receiver of callbacks.
    pub report: Option<Report>,
    /// The user's own configs of all nodes.
    pub own: Arc<Own>,
    /// The algorithm and the validity of generated keys and certificates.
    pub pki: Pki,
    /// Existing keys and certificates of the user.
    pub own_keys: OwnKeys,
    /// The pools of nodes.
    pub pools: Vec<Pool>,
    /// The nodes, at least one of which is a control plane, and then the open pools.
    pub nodes: Vec<Node>,
    /// The lines of the keys in the cluster file.
    pub lines: Lines,
    /// The place of the document in the cluster file.
    pub span: Span,
}

impl Cluster {
    /// The control planes, in the order in which they join. The first one is the init node.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(|node| node.role == NodeRole::ControlPlane)
    }

    /// The init node.
    pub fn init_node(&self) -> Option<&Node> {
        self.control_planes().next()
    }

    /// The nodes that join the cluster: all but the init node.
    pub fn joining_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !self.is_init(node))
    }

    /// The user's own configs of the cluster, of a node's pool and of the node, in the order in which
    /// they are merged.
    pub fn own_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Own> {
        let pool = self.pool_of(node).map(|pool| &*pool.own);
        [&*self.own].into_iter().chain(pool).chain([&*node.own])
    }

    /// All of the user's own configs.
    pub fn all_own(&self) -> impl Iterator<Item = &Own> {
        let pools = self.pools.iter().map(|pool| &*pool.own);
        let nodes = self.nodes.iter().map(|node| &*node.own);
        [&*self.own].into_iter().chain(pools).chain(nodes)
    }

    /// The overlays of a node's kubeadm documents, in the order in which they are merged.
    pub fn overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let own = self.own_overlays_of(node);
        self.overlays
            .iter()
            .chain(own.filter(|overlay| !overlay.is_of_kubelet()))
    }

    /// The changes of a node's pool and of the node itself to the configuration of kubelet that all nodes
    /// share, in the order in which they are merged.
    pub fn kubelet_overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let own = self.own_overlays_of(node);
        own.filter(|overlay| overlay.is_of_kubelet())
    }

    fn own_overlays_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Overlay> {
        let pool = self.pool_of(node).into_iter();
        let of_pool = pool.flat_map(|pool| pool.overlays.iter());
        of_pool.chain(node.overlays.iter())
    }

    /// The nodes that share a node's bootstrap token, in words.
    pub fn token_scope(&self, node: &Node) -> String {
        match self.pool_of(node) {
            _ if self.tokens.of_each_node && !node.is_open() => format!("node {}", node.name),
            Some(pool) => pool.token_scope(),
            None => "nodes without a pool".to_owned(),
        }
    }

    /// How long the bootstrap token of some nodes is valid after the cluster was created. `scope` is as
    /// [`token_scope`](Self::token_scope) returns it.
    pub fn token_ttl(&self, scope: &str) -> Duration {
        let mut pools = self.pools.iter();
        let pool = pools.find(|pool| pool.token_scope() == scope);
        pool.and_then(|pool| pool.token_ttl)
            .unwrap_or(self.tokens.ttl)
    }

    /// How long the last bootstrap token is valid.
    pub fn longest_token_ttl(&self) -> Duration {
        let of_pools = self.pools.iter().filter_map(|pool| pool.token_ttl);
        of_pools.fold(self.tokens.ttl, Duration::max)
    }

    /// A node's pool.
    pub fn pool_of(&self, node: &Node) -> Option<&Pool> {
        self.pools.get(node.pool?)
    }

    /// Whether a node is the init node.
    pub fn is_init(&self, node: &Node) -> bool {
        self.init_node().is_some_and(|init| init.name == node.name)
    }

    /// Whether kubeadm runs etcd on a node. Overlays cannot change that, because nkd refuses an overlay
    /// that sets `etcd.external` or skips a phase that runs etcd.
    pub fn runs_etcd(&self, node: &Node) -> bool {
        node.role == NodeRole::ControlPlane && self.external_etcd.is_none()
    }

    /// The port of the API server on a control plane itself: that of the endpoint, unless the endpoint is
    /// a load balancer.
    pub fn bind_port(&self) -> u16 {
        let host = &self.endpoint.host;
        let own = self.control_planes().any(|node| {
            let mut addresses = node.each_address();
            node.name == *host || addresses.any(|own| own.to_string() == *host)
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
    /// The DNS name or address, without brackets.
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
    /// Whether each node has its own token. Otherwise each pool has one.
    pub of_each_node: bool,
    /// How long they are valid after the cluster was created.
    pub ttl: Duration,
}

/// kube-vip, a static pod on every control plane.
pub struct KubeVip {
    /// The network interface that gets the address.
    pub interface: String,
    /// The image of kube-vip.
    pub image: String,
}

/// An existing etcd cluster.
pub struct ExternalEtcd {
    /// The URLs of its members.
    pub endpoints: Vec<String>,
    /// The PEM certificates of the authority that signs etcd's certificates.
    pub authority: String,
    /// The API server's client certificate, as PEM.
    pub certificate: String,
    /// The key of the client certificate, as PEM.
    pub key: Secret,
}

/// An overlay document, which is merged into a document of kubeadm's configuration.
pub struct Overlay {
    /// The file that contains the document.
    pub source: SourceId,
    /// The document.
    pub document: yaml::Node,
}

impl Overlay {
    /// Whether it is a `KubeletConfiguration`, and not for kubeadm itself or for kube-proxy.
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
    /// The full names of the images in the manifest.
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
        /// The place of the bundles in the cluster file.
        span: Span,
        /// The descriptions of the bundles.
        bundles: Vec<Bundle>,
        /// Where nodes look for them.
        sources: Vec<BundleSource>,
        /// Whether nodes pull images that no source has.
        registry: bool,
    },
}

impl ImagesFrom {
    /// Whether nodes must not pull images.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Registries => false,
            Self::Directory(_) => true,
            Self::Bundles { registry, .. } => !registry,
        }
    }
}

/// The receiver of callbacks.
pub struct Report {
    /// The `http` or `https` URL.
    pub url: String,
    /// The PEM certificates that nodes trust for the receiver.
    pub certificate_authority: Option<String>,
}

/// The algorithm and the validity of generated keys and certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pki {
    /// The algorithm of the certificate authorities' keys.
    pub algorithm: Algorithm,
    /// How long the certificate authorities are valid.
    pub validity: Duration,
}

/// The user's own keys and certificates, and their places in the cluster file.
#[derive(Default)]
pub struct OwnKeys {
    /// Signs the API server's, kubelets' and administrators' certificates.
    pub kubernetes: Option<Spanned<KeyPair>>,
    /// Signs etcd's certificates.
    pub etcd: Option<Spanned<KeyPair>>,
    /// Signs the client certificates with which API servers connect to aggregated API servers.
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
    /// The name, as in the cluster file.
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
