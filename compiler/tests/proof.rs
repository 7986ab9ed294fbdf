//! A cluster that doesn't hold together is not written.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::tamper::{KUBEADM, PLAN, TOKEN, edit, entry, highly_available, replace};
use common::{compiled_from, compiled_with, demo, tests};
use nkd::compiled::Compiled;
use nkd::proof::prove;

/// The example, with secrets of its own.
fn compiled() -> Compiled {
    compiled_from(&demo())
}

/// Asserts that a rule fails once the cluster is tampered with.
fn breaks(rule: &str, tamper: impl FnOnce(&mut Compiled)) {
    let mut cluster = compiled();
    prove(&cluster).unwrap();
    tamper(&mut cluster);
    let error = format!("{:#}", prove(&cluster).unwrap_err());
    assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
}

#[test]
fn a_cluster_has_one_init_node() {
    breaks("one-init-node", |cluster| {
        cluster.nodes.remove(0);
    });
    breaks("one-init-node", |cluster| {
        cluster.nodes.push(compiled().nodes.remove(0));
    });
}

#[test]
fn names_are_unique() {
    breaks("unique-names-and-addresses", |cluster| {
        cluster.nodes.push(compiled().nodes.remove(1));
    });
}

#[test]
fn everybody_trusts_the_same_authority() {
    breaks("one-authority", |cluster| {
        cluster.nodes[1] = compiled().nodes.remove(1);
    });
    breaks("one-authority", |cluster| {
        cluster.kubeconfig = compiled().kubeconfig;
    });
}

/// Rule, node, file, what stands there, and what instead breaks the rule.
const BROKEN: [(&str, usize, &str, &str, &str); 15] = [
    (
        "open-pools-nameless",
        1,
        PLAN,
        "\"schema\": 1,",
        "\"schema\": 1, \"requires\": [\"open-pool\"],",
    ),
    (
        "images-complete",
        1,
        PLAN,
        "kube-proxy:v1.20.2",
        "kube-proxy:v1.20.3",
    ),
    ("token-known", 1, TOKEN, ".", ".x"),
    (
        "token-known",
        1,
        KUBEADM,
        "discovery:\n",
        "discovery:\n  tlsBootstrapToken: abcdef.0123456789abcdef\n",
    ),
    (
        "etcd-as-planned",
        0,
        PLAN,
        "\"runsEtcd\": true",
        "\"runsEtcd\": false",
    ),
    (
        "etcd-as-planned",
        1,
        PLAN,
        "\"schema\": 1,",
        "\"schema\": 1, \"runsEtcd\": true,",
    ),
    (
        "etcd-as-planned",
        0,
        KUBEADM,
        "imageRepository: ",
        "etcd: {local: {dataDir: /srv/etcd}}\nimageRepository: ",
    ),
    (
        "plans-read-whole",
        1,
        PLAN,
        "\"schema\": 1,",
        "\"schema\": 1, \"novelty\": true,",
    ),
    (
        "names-cover-api",
        0,
        KUBEADM,
        "- \"10.200.0.11\"",
        "- \"10.200.0.99\"",
    ),
    (
        "networks-disjoint",
        0,
        KUBEADM,
        "10.244.0.0/16",
        "10.96.0.0/16",
    ),
    (
        "networks-disjoint",
        1,
        KUBEADM,
        "10.200.0.12",
        "10.244.0.12",
    ),
    (
        "no-keys-on-workers",
        1,
        KUBEADM,
        "kind: ",
        "x: \"PRIVATE KEY-----\\n\"\nkind: ",
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        KUBEADM,
        "name: w1",
        "name: w2",
    ),
    (
        "plan-agrees-with-kubeadm",
        0,
        KUBEADM,
        "Version: v1.20.2",
        "Version: v1.20.3",
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        PLAN,
        "v1.20.2\",",
        "v1.20.3\",",
    ),
];

#[test]
fn what_one_node_says_holds_for_the_others() {
    for (rule, node, path, from, to) in BROKEN {
        breaks(rule, |cluster| replace(cluster, node, path, from, to));
    }
}

