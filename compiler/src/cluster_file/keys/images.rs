use nkd_document::Spanned;
use nkd_document::yaml::Both;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Text;

/// `spec.runtime`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// The container runtime, which the OS image must have. Before Kubernetes 1.23 containerd must be older than
    /// 2.0, from 1.26 it must be 1.6 or later. From 1.24 docker needs cri-dockerd in the OS image. From 1.26
    /// isulad must be 2.1.5 or later.
    #[schemars(extend("default" = "containerd"))]
    pub name: Spanned<RuntimeName>,
    /// The image of the sandbox container of each pod. By default that of the Kubernetes version.
    pub sandbox_image: Option<Text>,
    /// Registries that need a mirror, a certificate authority or a password.
    #[serde(default)]
    pub registries: Vec<Registry>,
}

/// Container runtimes
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeName {
    /// containerd
    Containerd,
    /// CRI-O
    Crio,
    /// iSulad
    Isulad,
    /// Docker, by kubelet's dockershim or by cri-dockerd.
    Docker,
}

/// An item of `spec.runtime.registries`
pub type Registry = Both<RegistryKeys, Access>;

/// An item of `spec.runtime.registries`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Registry")]
pub struct RegistryKeys {
    /// HOST or HOST:PORT, with which the names of its images begin.
    #[schemars(required)]
    pub host: Option<Text>,
    /// Mirrors, which the runtime tries before the registry, in this order.
    #[serde(default)]
    pub mirrors: Vec<Mirror>,
}

/// An item of a registry's `mirrors`
pub type Mirror = Both<MirrorKeys, Access>;

/// An item of a registry's `mirrors`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Mirror")]
pub struct MirrorKeys {
    /// An http or https URL. Its path becomes the beginning of the names of images there: with
    /// https://HOST/k8s, registry.k8s.io/pause is HOST/k8s/pause. A path that contains /v2 is the path of the
    /// registry's API itself.
    #[schemars(required)]
    pub url: Option<Text>,
}

/// How a registry or mirror is reached
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// A file of PEM certificates. The runtime trusts them for this registry.
    pub ca_file: Option<Text>,
    /// The user who pulls images.
    pub auth: Option<Auth>,
}

/// `auth` of a registry or mirror
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// The user's name.
    #[schemars(required)]
    pub username: Option<Text>,
    /// A file that contains the password.
    #[schemars(required)]
    pub password_file: Option<Text>,
}

/// `spec.airgap`
#[derive(Deserialize, JsonSchema)]
pub struct Airgap {
    /// A directory of image archives (*.tar) in the OS image.
    pub images: Option<Text>,
    /// Image bundles that `nkd bundle create` made. They are files here, and the nodes find them by the same
    /// names in `sources`.
    pub bundles: Option<Vec<Text>>,
    /// Where nodes look for bundles, in this order. By default in /usr/lib/nkd/bundles of the OS image.
    pub sources: Option<Vec<Spanned<Source>>>,
    /// Where an image comes from that no source has. Without it nothing is ever pulled.
    pub fallback: Option<Fallback>,
}

/// Where an image comes from that no source has
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fallback {
    /// Its registry.
    Registry,
}

/// An item of `spec.airgap.sources`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BundleSource")]
pub struct Source {
    /// A directory on the node.
    pub directory: Option<Text>,
    /// The label of a file system, on any disk. The bundles are in its top directory.
    pub disk: Option<Text>,
    /// http or https URLs of directories with the same files. The agent tries the next one where one fails.
    pub urls: Option<Vec<Text>>,
    /// A file of PEM certificates. The nodes trust them for `urls`.
    pub ca_file: Option<Text>,
}
