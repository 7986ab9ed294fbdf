//! `os`: settings of the operating system.

use std::collections::HashSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use super::checks::Text;
use super::extensions::{self, Extension};
use super::files::Files;
use super::patterns;
use crate::config::accounts::{is_password_hash, is_ssh_key};
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::{self as model, Own, Secret};

/// `os`, of the cluster, of a pool and of a node
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Os {
    /// Files of your Ignition configs, merged with nkd's part.
    #[serde(default)]
    pub ignition: Vec<Text>,
    /// Files of your Butane configs, merged with nkd's part.
    #[serde(default)]
    pub butane: Vec<Text>,
    /// The parts of nkd's config that your configs may change: paths, units, drop-ins as UNIT.d/NAME,
    /// users.
    #[serde(default, rename = "override")]
    pub overrides: Vec<Text>,
    /// Users of the system.
    #[serde(default)]
    pub users: Vec<User>,
    /// The OS image that the machine deploys and boots before the rest of the installation, as
    /// REPOSITORY@sha256:DIGEST. Requires rpm-ostree.
    #[schemars(regex(pattern = patterns::PINNED_IMAGE))]
    pub release_image: Option<Text>,
    /// Kernel arguments, one per item.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::KERNEL_ARGUMENT)))]
    pub kernel_arguments: Vec<Text>,
    /// Time servers.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::PLAIN_HOST)))]
    pub ntp: Vec<Text>,
    /// The proxy of the container runtime and kubelet.
    pub proxy: Option<Proxy>,
    /// Lines of `/etc/hosts`.
    #[serde(default)]
    pub hosts: Vec<HostsEntry>,
    /// Files of PEM certificates that the whole system trusts.
    #[serde(default)]
    pub trust: Vec<Text>,
    /// System extensions, with which an OS image without the agent or without Kubernetes becomes a node; see
    /// [stock-image.md](stock-image.md). A node has those of the cluster, of its pool and of its own. Requires systemd 248
    /// or later.
    #[serde(default)]
    pub extensions: Vec<Spanned<Extension>>,
    /// With `container-separation`, the container runtime gives each container its own SELinux label. The
    /// pods of the control plane get the type `spc_t`, because they need files of the host. Without this
    /// key, the default of the runtime applies.
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
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The login name.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::LOGIN_NAME))]
    pub name: Option<Text>,
    /// Public SSH keys, each as in its .pub file.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::SSH_KEY)))]
    pub ssh_authorized_keys: Vec<Text>,
    /// The hash of a password, as `mkpasswd` prints it.
    #[schemars(regex(pattern = patterns::PASSWORD_HASH))]
    pub password_hash: Option<Text>,
    /// Supplementary groups.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::LOGIN_NAME)))]
    pub groups: Vec<Text>,
}

/// `os.proxy`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// The URL of the proxy for http.
    #[schemars(regex(pattern = patterns::URL))]
    pub http: Option<Text>,
    /// The URL of the proxy for https.
    #[schemars(regex(pattern = patterns::URL))]
    pub https: Option<Text>,
    /// Names, addresses and networks that are reached without the proxy. nkd adds the node itself, the endpoint,
    /// and the networks of pods and services.
    #[serde(default, rename = "noProxy")]
    #[schemars(inner(regex(pattern = patterns::NO_PROXY)))]
    pub direct: Vec<Text>,
}

/// An item of `os.hosts`
#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Host")]
pub struct HostsEntry {
    /// The IP address.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::ADDRESS))]
    pub address: Option<Text>,
    /// The DNS names of the address, at least one.
    #[serde(default)]
    #[schemars(length(min = 1), inner(regex(pattern = patterns::DNS_NAME)))]
    pub names: Vec<Text>,
}

/// `os` of the cluster, a pool or a node.
pub struct OsLevel {
    /// The settings that are copied into the config of each node.
    pub settings: model::OsSettings,
    /// The user's own configs.
    pub own: Arc<Own>,
}

