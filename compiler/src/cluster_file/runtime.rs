//! `spec.runtime`: the container runtime, and the registries from which it pulls images.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Runtime;
use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use super::checks::Text;
use super::files::Files;
use super::patterns;
use crate::image_name::full;
use crate::runtime::{mirrors_only_docker_hub, pulls_sandbox_itself};
use nkd_document::yaml::Both;
use nkd_document::{Code, Diagnostics, Span, Spanned};
use nkd_model::version::Version;
use nkd_model::{self as model, DOCKER_HUB, HttpUrl, Insecure, OTHER_REGISTRIES, Secret, server};

/// `spec.runtime`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Runtime")]
pub struct RuntimeKeys {
    /// The container runtime, which the OS image must contain. containerd must be older than 2.0 before
    /// Kubernetes 1.23, and 1.6 or later from Kubernetes 1.26 on. From 1.24 on, docker also needs
    /// cri-dockerd. From 1.26 on, isulad must be 2.1.5 or later.
    #[schemars(extend("default" = "containerd"))]
    pub name: Spanned<RuntimeName>,
    /// The image of the sandbox container of each pod, with a tag or a digest. By default the one that belongs
    /// to the Kubernetes version.
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
    /// Docker, with kubelet's dockershim or with cri-dockerd.
    Docker,
}

/// An item of `spec.runtime.registries`
pub type Registry = Both<RegistryKeys, Access>;

/// An item of `spec.runtime.registries`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Registry")]
pub struct RegistryKeys {
    /// HOST or HOST:PORT, as at the beginning of image names. With containerd, `_default` stands for all
    /// registries that are not in this list; it can only have `mirrors`. Such a mirror gets the name of the
    /// registry in the query `ns` of the URL.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::REGISTRY))]
    pub host: Option<Text>,
    /// Mirrors that the runtime tries before the registry, in this order.
    #[serde(default)]
    pub mirrors: Vec<Mirror>,
}

/// An item of a registry's `mirrors`
pub type Mirror = Both<MirrorKeys, Access>;

/// An item of a registry's `mirrors`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Mirror")]
pub struct MirrorKeys {
    /// An http or https URL. Its path is put before the names of images on the mirror: with
    /// `https://HOST/k8s`, the runtime pulls `registry.k8s.io/pause` as `HOST/k8s/pause`. A path that
    /// contains `/v2` is the path of the registry's API itself.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::PLAIN_URL))]
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
    /// Permits a connection on which the runtime cannot verify the server, so that others in the network can
    /// replace images: `plain-http` for a registry without TLS (for a mirror, write the URL with http), and
    /// `unverified-tls` for a certificate that is not verified. CRI-O and Docker permit both with either value.
    /// iSulad does not support `unverified-tls`.
    pub insecure: Option<Spanned<Insecure>>,
}

/// `auth` of a registry or mirror
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// The user's name.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::USER_NAME))]
    pub username: Option<Text>,
    /// A file that contains the password.
    #[schemars(required)]
    pub password_file: Option<Text>,
}

