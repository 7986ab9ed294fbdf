//! iSulad: its manual's "Deployment Configuration" and "Interconnection with Kubernetes".

use anyhow::Result;
use nkd_contract::Runtime;
use serde_json::{Value, json};

use super::registries;
use crate::config::{Config, PUBLIC};
use crate::fragments;
use nkd_model::Cluster;
use nkd_model::version::Version;

/// The configuration file that nkd writes.
pub const CONFIG: &str = "/etc/isulad/daemon.json";

/// Whether iSulad must support CRI v1, which Kubernetes requires from 1.26 on (changelog 1.26, "CRI
/// v1alpha2 removed"). iSulad 2.1.5 added CRI v1 and the cgroup driver of systemd. Older versions have
/// neither, and ignore unknown keys.
const fn has_cri_v1(version: Version) -> bool {
    version.minor >= 26
}

/// The cgroup driver of iSulad and kubelet.
pub(super) const fn cgroup_driver(version: Version) -> &'static str {
    if has_cri_v1(version) {
        "systemd"
    } else {
        "cgroupfs"
    }
}

pub(super) fn files(config: &mut Config, cluster: &Cluster, separate: bool) -> Result<()> {
    let mut daemon: Value = serde_json::from_str(fragments::ISULAD)?;
    let values = [
        ("sandboxImage", &*cluster.sandbox_image),
        ("socket", Runtime::Isulad.socket()),
    ];
    fragments::fill_document(&mut daemon, &values)?;
    // For images without a registry in their name; without any, iSulad can't pull those at all.
    let mirrors = registries::mirrors(cluster).map(|mirror| mirror.url.as_str());
    daemon["registry-mirrors"] = mirrors.chain(["docker.io"]).collect();
    if has_cri_v1(cluster.version) {
        daemon["enable-cri-v1"] = json!(true);
        // Only with runc as the runtime.
        daemon["systemd-cgroup"] = json!(true);
        daemon["default-runtime"] = json!("runc");
    }
    // iSulad then tries HTTP after HTTPS. It can turn off verification only for all registries at once.
    let insecure = registries::insecure(cluster);
    if !insecure.is_empty() {
        daemon["insecure-registries"] = json!(insecure);
    }
    if separate {
        daemon["selinux-enabled"] = json!(true);
    }
    let daemon = serde_json::to_string_pretty(&daemon)? + "\n";
    config.file(CONFIG, PUBLIC, daemon).from("runtime");
    registries::certificates(config, cluster, "/etc/isulad/certs.d");
    registries::for_kubelet(config, cluster)
}
