//! Which key of the cluster file asked for what is on a node.

use nkd_contract::paths;

use crate::kubeadm::PATCHES;
use crate::runtime::crio;
use nkd_model::lines::Lines;

/// What begins with a path, a disk's too, and the key it is from; `NODE` stands for the node's name.
/// The longest path counts.
const CAUSES: &[(&str, &str)] = &[
    (paths::PLAN, "spec.nodes[NODE]"),
    (paths::KUBEADM, "spec.kubernetes"),
    (paths::TOKEN, "spec.kubernetes.bootstrapTokens"),
    (paths::PKI, "spec.pki"),
    (
        "/etc/nkd/pki/apiserver-etcd-client",
        "spec.kubernetes.etcd.external",
    ),
    (paths::MANIFESTS, "spec.kubernetes.kubeVip"),
    (paths::REPORT, "spec.report"),
    (paths::ADDONS, "spec.network.manifests"),
    ("/etc/containerd/", "spec.runtime"),
    ("/etc/crio/", "spec.runtime"),
    (crio::PINNED, "spec.airgap"),
    (crio::SELINUX, "spec.os.selinux"),
    (PATCHES, "spec.os.selinux"),
    ("/etc/nkd/patches/kubeletconfiguration", "spec.nodes[NODE]"),
    ("/etc/containers/", "spec.runtime.registries"),
    ("/etc/isulad/", "spec.runtime"),
    ("/etc/docker/", "spec.runtime"),
    ("/etc/systemd/system/cri-docker.service.d/", "spec.runtime"),
    ("/etc/nkd/registries/", "spec.runtime.registries"),
    (
        "/etc/systemd/system/kubelet.service.d/20-registries.conf",
        "spec.runtime.registries",
    ),
    (
        "/etc/systemd/system/kubelet.service",
        "spec.kubernetes.version",
    ),
    (
        "/etc/NetworkManager/system-connections/",
        "spec.nodes[NODE]",
    ),
    ("/dev/", "spec.nodes[NODE]"),
    ("/etc/chrony.conf", "spec.os.ntp"),
    ("/etc/systemd/timesyncd.conf.d/10-nkd.conf", "spec.os.ntp"),
    ("/etc/hosts", "spec.os.hosts"),
    ("/etc/pki/ca-trust/source/anchors/nkd-", "spec.os.trust"),
    ("/etc/systemd/system/nkd-trust.service", "spec.os.trust"),
];

/// The key that asked for a path: as it would be called, and its line if it is written.
pub fn cause(path: &str, node: &str, lines: &Lines) -> (Option<String>, Option<usize>) {
    let causes = CAUSES.iter().filter(|(root, _)| path.starts_with(root));
    let longest = causes.max_by_key(|(root, _)| root.len()).map(|it| it.1);
    // Drop-ins for several units.
    let proxy = path
        .ends_with("/20-nkd-proxy.conf")
        .then_some("spec.os.proxy");
    let Some(key) = proxy.or(longest) else {
        return (None, None);
    };
    let key = key.replace("NODE", node);
    let line = lines.get(&key).copied();
    (Some(key), line)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::cause;
    use nkd_document::Diagnostics;
    use nkd_document::yaml::documents;
    use nkd_model::lines::lines;

    #[test]
    fn keys_and_nodes_are_found_on_their_lines() {
        let text = "spec:\n  pki:\n    algorithm: rsa-2048\n  nodes:\n    - {name: w1}\n";
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        let document = &documents(source, &mut diagnostics).unwrap()[0];
        let lines = lines(document, text);
        let line = |path| cause(path, "w1", &lines);
        assert_eq!(
            line("/etc/nkd/pki/ca.key"),
            (Some("spec.pki".into()), Some(2))
        );
        assert_eq!(
            line("/etc/nkd/plan.json"),
            (Some("spec.nodes[w1]".into()), Some(5))
        );
        assert_eq!(line("/etc/nkd/report.json").1, None);
        assert_eq!(line("/etc/sysctl.d/90-kubernetes.conf"), (None, None));
    }
}