/// Checks the runtime and its registries, and returns them with the full name of the sandbox image.
pub fn runtime(
    file: RuntimeKeys,
    version: Option<Version>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> (Runtime, String, Vec<model::Registry>) {
    let runtime = runtime_of(file.name.value, version);
    let registries = registries(file.registries, runtime, files, to);
    let sandbox = file
        .sandbox_image
        .map(|image| full(&image.value))
        .unwrap_or_default();
    gets_sandbox(file.name.span, runtime, &sandbox, &registries, to);
    (runtime, sandbox, registries)
}

/// kubelet uses Docker through its own dockershim, or, since dockershim was removed, through cri-dockerd
/// (Kubernetes changelog 1.24, "dockershim removed").
fn runtime_of(name: RuntimeName, version: Option<Version>) -> Runtime {
    match name {
        RuntimeName::Containerd => Runtime::Containerd,
        RuntimeName::Crio => Runtime::Crio,
        RuntimeName::Isulad => Runtime::Isulad,
        RuntimeName::Docker if version.is_none_or(|version| version.minor < 24) => Runtime::Docker,
        RuntimeName::Docker => Runtime::CriDockerd,
    }
}

/// Reports a sandbox image that the runtime could not pull, because it has no credentials.
fn gets_sandbox(
    name: Span,
    runtime: Runtime,
    sandbox: &str,
    registries: &[model::Registry],
    to: &mut Diagnostics,
) {
    let of_sandbox =
        |registry: &&model::Registry| sandbox.starts_with(&format!("{}/", registry.host));
    let registry = registries.iter().find(of_sandbox);
    if pulls_sandbox_itself(runtime)
        && registry.is_some_and(|registry| registry.access.credentials.is_some())
    {
        let message = format!(
            "{runtime} pulls {sandbox} without credentials, but this registry requires them"
        );
        let help =
            "set `spec.runtime.sandboxImage` to an image that can be pulled without credentials";
        to.report_with_help(Code::Runtime, name, message, help);
    }
}

/// Checks the registries, and whether the runtime supports their settings.
fn registries(
    file: Vec<Registry>,
    runtime: Runtime,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Vec<model::Registry> {
    let mut seen = Seen::new(runtime);
    let mut registries = Vec::new();
    for registry in file {
        let host = registry.own.host.as_ref();
        let insecure = registry.shared.insecure.as_ref();
        let own_url = host.and_then(|host| server(&host.value, insecure.map(|value| value.value)));
        let mut urls: HashSet<String> = own_url.into_iter().collect();
        let mirrors = registry.own.mirrors.into_iter().filter_map(|mirror| {
            let access = access(&mirror.shared, files, to);
            let text = mirror.own.url?;
            let span = text.span;
            let url = mirror_url(&text, to)?;
            // A runtime's configuration with one twice can't be read.
            if !urls.insert(url.as_str().to_owned()) {
                let message = format!(
                    "the mirror `{}` is listed twice, or is the registry itself",
                    url.as_str()
                );
                to.report(Code::Registry, span, message);
            }
            let made = model::Mirror { url, access };
            seen.mirror(host?, &made, span, to);
            seen.access(made.host(), &made.access, &mirror.shared, to);
            insecure_mirror(&made, &mirror.shared, span, to);
            if let Some(auth) = &mirror.shared.auth {
                seen.mirror_auth(auth, span, to);
            }
            Some(made)
        });
        let mirrors: Vec<_> = mirrors.collect();
        let access = access(&registry.shared, files, to);
        let Some(host) = registry.own.host else {
            continue;
        };
        let is_duplicate = registries
            .iter()
            .any(|other: &model::Registry| other.host == host.value);
        if host.value == OTHER_REGISTRIES {
            seen.other_registries(&host, &registry.shared, &mirrors, to);
        }
        check_host(&host, is_duplicate, to);
        seen.access(&host.value, &access, &registry.shared, to);
        seen.insecure_hub(&host.value, &registry.shared, to);
        registries.push(model::Registry {
            host: host.value,
            access,
            mirrors,
        });
    }
    registries
}

fn check_host(host: &Text, is_duplicate: bool, to: &mut Diagnostics) {
    if host.value != OTHER_REGISTRIES && !checks::is_registry_host(&host.value) {
        let message = format!("`{}` is not a valid registry host", host.value);
        to.report(Code::Registry, host.span, message);
    } else if is_duplicate {
        let message = format!("duplicate registry `{}`", host.value);
        to.report(Code::Registry, host.span, message);
    }
}

/// Reports settings that the configuration of a runtime does not support.
struct Seen {
    runtime: Runtime,
    /// Credentials by host.
    credentials: HashMap<String, Secret>,
}

impl Seen {
    fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            credentials: HashMap::new(),
        }
    }

    /// The name of a runtime that supports mirrors of Docker Hub only.
    fn knows_docker_hub_alone(&self) -> Option<&'static str> {
        let name = match self.runtime {
            Runtime::CriDockerd => Runtime::Docker.name(),
            runtime => runtime.name(),
        };
        mirrors_only_docker_hub(self.runtime).then_some(name)
    }

    fn mirror(
        &self,
        registry: &Spanned<String>,
        mirror: &model::Mirror,
        span: Span,
        to: &mut Diagnostics,
    ) {
        let path = mirror.path();
        if let Some(name) = self.knows_docker_hub_alone() {
            if registry.value != DOCKER_HUB {
                let message = format!("{name} supports mirrors only for {DOCKER_HUB}");
                let help = "use the mirror's host in the image names, or use containerd or crio";
                to.report_with_help(Code::Registry, registry.span, message, help);
            } else if !path.is_empty() {
                let message = format!("{name} does not support a path in a mirror's URL");
                let help = "write https://HOST or https://HOST:PORT, or use containerd or crio";
                to.report_with_help(Code::Registry, span, message, help);
            }
        } else if self.runtime == Runtime::Crio && mirror.location().is_none() {
            let message = format!("crio does not support a path before `/v2`, as in `{path}`");
            let help = "serve the mirror at the root of its host, or use containerd";
            to.report_with_help(Code::Registry, span, message, help);
        }
    }

    fn mirror_auth(&self, auth: &Auth, url: Span, to: &mut Diagnostics) {
        if let Some(name) = self.knows_docker_hub_alone() {
            let span = auth.username.as_ref().map_or(url, |name| name.span);
            let message = format!("{name} does not support credentials for mirrors");
            let help = "use a mirror that requires no credentials, or use containerd or crio";
            to.report_with_help(Code::Auth, span, message, help);
        }
    }

    fn access(
        &mut self,
        host: &str,
        access: &model::Access,
        written: &Access,
        to: &mut Diagnostics,
    ) {
        if let (Some(name), Some(file)) = (self.knows_docker_hub_alone(), &written.ca_file)
            && host == DOCKER_HUB
        {
            let message = format!(
                "{name} does not support `caFile` for {DOCKER_HUB}: it uses the system's authorities"
            );
            to.report_with_help(
                Code::Registry,
                file.span,
                message,
                "list the file in `spec.os.trust`",
            );
        }
        self.insecure(host, written, to);
        let (Some(credentials), Some(auth)) = (&access.credentials, &written.auth) else {
            return;
        };
        let earlier = self
            .credentials
            .insert(host.to_owned(), credentials.clone());
        if let Some(username) = &auth.username
            && earlier.is_some_and(|earlier| earlier != *credentials)
        {
            let message = format!("`{host}` already has different credentials");
            let help = "use the same credentials for each `auth` of this host";
            to.report_with_help(Code::Auth, username.span, message, help);
        }
    }
}

