//! Warnings about clusters that compile, but probably do not work as intended.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::nkd;

const MANIFEST: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
const CNI: &str = "variant: nestos\nversion: 1.0.0\nstorage:\n  files:\n  \
                   - {path: /etc/cni/net.d/10-a.conflist, contents: {inline: \"{}\"}}\n";
const OVERLAY: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer:\n  \
                       extraArgs: [{name: audit-policy-file, value: /etc/audit/policy.yaml}]\n  \
                       extraVolumes: [{name: audit, hostPath: /etc/audit, mountPath: /etc/audit}]\n";
const POLICY: &str = "variant: nestos\nversion: 1.0.0\nstorage:\n  files:\n  \
                      - {path: /etc/audit/policy.yaml, contents: {inline: \"\"}}\n";

/// The codes of the warnings about a cluster with these keys of `kubernetes` and of `spec`, and this number of
/// control planes.
fn warnings(
    kubernetes: &str,
    spec: &str,
    control_planes: usize,
    arguments: &[&str],
) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("m.yaml", MANIFEST),
        ("cni.bu", CNI),
        ("overlay.yaml", OVERLAY),
        ("policy.bu", POLICY),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let mut text = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: a}}\nspec:\n  \
         kubernetes: {{version: v1.31.2, endpoint: \"api.example.org:6443\", {kubernetes}}}\n  {spec}\n  nodes:\n"
    );
    let node = |number| {
        format!("  - {{name: cp{number}, role: control-plane, address: 10.200.0.1{number}}}\n")
    };
    text.extend((1..=control_planes).map(node));
    fs::write(directory.path().join("cluster.yaml"), text).unwrap();
    let run = run(directory.path(), arguments);
    let codes = run.split("warning[").skip(1);
    codes.map(|rest| rest[..7].to_owned()).collect()
}

fn run(directory: &Path, arguments: &[&str]) -> String {
    let mut all = vec!["validate", "cluster.yaml"];
    all.extend(arguments);
    let run = nkd(directory, &all);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stderr
}

#[test]
fn a_cluster_without_a_network_add_on_is_warned_about_unless_that_is_allowed() {
    assert_eq!(warnings("", "", 1, &[]), ["NKD0181"]);
    assert!(warnings("", "", 1, &["--allow", "NKD0181"]).is_empty());
    for spec in ["network: {manifests: [m.yaml]}", "os: {butane: [cni.bu]}"] {
        assert!(warnings("", spec, 1, &[]).is_empty(), "{spec}");
    }
}

#[test]
fn two_control_planes_are_warned_about_but_not_one_or_three() {
    let spec = "network: {manifests: [m.yaml]}";
    assert!(warnings("", spec, 1, &[]).is_empty());
    assert_eq!(warnings("", spec, 2, &[]), ["NKD0182"]);
    assert!(warnings("", spec, 3, &[]).is_empty());
}

#[test]
fn a_file_that_a_component_reads_is_warned_about_unless_a_config_writes_it() {
    let kubernetes = "kubeadm: [overlay.yaml]";
    let network = "network: {manifests: [m.yaml]}";
    assert_eq!(warnings(kubernetes, network, 1, &[]), ["NKD0210"]);
    let spec = format!("{network}\n  os: {{butane: [policy.bu]}}");
    assert!(warnings(kubernetes, &spec, 1, &[]).is_empty());
}
