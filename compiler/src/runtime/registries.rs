//! The settings of registries that several runtimes have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use anyhow::Result;
use serde_json::json;

use crate::config::{Config, PRIVATE, PUBLIC};
use crate::fragments;
use nkd_model::{Access, Cluster, DOCKER_HUB, Mirror, Secret};

/// The directory in which kubelet finds credentials. It is not kubelet's data directory, which `kubeadm
/// reset` empties.
const CREDENTIALS: &str = "/etc/nkd/registries";

/// The mirrors of Docker Hub, the only mirrors that some runtimes support.
pub(super) fn mirrors(cluster: &Cluster) -> impl Iterator<Item = &Mirror> {
    let hub = cluster
        .registries
        .iter()
        .filter(|registry| registry.host == DOCKER_HUB);
    hub.flat_map(|registry| &registry.mirrors)
}

/// All registries and mirrors by their `host` or `host:port`.
fn hosts(cluster: &Cluster) -> impl Iterator<Item = (&str, &Access)> {
    cluster.registries.iter().flat_map(|registry| {
        let mirrors = registry.mirrors.iter();
        let of_mirrors = mirrors.map(|mirror| (mirror.host(), &mirror.access));
        iter::once((&*registry.host, &registry.access)).chain(of_mirrors)
    })
}

/// The registries and mirrors that the runtime does not have to verify.
pub(super) fn insecure(cluster: &Cluster) -> BTreeSet<&str> {
    let insecure = hosts(cluster).filter(|(_, access)| access.insecure.is_some());
    insecure.map(|(host, _)| host).collect()
}

/// Adds a directory for each registry, with the authorities that the runtime trusts for it.
pub(super) fn certificates(config: &mut Config, cluster: &Cluster, root: &str) {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, access) in hosts(cluster) {
        let authority = access.certificate_authority.as_deref();
        if let Some(authority) = authority {
            let known = all.entry(host).or_default();
            if !known.contains(&authority) {
                known.push(authority);
            }
        }
    }
    for (host, authorities) in all {
        config
            .file(
                format!("{root}/{host}/nkd.crt"),
                PUBLIC,
                authorities.concat(),
            )
            .from("runtime.registries");
    }
}

/// The credentials for each registry and mirror that has any.
pub(super) fn credentials_by_host(cluster: &Cluster) -> BTreeMap<&str, &Secret> {
    let all =
        hosts(cluster).filter_map(|(host, access)| Some((host, access.credentials.as_ref()?)));
    all.collect()
}

/// A file with credentials in the format of Docker's client. `key` returns the name of a registry in this
/// file.
pub(super) fn credentials(cluster: &Cluster, key: fn(&str) -> &str) -> Result<String> {
    let by_host = credentials_by_host(cluster).into_iter();
    let auths: BTreeMap<_, _> = by_host
        .map(|(host, credentials)| (key(host), json!({"auth": credentials.expose()})))
        .collect();
    let file = json!({ "auths": auths });
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}

/// Adds credentials for a runtime that has no file for them. kubelet passes the credentials to it with
/// each pull.
pub(super) fn for_kubelet(config: &mut Config, cluster: &Cluster) -> Result<()> {
    if credentials_by_host(cluster).is_empty() {
        return Ok(());
    }
    let credentials = credentials(cluster, |host| match host {
        DOCKER_HUB => "https://index.docker.io/v1/",
        host => host,
    })?;
    config
        .file(format!("{CREDENTIALS}/config.json"), PRIVATE, credentials)
        .from("runtime.registries");
    let values = [("directory", CREDENTIALS)];
    let dropin = fragments::fill(fragments::KUBELET_REGISTRIES, &values)?;
    config
        .file(
            "/etc/systemd/system/kubelet.service.d/20-registries.conf",
            PUBLIC,
            dropin,
        )
        .from("runtime.registries");
    Ok(())
}
