//! The keys of the cluster file. Each key is declared once, with its type, its default and its
//! documentation. The reader, the JSON schema, `docs/cluster-file.md` and the check of `nkd new` are
//! derived from these types. If the keys of a mapping have rules of their own, they are declared in the
//! module with these rules.
//!
//! If the key of a field with `extend("default" = …)` is absent, the field gets that value, at the place
//! of its mapping. With `required`, the absence is an error. The field is an `Option` in both cases, so
//! that the later checks examine the rest of a file in which the key is missing.

use schemars::JsonSchema;
use serde::Deserialize;

use super::airgap::Airgap;
use super::authorities::Pki;
use super::budgets::Budgets;
use super::checks::Text;
use super::etcd::ExternalEtcd;
use super::host::Os;
use super::nodes::{Node, Pool};
use super::patterns;
use super::runtime::RuntimeKeys;
use nkd_document::Spanned;

/// The document
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The version of this format.
    #[schemars(required, extend("const" = "nkd.openeuler.org/v1alpha1"))]
    pub api_version: Option<Text>,
    /// What the file describes.
    #[schemars(required, extend("const" = "Cluster"))]
    pub kind: Option<Text>,
    /// The cluster's name.
    pub metadata: Metadata,
    /// The cluster.
    pub spec: Spec,
}

/// `metadata`
#[derive(Deserialize, JsonSchema)]
pub struct Metadata {
    /// The cluster's name, a DNS label.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::DNS_LABEL))]
    pub name: Option<Text>,
}

/// `spec`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Kubernetes itself.
    pub kubernetes: Kubernetes,
    /// The container runtime.
    #[schemars(extend("default" = {}))]
    pub runtime: RuntimeKeys,
    /// The network add-on of the cluster.
    #[serde(default)]
    pub network: Network,
    /// Images that neither Kubernetes nor `network.manifests` names, such as those of workloads that an operator
    /// creates. They are in `nkd images` and in bundles. Every node pulls them, or loads them from bundles, before it
    /// joins the cluster, so list only images that any node may run.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::IMAGE_OR_DIGEST)))]
    pub extra_images: Vec<Text>,
    /// Images that do not come from registries.
    pub airgap: Option<Spanned<Airgap>>,
    /// The receiver to which the nodes report the progress of the installation.
    pub report: Option<Report>,
    /// The operating system of all nodes.
    #[serde(default)]
    pub os: Os,
    /// The cluster's certificate authorities.
    #[schemars(extend("default" = {}))]
    pub pki: Pki,
    /// How long each stage of the installation may keep failing before the agent reports the node as failed,
    /// such as 90s, 30m or 2h.
    #[serde(default)]
    pub budgets: Budgets,
    /// Settings that several nodes share. A node's own settings take precedence.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// The machines. At least one is a control plane. The first control plane initializes the cluster.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub nodes: Vec<Node>,
}

/// `spec.kubernetes`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// The Kubernetes version with all three numbers, such as v1.31.2. The OS image, or an item of `os.extensions`, must
    /// have kubeadm and kubelet of this version.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::VERSION))]
    pub version: Option<Text>,
    /// The images of the version, as `kubeadm config images list --kubernetes-version VERSION` prints them. Required
    /// for a version that is newer than the data of nkd, and by default the images in this data. nkd takes the tags
    /// of pause, coredns and etcd from the list; `imageRepository` determines their registry and path.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::IMAGE)))]
    pub images: Vec<Text>,
    /// HOST:PORT at which nodes and users reach the API. By default the address of the only control plane,
    /// with port 6443. Several control planes need a load balancer, or a virtual IP address, not assigned
    /// to any node, that kube-vip moves between control planes.
    #[schemars(regex(pattern = patterns::ENDPOINT))]
    pub endpoint: Option<Text>,
    /// The registry and path of Kubernetes' images. By default those that kubeadm of this version uses.
    #[schemars(regex(pattern = patterns::IMAGE_REPOSITORY))]
    pub image_repository: Option<Text>,
    /// The networks inside the cluster.
    #[schemars(extend("default" = {}))]
    pub networking: Networking,
    /// Settings of the API server.
    #[serde(default)]
    pub api_server: ApiServer,
    /// kube-vip, which moves the address of the endpoint between the control planes.
    pub kube_vip: Option<KubeVip>,
    /// Settings of etcd. By default each control plane runs an etcd member.
    #[serde(default)]
    pub etcd: Etcd,
    /// The tokens with which nodes join.
    #[schemars(extend("default" = {}))]
    pub bootstrap_tokens: BootstrapTokens,
    /// Files of kubeadm, kubelet and kube-proxy configuration, merged field by field into what nkd generates. With
    /// Kubernetes 1.31 and later, kubeadm's documents may be `kubeadm.k8s.io/v1beta4` or v1beta3.
    #[serde(default)]
    pub kubeadm: Vec<Text>,
}

