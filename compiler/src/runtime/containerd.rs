//! containerd: config.toml(5), and its "Registry Configuration".

use std::fmt::Write as _;

use anyhow::Result;

use super::registries;
use crate::config::{Config, PRIVATE, PUBLIC};
use crate::fragments;
use nkd_model::version::Version;
use nkd_model::{Cluster, Insecure, Registry, server, server_host};

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

/// The settings of one registry and its mirrors.
fn hosts(config: &mut Config, registry: &Registry) {
    let directory = format!("{REGISTRIES}/{}", registry.host);
    // Without this line, the server is the registry in the image's name.
    let own_url = server(&registry.host, registry.access.insecure);
    let mut hosts = own_url
        .as_ref()
        .map_or_else(String::new, |url| format!("server = \"{url}\"\n"));
    let mirrors = registry.mirrors.iter().map(|mirror| {
        let has_path = !mirror.path().is_empty();
        (mirror.api(), has_path, &mirror.access, "pull\", \"resolve")
    });
    // The registry itself comes last, and only if it is reached in a way of its own.
    let configured = Some(&registry.access).filter(|access| !access.is_plain());
    let itself = configured.zip(own_url);
    let itself = itself.map(|(access, url)| (url, false, access, "pull\", \"resolve\", \"push"));
    for (index, (url, has_path, access, can)) in mirrors.chain(itself).enumerate() {
        let _ = write!(hosts, "\n[host.\"{url}\"]\n  capabilities = [\"{can}\"]\n");
        if has_path {
            // The whole path is given; without it containerd adds one of its own.
            hosts.push_str("  override_path = true\n");
        }
        if access.insecure == Some(Insecure::UnverifiedTls) {
            hosts.push_str("  skip_verify = true\n");
        }
        if let Some(authority) = &access.certificate_authority {
            let path = format!("{directory}/ca-{index}.crt");
            let _ = writeln!(hosts, "  ca = \"{path}\"");
            config
                .file(path, PUBLIC, authority)
                .from("runtime.registries");
        }
        if let Some(credentials) = &access.credentials {
            let credentials = credentials.expose();
            let _ = writeln!(hosts, "  [host.\"{url}\".header]");
            let _ = writeln!(hosts, "    authorization = \"Basic {credentials}\"");
        }
    }
    let hosts = hosts.trim_start();
    config
        .file(format!("{directory}/hosts.toml"), PRIVATE, hosts)
        .from("runtime.registries");
}
