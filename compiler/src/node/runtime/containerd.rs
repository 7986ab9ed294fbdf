//! containerd: config.toml(5), and its "Registry Configuration".

use std::fmt::Write as _;

use anyhow::Result;

use crate::cluster_file::domain::{Access, Cluster, server};
use crate::fragments;
use crate::ignition::{Config, PRIVATE, PUBLIC};

/// One directory for each registry.
const REGISTRIES: &str = "/etc/containerd/certs.d";

pub(super) fn files(config: &mut Config, cluster: &Cluster, separate: bool) -> Result<()> {
    let selinux = if separate {
        "\n  enable_selinux = true"
    } else {
        ""
    };
    let values = [
        ("registries", REGISTRIES),
        ("sandboxImage", &cluster.sandbox_image),
        ("selinux", selinux),
    ];
    let runtime = fragments::fill(fragments::CONTAINERD, &values)?;
    config.file("/etc/containerd/config.toml", PUBLIC, runtime);
    for registry in &cluster.registries {
        let directory = format!("{REGISTRIES}/{}", registry.host);
        let mut hosts = format!("server = \"{}\"\n", server(&registry.host));
        let mirrors = registry.mirrors.iter();
        let mirrors = mirrors.map(|it| (it.url.clone(), &it.access, "pull\", \"resolve"));
        // The registry itself comes last, and only if it is reached in a way of its own.
        let own = Some(&registry.access).filter(|it| !it.is_plain());
        let own = own.map(|it| (server(&registry.host), it, "pull\", \"resolve\", \"push"));
        for (index, (url, access, can)) in mirrors.chain(own).enumerate() {
            let _ = write!(hosts, "\n[host.\"{url}\"]\n  capabilities = [\"{can}\"]\n");
            if url.contains("/v2") {
                // The whole path is given; without it containerd adds one of its own.
                hosts.push_str("  override_path = true\n");
            }
            if let Some(authority) = &access.certificate_authority {
                let path = format!("{directory}/ca-{index}.crt");
                let _ = writeln!(hosts, "  ca = \"{path}\"");
                config.file(path, PUBLIC, authority);
            }
            if let Some(credentials) = &access.credentials {
                let credentials = credentials.expose();
                let _ = writeln!(hosts, "  [host.\"{url}\".header]");
                let _ = writeln!(hosts, "    authorization = \"Basic {credentials}\"");
            }
        }
        config.file(format!("{directory}/hosts.toml"), PRIVATE, hosts);
    }
    Ok(())
}

impl Access {
    fn is_plain(&self) -> bool {
        self.certificate_authority.is_none() && self.credentials.is_none()
    }
}
