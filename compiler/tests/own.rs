//! The user's own configuration, merged with nkd's part.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;

use common::{assert_ignition_takes, compile, file, ignition, nkd};
use serde_json::{Value, json};

const CLUSTER: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: own}
spec:
  kubernetes: {version: v1.31.2}
  os: {butane: [all.bu], ignition: [all.ign], OVERRIDE}
  pools:
    - {name: fast, role: worker, os: {butane: [fast.bu]}}
  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11}
    - {name: w1, pool: fast, address: 10.200.0.12, os: {butane: [own/w1.bu]}}
";

/// Compiles a cluster with configs at all three levels.
fn compiled(directory: &Path, overrides: &str, more: &str) -> std::path::PathBuf {
    let put = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("cluster.yaml", &CLUSTER.replace("OVERRIDE", overrides));
    put(
        "all.ign",
        r#"{"ignition": {"version": "3.0.0"}, "storage": {"files": [
            {"path": "/etc/motd", "mode": 420, "contents": {"source": "data:,all"}},
            {"path": "/etc/fetched", "contents": {"source": "https://example.org/x"}},
            {"path": "/etc/bytes", "contents": {"source": "data:;base64,//79"}},
            {"path": "/etc/ssh/host_key", "mode": 384, "contents": {"source": "data:,-----BEGIN%20PRIVATE%20KEY-----"}}]}}"#,
    );
    put(
        "all.bu",
        &format!(
            "variant: nestos\nversion: 1.0.0\npasswd:\n  users: [{{name: ops}}]\nstorage:\n  files:\n\
             \x20   - path: /etc/issue\n      contents: {{inline: all}}\n{more}"
        ),
    );
    put(
        "fast.bu",
        "variant: fcos\nversion: 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n\
         \x20     contents: {inline: fast}\n",
    );
    put(
        "own/w1.bu",
        "variant: fcos\nversion: 1.1.0\nstorage:\n  files:\n    - path: /etc/issue\n\
         \x20     contents: {local: issue}\n",
    );
    put("own/issue", "w1");
    let out = directory.join("out");
    compile(&directory.join("cluster.yaml"), &out, &[]);
    assert_ignition_takes(&out);
    out
}

#[test]
fn a_node_is_merged_onto_its_pool_and_that_onto_the_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let out = compiled(directory.path(), "", "");
    for (node, motd, issue) in [("cp1", "all", "all"), ("w1", "fast", "w1")] {
        let config = ignition(&out, node);
        assert_eq!(config["ignition"], json!({"version": "3.3.0"}));
        assert_eq!(file(&config, "/etc/motd").unwrap(), motd);
        assert_eq!(file(&config, "/etc/issue").unwrap(), issue);
        assert_eq!(config["passwd"]["users"], json!([{"name": "ops"}]));
        assert!(file(&config, "/etc/nkd/plan.json").is_some());
    }
    let run = nkd(directory.path(), &["explain", "out", "w1", "/etc/motd"]);
    assert!(run.stdout.contains("fast.bu:5"), "{}", run.stdout);
}

#[test]
fn compiling_twice_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let out = compiled(directory.path(), "", "");
    let before = ignition(&out, "w1");
    compile(&directory.path().join("cluster.yaml"), &out, &[]);
    assert_eq!(before, ignition(&out, "w1"));
}

#[test]
fn what_is_overridden_is_merged_onto_nkds_and_nothing_else_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let more = "
    - {path: /etc/sysctl.d/90-kubernetes.conf, mode: 0600}
    - {path: /etc/containerd/config.toml, contents: {inline: version = 2}}
systemd:
  units:
    - name: kubelet.service
      enabled: false
      dropins: [{name: 10-kubeadm.conf, contents: '[Service]'}]
";
    let overrides = "override: [/etc/sysctl.d/90-kubernetes.conf, /etc/containerd/config.toml, \
                     kubelet.service, kubelet.service.d/10-kubeadm.conf]";
    let out = compiled(directory.path(), overrides, more);
    let config = ignition(&out, "cp1");
    let files = config["storage"]["files"].as_array().unwrap();
    let at = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(at("/etc/sysctl.d/90-kubernetes.conf")["mode"], 0o600);
    let sysctl = file(&config, "/etc/sysctl.d/90-kubernetes.conf").unwrap();
    assert!(sysctl.contains("ip_forward"), "{sysctl}");
    let containerd = file(&config, "/etc/containerd/config.toml").unwrap();
    assert_eq!(containerd, "version = 2");
    let units = config["systemd"]["units"].as_array().unwrap();
    let kubelet: Vec<&Value> = units
        .iter()
        .filter(|unit| unit["name"] == "kubelet.service")
        .collect();
    assert_eq!(kubelet.len(), 1);
    assert_eq!(kubelet[0]["enabled"], false);
    let contents = kubelet[0]["contents"].as_str().unwrap();
    assert!(contents.contains("ExecStart"), "{contents}");
    let dropins = json!([{"name": "10-kubeadm.conf", "contents": "[Service]"}]);
    assert_eq!(kubelet[0]["dropins"], dropins);
}