impl Seen {
    /// `_default`, whose settings containerd uses for every registry without settings of its own.
    fn other_registries(
        &self,
        host: &Spanned<String>,
        written: &Access,
        mirrors: &[model::Mirror],
        to: &mut Diagnostics,
    ) {
        let has_more =
            written.ca_file.is_some() || written.auth.is_some() || written.insecure.is_some();
        if has_more || mirrors.is_empty() {
            let message = format!("`{OTHER_REGISTRIES}` can only have `mirrors`, at least one");
            let help = "set `caFile`, `auth` and `insecure` on each mirror, or on a registry with its own `host`";
            to.report_with_help(Code::Registry, host.span, message, help);
        }
        // The other runtimes support mirrors of Docker Hub alone, which was reported.
        if self.runtime == Runtime::Crio {
            let message = "crio does not support mirrors for all registries";
            let help = "list each registry with its own `host`, or use containerd";
            to.report_with_help(Code::Registry, host.span, message, help);
        }
    }

    /// Warns about a connection that is not verified, and reports one that the runtime does not support.
    fn insecure(&self, host: &str, written: &Access, to: &mut Diagnostics) {
        let Some(insecure) = &written.insecure else {
            return;
        };
        if let Some(file) = &written.ca_file {
            let message = "`caFile` has no effect together with `insecure`";
            to.report_with_help(Code::Registry, file.span, message, "remove one of the two");
        }
        if self.runtime == Runtime::Isulad && insecure.value == Insecure::UnverifiedTls {
            let message = "isulad cannot turn off the verification of a single registry";
            let help = "set `caFile` to the registry's own certificate or its authority";
            to.report_with_help(Code::Registry, insecure.span, message, help);
            return;
        }
        let password = match written.auth {
            Some(_) => " and read its password",
            None => "",
        };
        let message = format!(
            "the runtime does not verify {host}, so others in the network can replace its images{password}"
        );
        to.warn(Code::InsecureRegistry, insecure.span, message);
    }

