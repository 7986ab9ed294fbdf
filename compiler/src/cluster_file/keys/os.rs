use nkd_document::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Text;

/// `os`, of the cluster, of a pool and of a node
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Os {
    /// Files of your Ignition configs, merged with nkd's part.
    #[serde(default)]
    pub ignition: Vec<Text>,
    /// Files of your Butane configs, merged with nkd's part.
    #[serde(default)]
    pub butane: Vec<Text>,
    /// What your configs may change in nkd's part: paths, units, drop-ins as UNIT.d/NAME, users.
    #[serde(default, rename = "override")]
    pub overrides: Vec<Text>,
    /// Users of the system.
    #[serde(default)]
    pub users: Vec<User>,
    /// The OS image that the machine boots into first, as REPOSITORY@sha256:DIGEST. Needs rpm-ostree.
    pub release_image: Option<Text>,
    /// Kernel arguments, each an item of its own.
    #[serde(default)]
    pub kernel_arguments: Vec<Text>,
    /// Time servers.
    #[serde(default)]
    pub ntp: Vec<Text>,
    /// The proxy of the container runtime and kubelet.
    pub proxy: Option<Proxy>,
    /// Lines of `/etc/hosts`.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Files of PEM certificates that the whole system trusts.
    #[serde(default)]
    pub trust: Vec<Text>,
    /// With `container-separation` the container runtime gives each container an SELinux label of its own. The
    /// control plane's pods get the type spc_t, since they need files of the host. Without it the
    /// runtime's default applies. Control planes need Kubernetes 1.22.
    pub selinux: Option<Spanned<Selinux>>,
}

/// What SELinux separates
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Selinux {
    /// Each container from the host and from the other containers.
    ContainerSeparation,
}

/// An item of `os.users`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The login name.
    #[schemars(required)]
    pub name: Option<Text>,
    /// Public SSH keys, each a line of a .pub file.
    #[serde(default)]
    pub ssh_authorized_keys: Vec<Text>,
    /// The hash of a password, as `mkpasswd` prints it.
    pub password_hash: Option<Text>,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<Text>,
}

/// `os.proxy`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// The URL of the proxy for http.
    pub http: Option<Text>,
    /// The URL of the proxy for https.
    pub https: Option<Text>,
    /// Names, addresses and networks that are reached without the proxy. nkd adds the node itself, the endpoint,
    /// and the networks of pods and services.
    #[serde(default)]
    pub no_proxy: Vec<Text>,
}

/// An item of `os.hosts`
#[derive(Deserialize, JsonSchema)]
pub struct Host {
    /// The IP address.
    #[schemars(required)]
    pub address: Option<Text>,
    /// The DNS names of the address, at least one.
    #[serde(default)]
    pub names: Vec<Text>,
}