/// `spec.kubernetes.networking`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Networking {
    /// The network of pods. In a dual-stack cluster two networks, separated by a comma.
    #[schemars(extend("default" = "10.244.0.0/16"))]
    #[schemars(regex(pattern = patterns::SUBNETS))]
    pub pod_subnet: Text,
    /// The network of services. In a dual-stack cluster two networks, separated by a comma.
    #[schemars(extend("default" = "10.96.0.0/12"))]
    #[schemars(regex(pattern = patterns::SUBNETS))]
    pub service_subnet: Text,
    /// The DNS domain of services.
    #[schemars(extend("default" = "cluster.local"))]
    #[schemars(regex(pattern = patterns::DNS_NAME))]
    pub dns_domain: Text,
}

/// `spec.kubernetes.apiServer`
#[derive(Default, Deserialize, JsonSchema)]
pub struct ApiServer {
    /// Further DNS names and addresses at which the API is reached.
    #[serde(default, rename = "certSANs")]
    #[schemars(inner(regex(pattern = patterns::CERTIFICATE_HOST)))]
    pub cert_sans: Vec<Text>,
}

/// `spec.kubernetes.kubeVip`
#[derive(Deserialize, JsonSchema)]
pub struct KubeVip {
    /// The network interface that gets the address.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::INTERFACE))]
    pub interface: Option<Text>,
    /// The image of kube-vip, with a tag or a digest.
    #[schemars(extend("default" = "ghcr.io/kube-vip/kube-vip:v0.8.9"))]
    #[schemars(regex(pattern = patterns::IMAGE_OR_DIGEST))]
    pub image: Text,
}

/// `spec.kubernetes.etcd`
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Etcd {
    /// An existing etcd cluster.
    pub external: Option<Spanned<ExternalEtcd>>,
    /// With `true`, nkd accepts an init node that keeps the data of etcd in memory: with PXE and without
    /// `installDisk`, its reboot can end the cluster.
    #[serde(default)]
    pub in_memory: bool,
}

/// `spec.kubernetes.bootstrapTokens`
#[derive(Deserialize, JsonSchema)]
pub struct BootstrapTokens {
    /// Who shares a token. With `pool`, the nodes of each pool share one, and the nodes without a pool
    /// share another. With `node`, each node has a token of its own. The init node creates a Secret for
    /// each token.
    #[schemars(extend("default" = "pool"))]
    pub each: TokenOwner,
    /// How long nodes can join after the cluster's first boot, such as 7d; at least 1d.
    // Longer than kubeadm's 24h: machines are racked and powered on over days.
    #[schemars(extend("default" = "7d", "examples" = ["7d"]))]
    #[schemars(regex(pattern = patterns::DURATION))]
    pub ttl: Text,
}

/// Who shares a bootstrap token
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenOwner {
    /// The nodes of a pool.
    Pool,
    /// One node.
    Node,
}

/// `spec.network`
#[derive(Default, Deserialize, JsonSchema)]
pub struct Network {
    /// Manifests that the init node applies, in this order. Without a network add-on the nodes stay `NotReady`
    /// until you apply one, and nkd prints the warning NKD0181.
    #[serde(default)]
    pub manifests: Vec<Text>,
    /// The ports of the add-on, such as 8472/udp. If firewalld runs, the agent opens them.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::PORT)))]
    pub ports: Vec<Text>,
}

/// `spec.report`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The receiver's http or https URL. Nodes use its host as you write it.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::URL))]
    pub url: Option<Text>,
    /// A file of PEM certificates. The nodes trust them for this receiver if their keys are EC on P-256 or
    /// P-384, Ed25519, or RSA with 2048 to 8192 bits.
    pub ca_file: Option<Text>,
}