#[test]
fn hooks_around_stages_are_the_users_own() {
    let directory = tempfile::tempdir().unwrap();
    let hook = "/etc/nkd/hooks/pre-runtime.d/10-encrypted";
    let more = format!("    - {{path: {hook}, mode: 0755, contents: {{inline: '#!/bin/sh'}}}}\n");
    let out = compiled(directory.path(), "", &more);
    let config = ignition(&out, "w1");
    assert_eq!(file(&config, hook).unwrap(), "#!/bin/sh");
}

#[test]
fn keys_the_user_brings_for_something_else_are_no_business_of_the_proof() {
    let directory = tempfile::tempdir().unwrap();
    let more = r#"
    - {path: /etc/kubernetes/pki-of-mine/ca.crt, contents: {inline: mine}}
    - {path: /etc/kubernetes/webhook/client.key, contents: {inline: "-----BEGIN PRIVATE KEY-----\n"}}
    - {path: /etc/containerd/certs.d/r.io/client.key, contents: {inline: "-----BEGIN EC PRIVATE KEY-----\n"}}
"#;
    let out = compiled(directory.path(), "", more);
    for node in ["cp1", "w1"] {
        let key = file(&ignition(&out, node), "/etc/kubernetes/webhook/client.key");
        assert_eq!(key.unwrap(), "-----BEGIN PRIVATE KEY-----\n");
    }
}

#[test]
fn files_beside_those_of_kubeadm_survive_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    let more = "
    - {path: /etc/kubernetes/pki/oidc-ca.crt, mode: 0600, contents: {inline: oidc}}
    - {path: /etc/kubernetes/manifests/own.yaml, contents: {inline: not even YAML}}
";
    let out = compiled(directory.path(), "", more);
    for (node, is_ignored) in [("cp1", false), ("w1", true)] {
        let config = ignition(&out, node);
        for (path, text) in [
            ("/etc/kubernetes/pki/oidc-ca.crt", "oidc"),
            ("/etc/nkd/pki/oidc-ca.crt", "oidc"),
            ("/etc/kubernetes/manifests/own.yaml", "not even YAML"),
            ("/etc/nkd/manifests/own.yaml", "not even YAML"),
        ] {
            assert_eq!(file(&config, path).unwrap(), text, "{path} on {node}");
        }
        // A join requires that the directory is empty.
        let kubeadm = file(&config, "/etc/nkd/kubeadm.yaml").unwrap();
        let check = "DirAvailable--etc-kubernetes-manifests";
        assert_eq!(kubeadm.contains(check), is_ignored, "{node}");
    }
}

#[test]
fn etcd_may_have_a_disk_with_lost_and_found_if_kubeadm_ignores_it() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    put(
        "all.bu",
        "variant: nestos\nversion: 1.0.0\nstorage:\n  filesystems:\n\
         \x20   - {device: /dev/vdb, path: /var/lib/etcd, format: ext4, with_mount_unit: true}\n",
    );
    put(
        "ignore.yaml",
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration:\n\
         \x20 ignorePreflightErrors: [DirAvailable--var-lib-etcd]\n",
    );
    let kubernetes = "kubernetes: {version: v1.31.2, kubeadm: [ignore.yaml]}";
    let cluster = CLUSTER
        .replace("kubernetes: {version: v1.31.2}", kubernetes)
        .replace(", ignition: [all.ign], OVERRIDE", "")
        .replace("fast.bu", "all.bu")
        .replace(", os: {butane: [own/w1.bu]}", "");
    put("cluster.yaml", &cluster);
    let run = nkd(directory.path(), &["validate", "cluster.yaml"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    put(
        "cluster.yaml",
        &cluster.replace(", kubeadm: [ignore.yaml]", ""),
    );
    let run = nkd(directory.path(), &["validate", "cluster.yaml"]);
    assert!(run.stderr.contains("NKD0321"), "{}", run.stderr);
}
