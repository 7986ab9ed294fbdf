//! The SELinux policy, if there is one. Without the types of container-selinux, the files of Kubernetes have types
//! that confined programs may not use.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;

const CONFIG: &str = "/etc/selinux/config";

/// Types of files in container-selinux, each with what has it and when it was added.
const TYPES: [(&str, &str, &str); 4] = [
    (
        "container_runtime_exec_t",
        "container runtimes",
        "a part of every version",
    ),
    (
        "container_var_lib_t",
        "/var/lib/containerd",
        "a part of every version",
    ),
    (
        "kubernetes_file_t",
        "/etc/kubernetes",
        "added in August 2020",
    ),
    ("kubelet_exec_t", "/usr/bin/kubelet", "added in April 2022"),
];

pub(super) fn check(image: &Image, report: &mut Report) {
    let config = image.tree.read(CONFIG);
    let value = |key: &str| {
        let mut lines = config.lines();
        lines.find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
    };
    let is_enabled = matches!(value("SELINUX"), Some("enforcing" | "permissive"));
    let Some(policy) = value("SELINUXTYPE").filter(|_| is_enabled) else {
        return;
    };
    let path = format!("/etc/selinux/{policy}/contexts/files/file_contexts");
    let contexts = image.tree.read(&path);
    if contexts.is_empty() {
        report.warning(
            Cause::KubeadmControlPlane,
            format!("{CONFIG} enables SELinux, but {path} is missing or empty"),
            format!("install selinux-policy-{policy} and container-selinux, or disable SELinux in {CONFIG}"),
        );
        return;
    }
    let missing = TYPES
        .iter()
        .filter(|(name, ..)| !contexts.contains(&format!(":{name}:")));
    for (name, owner, since) in missing {
        report.warning(
            Cause::KubeadmControlPlane,
            format!("the SELinux policy has no type {name} for {owner}"),
            format!("install container-selinux; the type is {since}"),
        );
    }
}