/// Checks `os`.
pub fn os(file: Os, files: &Files<'_>, to: &mut Diagnostics) -> OsLevel {
    let own = files.own_configs(&file.ignition, &file.butane, file.overrides, to);
    let users = file.users;
    let mut seen = HashSet::new();
    for name in users.iter().filter_map(|user| user.name.as_ref()) {
        if !seen.insert(&name.value) {
            let message = format!("duplicate user `{}`", name.value);
            to.report(Code::User, name.span, message);
        }
    }
    let users = users.into_iter();
    let names = file.hosts.into_iter();
    let arguments = file.kernel_arguments.into_iter();
    let servers = file.ntp;
    for server in &servers {
        checks::plain_host(server, to);
    }
    let settings = model::OsSettings {
        users: users.filter_map(|written| user(written, to)).collect(),
        release_image: file
            .release_image
            .and_then(|image| checks::pinned_image(image, to)),
        kernel_arguments: arguments
            .filter_map(|text| kernel_argument(text, to))
            .collect(),
        ntp: without_spans(servers),
        proxy: file.proxy.map(|written| proxy(written, to)),
        hosts: names.filter_map(|written| entry(written, to)).collect(),
        trust: files.trust(&file.trust, to),
        extensions: extensions::extensions(file.extensions, files, to),
        container_separation: file.selinux.map(|mode| match mode.value {
            Selinux::ContainerSeparation => mode.span,
        }),
    };
    OsLevel {
        settings,
        own: own.into(),
    }
}

pub fn without_spans(texts: Vec<Text>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}

fn user(file: User, to: &mut Diagnostics) -> Option<model::User> {
    let groups = file.groups;
    let name = file.name?;
    for name in groups.iter().chain([&name]) {
        if !is_login_name(&name.value) {
            let message = format!("`{}` is not a valid name for a user or group", name.value);
            to.report(Code::User, name.span, message);
        }
    }
    let keys = without_repeats(file.ssh_authorized_keys);
    for key in &keys {
        if !is_ssh_key(&key.value) {
            let message = format!("user `{}`: this is not a public SSH key", name.value);
            to.report(Code::SshKey, key.span, message);
        }
    }
    if let Some(hash) = &file.password_hash
        && !is_password_hash(&hash.value)
    {
        let message = format!("user `{}`: this is not a password hash", name.value);
        to.report(Code::User, hash.span, message);
    }
    Some(model::User {
        name: name.value,
        ssh_authorized_keys: without_spans(keys),
        password_hash: file.password_hash.map(|hash| Secret::new(hash.value)),
        groups: without_spans(without_repeats(groups)),
    })
}

/// Removes duplicates, because Ignition refuses a list with duplicate items.
fn without_repeats(texts: Vec<Text>) -> Vec<Text> {
    let mut seen = HashSet::new();
    let texts = texts.into_iter();
    texts
        .filter(|text| seen.insert(text.value.clone()))
        .collect()
}

/// The names that `useradd` accepts (shadow, `is_valid_name`).
fn is_login_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(inner)
}

/// One argument of the kernel's command line.
fn kernel_argument(text: Text, to: &mut Diagnostics) -> Option<String> {
    let good = !text.value.is_empty() && text.value.chars().all(|c| c.is_ascii_graphic());
    if good {
        return Some(text.value);
    }
    let message = format!("`{}` is not a single kernel argument", text.value);
    to.report(Code::KernelArgument, text.span, message);
    None
}

fn proxy(file: Proxy, to: &mut Diagnostics) -> model::Proxy {
    let mut url = |text: Option<Text>| {
        let text = text?;
        checks::url(&text, to)?;
        Some(Secret::new(text.value))
    };
    let (http, https) = (url(file.http), url(file.https));
    let no_proxy = file.direct;
    for item in &no_proxy {
        let good = !item.value.is_empty()
            && item
                .value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "*.:/-_[]".contains(c));
        if !good {
            let message = format!(
                "`{}` is not a host name, domain, IP address or network",
                item.value
            );
            to.report(Code::NoProxy, item.span, message);
        }
    }
    let no_proxy = without_spans(no_proxy);
    model::Proxy {
        http,
        https,
        direct: no_proxy,
    }
}

fn entry(file: HostsEntry, to: &mut Diagnostics) -> Option<model::HostsEntry> {
    let names = file.names;
    for name in &names {
        checks::dns_name(name, "the host name", to);
    }
    let address = file.address?;
    if names.is_empty() {
        let message = format!("`names` is empty for the address {}", address.value);
        to.report(Code::Hosts, address.span, message);
    }
    Some(model::HostsEntry {
        address: checks::address(&address, to)?,
        names: without_spans(names),
    })
}
