use nkd_document::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Text;

/// `spec.kubernetes`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// The Kubernetes version with all three numbers, such as v1.31.2. The OS image must have kubeadm and
    /// kubelet of this version.
    #[schemars(required)]
    pub version: Option<Text>,
    /// HOST:PORT at which nodes and users reach the API. By default the address of the only control plane.
    /// Several control planes need a load balancer, or a virtual IP address, not assigned to any node, that
    /// kube-vip moves between control planes.
    pub endpoint: Option<Text>,
    /// The registry and path of Kubernetes' images. By default that of the version's kubeadm.
    pub image_repository: Option<Text>,
    /// The networks inside the cluster.
    #[schemars(extend("default" = {}))]
    pub networking: Networking,
    /// The API server.
    #[serde(default)]
    pub api_server: ApiServer,
    /// Moves the endpoint's address between the control planes.
    pub kube_vip: Option<KubeVip>,
    /// etcd. By default each control plane runs a member.
    #[serde(default)]
    pub etcd: Etcd,
    /// The tokens with which nodes join.
    #[schemars(extend("default" = {}))]
    pub bootstrap_tokens: BootstrapTokens,
    /// Files of kubeadm, kubelet and kube-proxy configuration, merged field by field into what nkd generates.
    #[serde(default)]
    pub kubeadm: Vec<Text>,
}

/// `spec.kubernetes.networking`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Networking {
    /// The network of pods. In a dual-stack cluster two networks, separated by a comma.
    #[schemars(extend("default" = "10.244.0.0/16"))]
    pub pod_subnet: Text,
    /// The network of services. In a dual-stack cluster two networks, separated by a comma.
    #[schemars(extend("default" = "10.96.0.0/12"))]
    pub service_subnet: Text,
    /// The DNS domain of services.
    #[schemars(extend("default" = "cluster.local"))]
    pub dns_domain: Text,
}

/// `spec.kubernetes.apiServer`
#[derive(Default, Deserialize, JsonSchema)]
pub struct ApiServer {
    /// Further DNS names and addresses at which the API is reached.
    #[serde(default, rename = "certSANs")]
    pub cert_sans: Vec<Text>,
}

/// `spec.kubernetes.kubeVip`
#[derive(Deserialize, JsonSchema)]
pub struct KubeVip {
    /// The network interface that gets the address.
    #[schemars(required)]
    pub interface: Option<Text>,
    /// The image of kube-vip.
    #[schemars(extend("default" = "ghcr.io/kube-vip/kube-vip:v0.8.9"))]
    pub image: Text,
}

/// `spec.kubernetes.etcd`
#[derive(Default, Deserialize, JsonSchema)]
pub struct Etcd {
    /// An existing etcd cluster.
    pub external: Option<Spanned<ExternalEtcd>>,
}

/// `spec.kubernetes.etcd.external`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEtcd {
    /// The https URLs of its members, at least one.
    #[serde(default)]
    pub endpoints: Vec<Text>,
    /// A file of the PEM certificates of etcd's certificate authority.
    #[schemars(required)]
    pub ca_file: Option<Text>,
    /// A file of the API server's client certificate, as PEM.
    #[schemars(required)]
    pub cert_file: Option<Text>,
    /// A file of the client certificate's key, as PEM.
    #[schemars(required)]
    pub key_file: Option<Text>,
}

/// `spec.kubernetes.bootstrapTokens`
#[derive(Deserialize, JsonSchema)]
pub struct BootstrapTokens {
    /// Whether the nodes of a pool share a token, as do the nodes without a pool, or each node has one. The
    /// init node stores every token as a Secret.
    #[schemars(extend("default" = "pool"))]
    pub each: TokenOwner,
    /// How long nodes can join after the cluster's first boot, such as 7d; at least 1d.
    // Longer than kubeadm's 24h: machines are racked and powered on over days.
    #[schemars(extend("default" = "7d"))]
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
