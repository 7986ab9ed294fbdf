//! A cluster that doesn't hold together is not written.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;

use common::{demo, tests};
use nkd::compile::{self, Compiled, Request};
use nkd::diagnostics::Diagnostics;
use nkd::proof::prove;

/// The example, with secrets of its own.
fn compiled() -> Compiled {
    compiled_from(&demo())
}

/// Three control planes behind one address.
fn highly_available(directory: &Path) -> Compiled {
    let text = std::fs::read_to_string(tests().join("clusters/ha/cluster.yaml")).unwrap();
    let cluster_file = directory.join("cluster.yaml");
    std::fs::write(&cluster_file, text.replace("VERSION", "v1.29.0")).unwrap();
    compiled_from(&cluster_file)
}

fn compiled_from(cluster_file: &Path) -> Compiled {
    let request = Request {
        cluster_file,
        out: None,
        secrets: None,
        nodes: &[],
    };
    let mut diagnostics = Diagnostics::new();
    let compiled = compile::compile(&request, &mut diagnostics).unwrap();
    compiled.unwrap_or_else(|| panic!("{diagnostics}"))
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

/// Puts another text into a file of a node.
fn replace(cluster: &mut Compiled, node: usize, path: &str, from: &str, to: &str) {
    let mut config = serde_json::from_str(&cluster.nodes[node].ignition).unwrap();
    let text = common::file(&config, path).unwrap();
    assert!(text.contains(from), "{path} doesn't have {from}: {text}");
    let (source, compression) = nkd::ignition::encode(text.replace(from, to));
    let files = config["storage"]["files"].as_array_mut().unwrap();
    let file = files.iter_mut().find(|file| file["path"] == path).unwrap();
    file["contents"] = serde_json::json!({"source": source, "compression": compression});
    cluster.nodes[node].ignition = config.to_string();
}

const KUBEADM: &str = "/etc/nkd/kubeadm.yaml";
const PLAN: &str = "/etc/nkd/plan.json";
const TOKEN: &str = "/etc/nkd/token";

/// Rule, node, file, what stands there, and what instead breaks the rule.
const BROKEN: [(&str, usize, &str, &str, &str); 13] = [
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
const BROKEN_CONTROL_PLANES: [(&str, usize, &str, &str, &str); 12] = [
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

#[test]
fn kubelet_kubeadm_and_the_runtime_mean_the_same() {
    for (runtime, version, rule, path, from, to) in BROKEN_RUNTIMES {
        let directory = tempfile::tempdir().unwrap();
        let cluster_file = directory.path().join("cluster.yaml");
        let text = std::fs::read_to_string(demo()).unwrap();
        let text = text.replace("v1.20.2", version).replace(
            "spec:\n",
            &format!("spec:\n  runtime: {{name: {runtime}}}\n"),
        );
        std::fs::write(&cluster_file, text).unwrap();
        let mut cluster = compiled_from(&cluster_file);
        replace(&mut cluster, 0, path, from, to);
        let error = format!("{:#}", prove(&cluster).unwrap_err());
        assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
    }
}

#[test]
fn what_is_secret_is_roots_alone() {
    for (node, path) in [(0, KUBEADM), (1, TOKEN)] {
        breaks("secrets-private", |cluster| {
            let ignition = &mut cluster.nodes[node].ignition;
            let mut config: serde_json::Value = serde_json::from_str(ignition).unwrap();
            let files = config["storage"]["files"].as_array_mut().unwrap();
            let file = files.iter_mut().find(|file| file["path"] == path);
            file.unwrap()["mode"] = serde_json::json!(0o644);
            *ignition = config.to_string();
        });
    }
}

#[test]
fn a_certificate_is_public_whatever_its_text_looks_like() {
    let certificate = std::fs::read_to_string(tests().join("clusters/full/report-ca.crt")).unwrap();
    let (head, tail) = certificate.split_at(certificate.find("\n-----END").unwrap() - 40);
    let text = format!(
        "\"auth\": the PRIVATE KEY----- is elsewhere\n{head}bootstrapTokens{}",
        &tail[15..]
    );
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    std::fs::write(directory.path().join("ca.crt"), text).unwrap();
    let text = std::fs::read_to_string(demo()).unwrap();
    let registries = "runtime:\n    registries: [{host: registry.example.org, caFile: ca.crt}]\n  ";
    let text = text.replacen("  nodes:", &format!("  {registries}nodes:"), 1);
    std::fs::write(&cluster_file, text).unwrap();
    let cluster = compiled_from(&cluster_file);
    for node in &cluster.nodes {
        let config = serde_json::from_str(&node.ignition).unwrap();
        let path = "/etc/containerd/certs.d/registry.example.org/ca-0.crt";
        let delivered = common::file(&config, path).unwrap();
        assert!(delivered.starts_with("-----BEGIN"), "{delivered}");
        assert!(delivered.contains("bootstrapTokens"), "{delivered}");
    }
}

/// Odd, but nothing is wrong with it: what goes below `spec.kubernetes`, what below `spec`, and an
/// overlay.
const ODD: [(&str, &str, &str); 5] = [
    ("imageRepository: mirrorgcrio", "", ""),
    (
        "",
        "runtime: {sandboxImage: rancher/mirrored-pause:3.9}",
        "",
    ),
    (
        "",
        "nodes: [{name: 10.200.0.11, role: control-plane, address: 10.200.0.12}, \
         {name: w1, role: worker, address: 10.200.0.11}]",
        "",
    ),
    (
        "",
        "pools: [{name: p, role: worker, kubelet: {extraArgs: {? LONG : \"a\\x7f\\N\\L\"}}}]",
        "",
    ),
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubeadm.k8s.io/v1beta4, kind: InitConfiguration, \
          nodeRegistration: {kubeletExtraArgs: []}}",
    ),
];

#[test]
fn what_is_odd_but_right_holds_together() {
    for (kubernetes, spec, overlay) in ODD {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("overlay.yaml"), overlay).unwrap();
        let mut text = format!(
            "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: odd}}\nspec:\n  \
             kubernetes:\n    version: v1.31.2\n    {kubernetes}\n  {spec}\n"
        );
        if !spec.starts_with("nodes") {
            text += "  nodes:\n    - {name: cp1, role: control-plane, address: 10.200.0.11}\n";
        }
        if spec.starts_with("pools") {
            text += "    - {name: w1, pool: p, address: 10.200.0.12}\n";
        }
        let cluster_file = directory.path().join("cluster.yaml");
        std::fs::write(&cluster_file, text.replace("LONG", &"x".repeat(1030))).unwrap();
        compiled_from(&cluster_file);
    }
}

#[test]
fn nothing_is_delivered_where_kubeadm_writes() {
    breaks("kubernetes-pki-untouched", |cluster| {
        let ignition = &mut cluster.nodes[1].ignition;
        *ignition = ignition.replace("/etc/sysctl.d/90-", "/etc/kubernetes/pki/");
    });
}

#[test]
fn every_rule_has_a_way_to_break_it() {
    let this = std::fs::read_to_string(tests().join("proof.rs")).unwrap();
    for rule in nkd::proof::rules() {
        assert!(this.contains(&format!("\"{rule}\"")), "{rule}");
    }
}
