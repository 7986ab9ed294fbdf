//! iSulad: its manual's "Deployment Configuration" and "Interconnection with Kubernetes".

use anyhow::Result;
use nkd_contract::Runtime;
use serde_json::{Value, json};

use super::registries;
use crate::config::{Config, PUBLIC};
use crate::fragments;
use crate::model::Cluster;

pub(super) fn files(config: &mut Config, cluster: &Cluster, separate: bool) -> Result<()> {
    let mut daemon: Value = serde_json::from_str(fragments::ISULAD)?;
    let values = [
        ("sandboxImage", &*cluster.sandbox_image),
        ("socket", Runtime::Isulad.socket()),
    ];
    fragments::fill_document(&mut daemon, &values)?;
    // For images without a registry in their name; without any, iSulad can't pull those at all.
    let mirrors = registries::mirrors(cluster).map(|it| &*it.url);
    daemon["registry-mirrors"] = mirrors.chain(["docker.io"]).collect();
    if cluster.isulad_has_cri_v1() {
        daemon["enable-cri-v1"] = json!(true);
        // Only with runc as the runtime.
        daemon["systemd-cgroup"] = json!(true);
        daemon["default-runtime"] = json!("runc");
    }
    if separate {
        daemon["selinux-enabled"] = json!(true);
    }
    let daemon = serde_json::to_string_pretty(&daemon)? + "\n";
    config.file("/etc/isulad/daemon.json", PUBLIC, daemon);
    registries::certificates(config, cluster, "/etc/isulad/certs.d");
    registries::for_kubelet(config, cluster)
}