/// The same for several control planes.
const BROKEN_CONTROL_PLANES: [(&str, usize, &str, &str, &str); 13] = [
    (
        "names-cover-api",
        0,
        KUBEADM,
        "- \"10.200.0.13\"",
        "- \"10.200.0.99\"",
    ),
    (
        "control-planes-share-pki",
        2,
        "/etc/nkd/pki/ca.key",
        "PRIVATE",
        "OTHER",
    ),
    (
        "control-planes-in-order",
        3,
        PLAN,
        "10.200.0.12",
        "10.200.0.13",
    ),
    ("control-planes-in-order", 2, KUBEADM, "8443", "6443"),
    (
        "control-planes-in-order",
        2,
        PLAN,
        "10.200.0.13",
        "10.200.0.12",
    ),
    (
        "control-planes-in-order",
        0,
        PLAN,
        "\"schema\": 1,",
        "\"schema\": 1, \"controlPlanesAfter\": [\"10.200.0.12:8443\"],",
    ),
    (
        "etcd-as-planned",
        2,
        PLAN,
        "\"runsEtcd\": true",
        "\"runsEtcd\": false",
    ),
    (
        "etcd-as-planned",
        0,
        KUBEADM,
        "imageRepository: ",
        "etcd: {external: {endpoints: []}}\nimageRepository: ",
    ),
    (
        "etcd-as-planned",
        3,
        PLAN,
        "kubeadm.k8s.io/v1beta3",
        "kubeadm.k8s.io/v1beta4",
    ),
    (
        "etcd-as-planned",
        3,
        PLAN,
        "\"etcdImage\": \"",
        "\"etcdImage\": \"another.",
    ),
    (
        "etcd-as-planned",
        3,
        PLAN,
        "\"etcdImage\": \"",
        "\"patches\": \"/nowhere\", \"etcdImage\": \"",
    ),
    (
        "virtual-address",
        0,
        "/etc/nkd/manifests/kube-vip.yaml",
        "super-admin",
        "admin",
    ),
    (
        "virtual-address",
        2,
        "/etc/nkd/manifests/kube-vip.yaml",
        "10.200.0.10",
        "10.200.0.11",
    ),
];

#[test]
fn what_one_control_plane_says_holds_for_the_others() {
    for (rule, node, path, from, to) in BROKEN_CONTROL_PLANES {
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = highly_available(directory.path());
        prove(&cluster).unwrap();
        replace(&mut cluster, node, path, from, to);
        let error = format!("{:#}", prove(&cluster).unwrap_err());
        assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
    }
}

const PROXY: &str = "/etc/systemd/system/kubelet.service.d/20-nkd-proxy.conf";

/// The same for nodes with an address of each IP version, behind a proxy.
const BROKEN_DUAL_STACK: [(&str, usize, &str, &str, &str); 5] = [
    (
        "names-cover-api",
        0,
        KUBEADM,
        "- \"fd00::11\"",
        "- \"fd00::99\"",
    ),
    ("proxy-spares-node", 1, PROXY, ",fd00::12", ""),
    ("proxy-spares-node", 1, PROXY, "10.200.0.11,", ""),
    (
        "proxy-spares-node",
        1,
        PROXY,
        "10.200.0.11,",
        "10.200.0.110,",
    ),
    (
        "networks-disjoint",
        0,
        KUBEADM,
        "fd00:10:96::/112",
        "fd00:10:244::/112",
    ),
];

#[test]
fn every_address_of_a_node_is_in_certificates_and_spared_by_the_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let text = "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {name: dual}\nspec:\n  \
         kubernetes:\n    version: v1.31.2\n    networking: {podSubnet: \"10.244.0.0/16,fd00:10:244::/56\", \
         serviceSubnet: \"10.96.0.0/16,fd00:10:96::/112\"}\n  \
         os: {proxy: {http: \"http://10.200.0.1:3128\"}}\n  nodes:\n    \
         - {name: cp1, role: control-plane, address: \"10.200.0.11,fd00::11\"}\n    \
         - {name: w1, role: worker, address: \"10.200.0.12,fd00::12\"}\n";
    std::fs::write(&cluster_file, text).unwrap();
    for (rule, node, path, from, to) in BROKEN_DUAL_STACK {
        let mut cluster = compiled_from(&cluster_file);
        replace(&mut cluster, node, path, from, to);
        let error = format!("{:#}", prove(&cluster).unwrap_err());
        assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
    }
}

