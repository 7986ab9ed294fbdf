//! CRI-O: crio.conf(5), containers-registries.conf(5), containers-certs.d(5),
//! containers-auth.json(5).

use std::fmt::Write as _;

use anyhow::Result;
use nkd_contract::Images;

use super::registries;
use crate::config::{Config, PRIVATE, PUBLIC};
use crate::fragments;
use nkd_model::Cluster;
use nkd_model::version::Version;

/// The configuration file that nkd writes.
pub const CONFIG: &str = "/etc/crio/crio.conf.d/90-nkd.conf";
const CREDENTIALS: &str = "/etc/crio/nkd-auth.json";
/// The images that CRI-O pins.
pub const PINNED: &str = "/etc/crio/crio.conf.d/91-nkd-pinned.conf";
/// The file with CRI-O's setting for separating containers.
pub const SELINUX: &str = "/etc/crio/crio.conf.d/92-nkd-selinux.conf";

/// Whether CRI-O supports a list of pinned images, which it does since 1.28. CRI-O has the version
/// numbers of Kubernetes.
pub(super) const fn pins_images(version: Version) -> bool {
    version.minor >= 28
}

/// `pinned` are the images that CRI-O never removes.
pub(super) fn files(
    config: &mut Config,
    cluster: &Cluster,
    pinned: Option<&Images>,
    separate: bool,
) -> Result<()> {
    let values = [
        ("credentials", CREDENTIALS),
        ("sandboxImage", &cluster.sandbox_image),
    ];
    let runtime = fragments::fill(fragments::CRIO, &values)?;
    config.file(CONFIG, PUBLIC, runtime).from("runtime");
    if let Some(images) = pinned {
        let mut names: Vec<_> = images.required.iter().map(|image| &*image.name).collect();
        names.sort_unstable();
        let lines: Vec<_> = names.iter().map(|name| format!("  \"{name}\",")).collect();
        let values = [("images", &*lines.join("\n"))];
        let pinned = fragments::fill(fragments::CRIO_PINNED, &values)?;
        config.file(PINNED, PUBLIC, pinned).from("airgap");
    }
    if separate {
        let selinux = fragments::CRIO_SELINUX;
        config.file(SELINUX, PUBLIC, selinux).from("os.selinux");
    }
    config
        .file(
            "/etc/containers/registries.conf.d/90-nkd.conf",
            PUBLIC,
            registries_conf(cluster),
        )
        .from("runtime.registries");
    registries::certificates(config, cluster, "/etc/containers/certs.d");
    let credentials = registries::credentials(cluster, |host| host)?;
    config
        .file(CREDENTIALS, PRIVATE, credentials)
        .from("runtime.registries");
    Ok(())
}

/// The mirrors, and the registries that CRI-O does not have to verify.
fn registries_conf(cluster: &Cluster) -> String {
    let mut text = fragments::CRIO_REGISTRIES.to_owned();
    for registry in &cluster.registries {
        let (host, insecure) = (&registry.host, registry.access.insecure.is_some());
        if registry.mirrors.is_empty() && !insecure {
            continue;
        }
        let _ = write!(
            text,
            "\n[[registry]]\nprefix = \"{host}\"\nlocation = \"{host}\"\n"
        );
        if insecure {
            text.push_str("insecure = true\n");
        }
        for mirror in &registry.mirrors {
            // One without a location is refused for CRI-O.
            let location = mirror.location().unwrap_or_default();
            let _ = write!(
                text,
                "[[registry.mirror]]\nlocation = \"{location}\"\ninsecure = {}\n",
                !mirror.url.is_https() || mirror.access.insecure.is_some()
            );
        }
    }
    text
}
