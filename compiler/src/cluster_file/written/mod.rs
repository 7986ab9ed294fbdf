//! The cluster file as it is written: everything may be absent. What is wrong with its keys alone,
//! unknown, of another type or missing, is reported here.

mod airgap;
mod nodes;
mod os;
mod pki;
mod runtime;

pub use airgap::{Airgap, Source};
pub use nodes::{Interface, Kubelet, Node, Pairs, Pool, Settings, Taint};
pub use os::{Host, Os, Proxy, User};
pub use pki::{OwnAuthority, OwnKeys};
pub use runtime::{Access, Auth, Mirror, Registry, Runtime};

use nkd_contract::Stage;

use super::{budgets, keys};
use nkd_document::yaml::{Fields, Node as Yaml};
use nkd_document::{Diagnostics, Span, Spanned};

type Text = Option<Spanned<String>>;
type Texts = Option<Vec<Spanned<String>>>;

/// The document.
pub struct Cluster {
    /// The document's place.
    pub span: Span,
    /// `apiVersion`
    pub api_version: Text,
    /// `kind`
    pub kind: Text,
    /// `metadata.name`
    pub name: Text,
    /// `spec`
    pub spec: Spec,
}

/// `spec`
#[derive(Default)]
pub struct Spec {
    /// `kubernetes`
    pub kubernetes: Kubernetes,
    /// `runtime`
    pub runtime: Runtime,
    /// `network.manifests`
    pub manifests: Texts,
    /// `network.ports`
    pub network_ports: Texts,
    /// `budgets`, by their stages
    pub budgets: Vec<(Stage, Spanned<String>)>,
    /// `airgap`
    pub airgap: Option<Airgap>,
    /// `report`
    pub report: Option<Report>,
    /// `os`
    pub os: Os,
    /// `pki.algorithm`
    pub pki_algorithm: Text,
    /// `pki.validity`
    pub pki_validity: Text,
    /// `pki.authorities` and `pki.serviceAccount`
    pub own_keys: OwnKeys,
    /// `pools`
    pub pools: Option<Vec<Pool>>,
    /// `nodes`
    pub nodes: Option<Vec<Node>>,
}

/// `spec.kubernetes`
#[derive(Default)]
pub struct Kubernetes {
    /// `version`
    pub version: Text,
    /// `endpoint`
    pub endpoint: Text,
    /// `imageRepository`
    pub image_repository: Text,
    /// `networking.podSubnet`
    pub pod_subnet: Text,
    /// `networking.serviceSubnet`
    pub service_subnet: Text,
    /// `networking.dnsDomain`
    pub dns_domain: Text,
    /// `apiServer.certSANs`
    pub cert_sans: Texts,
    /// `kubeVip`
    pub kube_vip: Option<KubeVip>,
    /// `etcd.external`
    pub external_etcd: Option<ExternalEtcd>,
    /// `bootstrapTokens.each`
    pub tokens_each: Text,
    /// `bootstrapTokens.ttl`
    pub token_ttl: Text,
    /// `kubeadm`
    pub overlays: Texts,
}

/// `spec.kubernetes.kubeVip`
pub struct KubeVip {
    /// `interface`
    pub interface: Text,
    /// `image`
    pub image: Text,
}

/// `spec.kubernetes.etcd.external`
pub struct ExternalEtcd {
    /// The mapping's place.
    pub span: Span,
    /// `endpoints`
    pub endpoints: Texts,
    /// `caFile`
    pub ca_file: Text,
    /// `certFile`
    pub cert_file: Text,
    /// `keyFile`
    pub key_file: Text,
}

/// `spec.report`
pub struct Report {
    /// `url`
    pub url: Text,
    /// `caFile`
    pub ca_file: Text,
}

impl Cluster {
    /// Reads the document.
    pub fn read(document: &Yaml, to: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(document, "", &keys::CLUSTER, to)?;
        let cluster = Self {
            span: fields.span(),
            api_version: fields.text("apiVersion", to),
            kind: fields.text("kind", to),
            name: fields
                .map("metadata", to, |it, to| it.text("name", to))
                .flatten(),
            spec: fields.map("spec", to, Spec::read).unwrap_or_default(),
        };
        fields.finish(to);
        Some(cluster)
    }
}

impl Spec {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        let kubernetes = fields
            .map("kubernetes", to, Kubernetes::read)
            .unwrap_or_default();
        let pki = fields.map("pki", to, |it, to| {
            let (algorithm, validity) = (it.text("algorithm", to), it.text("validity", to));
            (algorithm, validity, OwnKeys::read(it, to))
        });
        let (pki_algorithm, pki_validity, own_keys) = pki.unwrap_or_default();
        let network = fields.map("network", to, |it, to| {
            (it.text_list("manifests", to), it.text_list("ports", to))
        });
        let (manifests, network_ports) = network.unwrap_or_default();
        Self {
            kubernetes,
            runtime: fields.map("runtime", to, Runtime::read).unwrap_or_default(),
            manifests,
            network_ports,
            budgets: fields.map("budgets", to, budgets::read).unwrap_or_default(),
            airgap: fields.map("airgap", to, Airgap::read),
            report: fields.map("report", to, |it, to| Report {
                url: it.text("url", to),
                ca_file: it.text("caFile", to),
            }),
            os: fields.map("os", to, Os::read).unwrap_or_default(),
            pki_algorithm,
            pki_validity,
            own_keys,
            pools: fields.map_list("pools", to, Pool::read),
            nodes: fields.map_list("nodes", to, Node::read),
        }
    }
}

impl Kubernetes {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        let networking = fields.map("networking", to, |it, to| {
            (
                it.text("podSubnet", to),
                it.text("serviceSubnet", to),
                it.text("dnsDomain", to),
            )
        });
        let (pod_subnet, service_subnet, dns_domain) = networking.unwrap_or_default();
        let tokens = fields.map("bootstrapTokens", to, |it, to| {
            (it.text("each", to), it.text("ttl", to))
        });
        let (tokens_each, token_ttl) = tokens.unwrap_or_default();
        Self {
            version: fields.text("version", to),
            endpoint: fields.text("endpoint", to),
            image_repository: fields.text("imageRepository", to),
            pod_subnet,
            service_subnet,
            dns_domain,
            cert_sans: fields
                .map("apiServer", to, |it, to| it.text_list("certSANs", to))
                .flatten(),
            kube_vip: fields.map("kubeVip", to, |it, to| KubeVip {
                interface: it.text("interface", to),
                image: it.text("image", to),
            }),
            external_etcd: fields
                .map("etcd", to, |it, to| {
                    it.map("external", to, ExternalEtcd::read)
                })
                .flatten(),
            tokens_each,
            token_ttl,
            overlays: fields.text_list("kubeadm", to),
        }
    }
}

impl ExternalEtcd {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            span: fields.span(),
            endpoints: fields.text_list("endpoints", to),
            ca_file: fields.text("caFile", to),
            cert_file: fields.text("certFile", to),
            key_file: fields.text("keyFile", to),
        }
    }
}