/// The same for container runtimes: name, Kubernetes version, rule, file, and so on.
const BROKEN_RUNTIMES: [(&str, &str, &str, &str, &str, &str); 11] = [
    (
        "containerd",
        "v1.31.2",
        "runtime-agrees",
        "/etc/containerd/config.toml",
        "SystemdCgroup = true",
        "SystemdCgroup = false",
    ),
    (
        "containerd",
        "v1.31.2",
        "sandbox-image",
        "/etc/containerd/config.toml",
        "pause:3.10",
        "pause:3.9",
    ),
    (
        "crio",
        "v1.31.2",
        "runtime-agrees",
        "/etc/crio/crio.conf.d/90-nkd.conf",
        "systemd",
        "cgroupfs",
    ),
    (
        "crio",
        "v1.31.2",
        "sandbox-image",
        "/etc/crio/crio.conf.d/90-nkd.conf",
        "pause:3.10",
        "pause:3.9",
    ),
    (
        "isulad",
        "v1.28.7",
        "runtime-agrees",
        "/etc/isulad/daemon.json",
        "\"systemd-cgroup\": true",
        "\"systemd-cgroup\": false",
    ),
    (
        "isulad",
        "v1.20.2",
        "sandbox-image",
        "/etc/isulad/daemon.json",
        "pause:3.2",
        "pause:3.9",
    ),
    (
        "docker",
        "v1.20.2",
        "runtime-agrees",
        "/etc/docker/daemon.json",
        "cgroupdriver=systemd",
        "cgroupdriver=cgroupfs",
    ),
    (
        "docker",
        "v1.20.2",
        "runtime-agrees",
        KUBEADM,
        "/var/run/dockershim.sock",
        "/run/dockershim.sock",
    ),
    (
        "docker",
        "v1.20.2",
        "sandbox-image",
        KUBEADM,
        "pause:3.2",
        "pause:3.9",
    ),
    (
        "docker",
        "v1.31.2",
        "sandbox-image",
        "/etc/systemd/system/cri-docker.service.d/10-nkd.conf",
        "pause:3.10",
        "pause:3.9",
    ),
    (
        "docker",
        "v1.31.2",
        "runtime-agrees",
        PLAN,
        "cri-dockerd",
        "docker",
    ),
];

/// Asserts that a rule fails once a file of the first node is changed.
fn breaks_when_changed(mut cluster: Compiled, rule: &str, path: &str, from: &str, to: &str) {
    prove(&cluster).unwrap();
    replace(&mut cluster, 0, path, from, to);
    let error = format!("{:#}", prove(&cluster).unwrap_err());
    assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
}

#[test]
fn kubelet_kubeadm_and_the_runtime_mean_the_same() {
    for (runtime, version, rule, path, from, to) in BROKEN_RUNTIMES {
        breaks_when_changed(compiled_with(runtime, version, ""), rule, path, from, to);
    }
}

#[test]
fn an_image_that_no_registry_brings_back_is_pinned() {
    let closed = "  airgap: {images: /usr/share/nkd/images}\n";
    let cluster = compiled_with("crio", "v1.31.2", closed);
    let pinned = "/etc/crio/crio.conf.d/91-nkd-pinned.conf";
    breaks_when_changed(cluster, "images-kept", pinned, "coredns:", "coredns-other:");
}

#[test]
fn a_separated_control_plane_reaches_the_files_of_the_host() {
    let text = std::fs::read_to_string(tests().join("clusters/selinux/cluster.yaml")).unwrap();
    let text = text.replace("VERSION", "v1.31.2");
    let text = text.replace(", ignition: [patch.ign]", "");
    let compiled = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let cluster_file = directory.path().join("cluster.yaml");
        std::fs::write(&cluster_file, text).unwrap();
        compiled_from(&cluster_file)
    };
    for runtime in ["containerd", "crio", "isulad", "docker"] {
        let with = format!("spec:\n  runtime: {{name: {runtime}}}\n");
        for path in [
            "/etc/nkd/patches/etcd+strategic.yaml",
            "/etc/nkd/patches/kube-scheduler+strategic.yaml",
            "/etc/nkd/manifests/kube-vip.yaml",
        ] {
            let cluster = compiled(&text.replace("spec:\n", &with));
            let rule = "containers-separated";
            breaks_when_changed(cluster, rule, path, "spc_t", "container_t");
        }
    }
    let (from, to) = ("/etc/nkd/patches", "/etc/nkd/other");
    breaks_when_changed(compiled(&text), "patches-taken", KUBEADM, from, to);
}

#[test]
fn what_is_secret_is_roots_alone() {
    for (node, path) in [(0, KUBEADM), (1, TOKEN)] {
        breaks("secrets-private", |cluster| {
            edit(cluster, node, |files| {
                entry(files, path)["mode"] = 0o644.into();
            });
        });
    }
}

#[test]
fn nothing_is_delivered_where_kubeadm_writes() {
    breaks("kubernetes-pki-untouched", |cluster| {
        let ignition = &mut cluster.nodes[1].ignition;
        *ignition = ignition.replace(
            "/etc/sysctl.d/90-kubernetes.conf",
            "/etc/kubernetes/pki/ca.crt",
        );
    });
}

#[test]
fn every_rule_has_a_way_to_break_it() {
    let files = ["proof.rs", "proof_nodes.rs"];
    let text = files.map(|file| std::fs::read_to_string(tests().join(file)).unwrap());
    for rule in nkd::proof::rules() {
        let name = format!("\"{rule}\"");
        assert!(text.iter().any(|text| text.contains(&name)), "{rule}");
    }
}
