//! Docker, through dockershim or cri-dockerd: dockerd(8), "Daemon configuration file".

use anyhow::Result;
use nkd_contract::Runtime;
use serde_json::{Value, json};

use super::registries;
use crate::config::{Config, PUBLIC};
use crate::fragments;
use nkd_model::Cluster;

/// The configuration file that nkd writes.
pub const CONFIG: &str = "/etc/docker/daemon.json";
/// The drop-in that sets the arguments of cri-dockerd.
pub const CRI_DOCKERD: &str = "/etc/systemd/system/cri-docker.service.d/10-nkd.conf";
/// kubelet's argument for the sandbox image, which its dockershim uses.
pub const SANDBOX_ARGUMENT: &str = "pod-infra-container-image";

pub(super) fn files(config: &mut Config, cluster: &Cluster, separate: bool) -> Result<()> {
    let mut daemon: Value = serde_json::from_str(fragments::DOCKER)?;
    let mirrors: Vec<_> = registries::mirrors(cluster)
        .map(|mirror| mirror.url.as_str())
        .collect();
    if !mirrors.is_empty() {
        daemon["registry-mirrors"] = json!(mirrors);
    }
    let insecure = registries::insecure(cluster);
    if !insecure.is_empty() {
        daemon["insecure-registries"] = json!(insecure);
    }
    if separate {
        daemon["selinux-enabled"] = json!(true);
    }
    let daemon = serde_json::to_string_pretty(&daemon)? + "\n";
    config.file(CONFIG, PUBLIC, daemon).from("runtime");
    registries::certificates(config, cluster, "/etc/docker/certs.d");
    if cluster.runtime == Runtime::CriDockerd {
        let values = [("sandboxImage", &*cluster.sandbox_image)];
        let dropin = fragments::fill(fragments::CRI_DOCKERD, &values)?;
        config.file(CRI_DOCKERD, PUBLIC, dropin).from("runtime");
    }
    registries::for_kubelet(config, cluster)
}
