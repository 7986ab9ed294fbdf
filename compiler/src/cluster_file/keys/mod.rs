//! Every key of the cluster file, declared once: its type, its default and its documentation. The reader, the
//! JSON schema, `docs/cluster-file.md` and the check of `nkd new` go by these types.
//!
//! A field with `extend("default" = …)` gets that value, at the place of its mapping, where the key is absent.
//! `required` reports the absence instead; the field is an `Option` nevertheless, so that the checks after
//! reading see the rest of a file in which it is missing.

mod budgets;
mod images;
mod kubernetes;
mod nodes;
mod os;
mod pki;

pub use budgets::Budgets;
pub use images::{Access, Airgap, Auth, Mirror, Registry, Runtime, RuntimeName, Source};
pub use kubernetes::{BootstrapTokens, ExternalEtcd, Kubernetes, TokenOwner};
pub use nodes::{Interface, Kubelet, Node, Pool, Settings, Taint};
pub use os::{Host, Os, Proxy, Selinux, User};
pub use pki::{Authorities, Authority, Pki};

use nkd_document::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// Text and its place.
pub type Text = Spanned<String>;

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
    pub name: Option<Text>,
}

/// `spec`
#[derive(Deserialize, JsonSchema)]
pub struct Spec {
    /// Kubernetes itself.
    pub kubernetes: Kubernetes,
    /// The container runtime.
    #[schemars(extend("default" = {}))]
    pub runtime: Runtime,
    /// The network add-on.
    #[serde(default)]
    pub network: Network,
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
    pub nodes: Vec<Node>,
}

/// `spec.network`
#[derive(Default, Deserialize, JsonSchema)]
pub struct Network {
    /// Manifests that the init node applies, in this order. Without a network add-on the nodes stay NotReady
    /// until you apply one.
    #[serde(default)]
    pub manifests: Vec<Text>,
    /// The add-on's ports, such as 8472/udp. firewalld lets them in.
    #[serde(default)]
    pub ports: Vec<Text>,
}

/// `spec.report`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The receiver's http or https URL.
    #[schemars(required)]
    pub url: Option<Text>,
    /// A file of PEM certificates. The nodes trust them for this receiver.
    pub ca_file: Option<Text>,
}