    /// Docker Hub itself, whose settings some runtimes do not read.
    fn insecure_hub(&self, host: &str, written: &Access, to: &mut Diagnostics) {
        if let (Some(name), Some(insecure)) = (self.knows_docker_hub_alone(), &written.insecure)
            && host == DOCKER_HUB
        {
            let message = format!("{name} does not support `insecure` for {DOCKER_HUB}");
            let help = "set `insecure` on a mirror, or use containerd or crio";
            to.report_with_help(Code::Registry, insecure.span, message, help);
        }
    }
}

/// Checks that a mirror's `insecure` fits its URL, and warns about a password that everybody can read.
fn insecure_mirror(mirror: &model::Mirror, written: &Access, url: Span, to: &mut Diagnostics) {
    if let Some(insecure) = &written.insecure {
        let help = match (insecure.value, mirror.url.is_https()) {
            (Insecure::UnverifiedTls, true) => return,
            (Insecure::PlainHttp, true) => "remove it, and write the URL with http",
            (_, false) => "remove it: the scheme of the URL is http",
        };
        let message = "the `insecure` of a mirror can only be `unverified-tls`, with an https URL";
        to.report_with_help(Code::Registry, insecure.span, message, help);
    } else if !mirror.url.is_https() && written.auth.is_some() {
        let message = format!(
            "others in the network can read the password for {}: the URL is not https",
            mirror.host()
        );
        to.warn(Code::InsecureRegistry, url, message);
    }
}

/// The name goes into a header of its own, so a URL with one would only seem to work.
fn mirror_url(text: &Spanned<String>, to: &mut Diagnostics) -> Option<HttpUrl> {
    let directory = text.value.trim_end_matches('/').to_owned();
    let url = checks::url(&Spanned::new(directory, text.span), to)?;
    if url.host().contains('_') {
        let message = "the host of a mirror must not contain `_`, because image names cannot contain such a host";
        to.report(Code::Registry, text.span, message);
        return None;
    }
    if !url.is_plain() || url.path().contains('@') {
        to.report(
            Code::Registry,
            text.span,
            "the URL of a mirror must not contain a user name or a query",
        );
        return None;
    }
    Some(url)
}

fn access(file: &Access, files: &Files<'_>, to: &mut Diagnostics) -> model::Access {
    let auth = file.auth.as_ref();
    let ca_file = file.ca_file.as_ref();
    model::Access {
        insecure: file.insecure.as_ref().map(|insecure| insecure.value),
        certificate_authority: ca_file.and_then(|name| files.certificates(name, to)),
        credentials: auth.and_then(|auth| credentials(auth, files, to)),
    }
}

fn credentials(auth: &Auth, files: &Files<'_>, to: &mut Diagnostics) -> Option<Secret> {
    let (username, file) = (auth.username.as_ref()?, auth.password_file.as_ref()?);
    let password = files.password(file, to)?;
    if username.value.is_empty() || username.value.contains([':', '\n']) {
        let message = "`username` must not be empty or contain `:`";
        to.report(Code::Auth, username.span, message);
    }
    let pair = Secret::new(format!("{}:{}", username.value, password.expose()));
    Some(Secret::new(STANDARD.encode(pair.expose())))
}
