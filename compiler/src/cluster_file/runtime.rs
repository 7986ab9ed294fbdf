//! `spec.runtime`: the container runtime and the registries it pulls from.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Runtime;

use super::checks;
use super::domain::{Access, Registry};
use super::files::Files;
use super::written;
use crate::diagnostics::{Code, Diagnostics, Spanned};
use crate::pki::Secret;
use crate::version::Version;

/// Runtimes Kubernetes knows and `nkd-agent` can't bring up yet.
const OTHERS: [&str; 3] = ["crio", "isulad", "docker"];

/// Checks the runtime's name, and that the Kubernetes version works with it.
pub fn name(
    text: &Spanned<String>,
    version: Option<Version>,
    to: &mut Diagnostics,
) -> Option<Runtime> {
    if !OTHERS.contains(&text.value.as_str()) {
        let found = checks::choice(text, [Runtime::Containerd.name()], |it| it, to);
        return found.map(|_| Runtime::Containerd);
    }
    // Kubernetes changelog 1.24, "dockershim removed".
    let no_dockershim = version.is_some_and(|version| version.minor >= 24);
    let message = if text.value == "docker" && no_dockershim {
        "kubelet can't use docker since Kubernetes 1.24".to_owned()
    } else {
        format!("nkd can't bring up {} yet", text.value)
    };
    to.report(Code::Runtime, text.span, message);
    None
}

/// Checks the registries.
pub fn registries(
    file: Vec<written::Registry>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Vec<Registry> {
    let mut seen = HashSet::new();
    let mut registries = Vec::new();
    for registry in file {
        let access = access(registry.access, files, to);
        let mirrors = registry.mirrors.into_iter().filter_map(|mirror| {
            let access = self::access(mirror.access, files, to);
            Some((mirror_url(mirror.url?, to)?, access))
        });
        let mirrors = mirrors.collect();
        let Some(host) = registry.host else {
            continue;
        };
        if !checks::is_registry_host(&host.value) {
            let message = format!("`{}` is not the host of a registry", host.value);
            to.report(Code::Registry, host.span, message);
        } else if !seen.insert(host.value.clone()) {
            let message = format!("the registry `{}` is there already", host.value);
            to.report(Code::Registry, host.span, message);
        }
        registries.push(Registry {
            host: host.value,
            access,
            mirrors,
        });
    }
    registries
}

/// The name goes into a header of its own, so a URL with one would only seem to work.
fn mirror_url(text: Spanned<String>, to: &mut Diagnostics) -> Option<String> {
    let span = text.span;
    let url = checks::url(text, to)?;
    if url.contains('@') {
        to.report(Code::Registry, span, "a mirror's URL has no user in it");
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn access(file: written::Access, files: &Files<'_>, to: &mut Diagnostics) -> Access {
    let authorization = file.auth.and_then(|auth| {
        let (username, file) = (auth.username?, auth.password_file?);
        let password = files.password(&file, to)?;
        if username.value.is_empty() || username.value.contains([':', '\n']) {
            let message = "a registry's username is not empty and has no `:`";
            to.report(Code::Auth, username.span, message);
        }
        let pair = Secret::new(format!("{}:{}", username.value, password.expose()));
        Some(Secret::new(format!(
            "Basic {}",
            STANDARD.encode(pair.expose())
        )))
    });
    Access {
        certificate_authority: file.ca_file.and_then(|name| files.certificates(&name, to)),
        authorization,
    }
}
