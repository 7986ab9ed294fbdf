//! What is odd, but nothing is wrong with it, compiles and holds together.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{compiled_from, demo, tests};

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
const ODD: [(&str, &str, &str); 13] = [
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
    ("", "report: {url: \"http://My_Host.Example.org/x\"}", ""),
    (
        "",
        "runtime: {sandboxImage: \"registry.k8s.io/pause:3.10@sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a\"}",
        "",
    ),
    (
        "endpoint: 10.200.0.10:6443\n    kubeVip: {interface: eth0, image: \"ghcr.io/kube-vip/kube-vip@sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a\"}",
        "",
        "",
    ),
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubeadm.k8s.io/v1beta3, kind: ClusterConfiguration, \
          apiServer: {extraArgs: {v: \"4\"}}}",
    ),
    // The values that nkd sets.
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubeadm.k8s.io/v1beta4, kind: ClusterConfiguration, clusterName: odd, \
          kubernetesVersion: v1.31.2, networking: {podSubnet: 10.244.0.0/16, dnsDomain: null}, \
          controllerManager: {extraArgs: [{name: cluster-cidr, value: 10.244.0.0/16}]}}",
    ),
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration, \
          cgroupDriver: systemd, clusterDomain: cluster.local, \
          staticPodPath: /etc/kubernetes/manifests, containerLogMaxSize: \"-1\"}",
    ),
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubeadm.k8s.io/v1beta4, kind: ClusterConfiguration, \
          controllerManager: {extraArgs: [{name: allocate-node-cidrs, value: \"false\"}]}}",
    ),
    // The network add-on takes the place of kube-proxy.
    (
        "kubeadm: [overlay.yaml]",
        "",
        "{apiVersion: kubeadm.k8s.io/v1beta4, kind: InitConfiguration, skipPhases: [addon/kube-proxy]}",
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
