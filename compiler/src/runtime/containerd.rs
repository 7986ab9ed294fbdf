//! containerd: config.toml(5), and its "Registry Configuration".

use std::fmt::Write as _;

use anyhow::Result;

use super::registries;
use crate::config::{Config, PRIVATE, PUBLIC};
use crate::fragments;
use nkd_model::version::Version;
use nkd_model::{Access, Cluster, Insecure, Registry, server, server_host};

/// The configuration file that nkd writes.
pub const CONFIG: &str = "/etc/containerd/config.toml";
/// The directory with one subdirectory for each registry.
const REGISTRIES: &str = "/etc/containerd/certs.d";

pub(super) fn files(config: &mut Config, cluster: &Cluster, separate: bool) -> Result<()> {
    let selinux = if separate {
        "\n  enable_selinux = true"
    } else {
        ""
    };
    let credentials = credentials(cluster);
    let values = [
        ("credentials", &*credentials),
        ("registries", REGISTRIES),
        ("sandboxImage", &cluster.sandbox_image),
        ("selinux", selinux),
    ];
    let runtime = fragments::fill(fragments::CONTAINERD, &values)?;
    let mode = if credentials.is_empty() {
        PUBLIC
    } else {
        PRIVATE
    };
    config.file(CONFIG, mode, runtime).from("runtime");
    for registry in &cluster.registries {
        hosts(config, registry);
    }
    Ok(())
}

/// Credentials by host, which containerd 1 sends to the token servers of registries, such as those of
/// Docker Hub and GHCR. containerd 1 sends a header to registries only. containerd 2 sends the header to
/// both, and deprecates these credentials.
fn credentials(cluster: &Cluster) -> String {
    if !takes_version_1(cluster.version) {
        return String::new();
    }
    let mut text = String::new();
    for (host, credentials) in registries::credentials_by_host(cluster) {
        let host = server_host(host);
        let credentials = credentials.expose();
        let _ = write!(
            text,
            "\n\n    [plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"{host}\".auth]\n      \
             auth = \"{credentials}\""
        );
    }
    text
}

/// Whether kubelet supports containerd before 2.0 (1.35 is the last such release).
const fn takes_version_1(kubernetes: Version) -> bool {
    kubernetes.minor < 36
}

/// The settings of one registry and its mirrors. Those at the top, before the mirrors, are of the registry
/// itself, which containerd tries last.
fn hosts(config: &mut Config, registry: &Registry) {
    let directory = format!("{REGISTRIES}/{}", registry.host);
    let mut hosts = String::new();
    // Without this line, the server is the registry in the image's name.
    if let Some(url) = server(&registry.host, registry.access.insecure) {
        let _ = writeln!(hosts, "server = \"{url}\"");
    }
    let itself = (registry.mirrors.len(), &registry.access);
    hosts.push_str(&access(config, &directory, itself, "", ""));
    for (index, mirror) in registry.mirrors.iter().enumerate() {
        let url = mirror.api();
        let table = format!("host.\"{url}\".");
        let _ = write!(
            hosts,
            "\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        if !mirror.path().is_empty() {
            // The whole path is given; without it containerd adds one of its own.
            hosts.push_str("  override_path = true\n");
        }
        hosts.push_str(&access(
            config,
            &directory,
            (index, &mirror.access),
            &table,
            "  ",
        ));
    }
    let hosts = hosts.trim_start();
    config
        .file(format!("{directory}/hosts.toml"), PRIVATE, hosts)
        .from("runtime.registries");
}

/// How containerd reaches a registry or a mirror, and the file of its authority. `table` is the beginning of
/// the name of its tables.
fn access(
    config: &mut Config,
    directory: &str,
    (index, access): (usize, &Access),
    table: &str,
    indent: &str,
) -> String {
    let mut text = String::new();
    if access.insecure == Some(Insecure::UnverifiedTls) {
        let _ = writeln!(text, "{indent}skip_verify = true");
    }
    if let Some(authority) = &access.certificate_authority {
        let path = format!("{directory}/ca-{index}.crt");
        let _ = writeln!(text, "{indent}ca = \"{path}\"");
        config
            .file(path, PUBLIC, authority)
            .from("runtime.registries");
    }
    if let Some(credentials) = &access.credentials {
        let credentials = credentials.expose();
        let _ = writeln!(text, "{indent}[{table}header]");
        let _ = writeln!(text, "{indent}  authorization = \"Basic {credentials}\"");
    }
    text
}
