//! `nkd explain` and `nkd diff` name everything on a node, where it is from, and who may read it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{compile, nkd};
use serde_json::{Value, json};

const CLUSTER: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: c}
spec:
  kubernetes: {version: v1.28.7, endpoint: '10.0.0.11:6443'}
  os:
    ntp: [ntp.example.org]
    butane: [own.bu]
    users:
    - name: core
      groups: [wheel]
    - name: ops
    kernelArguments: [quiet]
    hosts:
    - {address: 10.0.0.1, names: [a.example.org]}
  pools:
  - name: storage
    role: worker
    os:
      ntp: [near.example.org]
      users:
      - name: ops
        groups: [disk]
      hosts:
      - {address: 10.0.0.2, names: [b.example.org]}
  nodes:
  - {name: cp1, role: control-plane, address: 10.0.0.11}
  - name: w1
    pool: storage
    address: 10.0.0.21
    os:
      kernelArguments:
      - nosmt
";

const OWN: &str = "\
variant: fcos
version: 1.4.0
passwd:
  users:
  - name: backup
    password_hash: $y$j9T$salt$hash
storage:
  disks:
  - device: /dev/vdb
    wipe_table: true
  filesystems:
  - {device: /dev/mapper/data, format: xfs}
  luks:
  - name: data
    device: /dev/vdb
    key_file: {inline: swordfish}
  files:
  - {path: /etc/a, mode: 0640, contents: {inline: A}}
  - {path: /etc/b, mode: 0440, contents: {inline: B}}
  - {path: /etc/c, mode: 0660, contents: {inline: C}}
  - {path: /etc/d, mode: 0500, contents: {inline: D}}
  - {path: /etc/e, mode: 0000, contents: {inline: E}}
  - {path: /etc/f, contents: {inline: F}}
";

/// Compiles the cluster, with a change to the user's config.
fn compiled(directory: &Path, name: &str, change: impl Fn(String) -> String) -> String {
    fs::write(directory.join("cluster.yaml"), change(CLUSTER.to_owned())).unwrap();
    fs::write(directory.join("own.bu"), change(OWN.to_owned())).unwrap();
    let out = directory.join(name);
    let secrets = directory.join("secrets.json");
    let secrets = secrets.to_str().unwrap();
    let with: &[&str] = if Path::new(secrets).exists() {
        &["--secrets", secrets]
    } else {
        &[]
    };
    compile(&directory.join("cluster.yaml"), &out, with);
    if with.is_empty() {
        fs::copy(out.join("secrets.json"), secrets).unwrap();
    }
    out.to_str().unwrap().to_owned()
}

fn succeeds(arguments: &[&str]) -> String {
    let run = nkd(Path::new("/"), arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stdout
}

/// What `explain` answers of a node, by kind and path.
fn entries(out: &str, node: &str) -> BTreeMap<(String, String), Value> {
    let text = succeeds(&["explain", out, node, "--format", "json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = answer["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| ((text(&entry["kind"]), text(&entry["path"])), entry.clone()))
        .collect()
}

/// What is on w1, by its kind and name, and where it is from.
const ORIGINS: [(&str, &str, &str); 15] = [
    ("user", "backup", "own.bu:5"),
    ("user", "core", "cluster.yaml:10 spec.os.users[core]"),
    (
        "user",
        "ops",
        "cluster.yaml:22 spec.pools[storage].os.users[ops]",
    ),
    (
        "kernel argument",
        "quiet",
        "cluster.yaml:13 spec.os.kernelArguments[quiet]",
    ),
    (
        "kernel argument",
        "nosmt",
        "cluster.yaml:33 spec.nodes[w1].os.kernelArguments[nosmt]",
    ),
    ("disk", "/dev/vdb", "own.bu:9"),
    ("filesystem", "/dev/mapper/data", "own.bu:12"),
    ("encrypted device", "data", "own.bu:14"),
    ("file", "/etc/a", "own.bu:18"),
    (
        "file",
        "/etc/chrony.conf",
        "cluster.yaml:20 spec.pools[storage].os.ntp",
    ),
    (
        "file",
        "/etc/hosts",
        "cluster.yaml:24 spec.pools[storage].os.hosts, cluster.yaml:14 spec.os.hosts",
    ),
    (
        "file",
        "/etc/nkd/plan.json",
        "cluster.yaml:28 spec.nodes[w1]",
    ),
    (
        "file",
        "/etc/containerd/config.toml",
        "default spec.runtime",
    ),
    (
        "unit",
        "/etc/systemd/system/kubelet.service",
        "cluster.yaml:5 spec.kubernetes.version",
    ),
    ("file", "/etc/modules-load.d/kubernetes.conf", ""),
];

#[test]
fn all_that_ignition_makes_is_listed_with_the_line_that_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let out = compiled(directory.path(), "out", |text| text);
    let all = entries(&out, "w1");
    let from = |kind: &str, path: &str| {
        let entry = &all[&(kind.to_owned(), path.to_owned())];
        let origin = |from: &Value| match (from["key"].as_str(), from["place"].as_str()) {
            (None, Some(place)) => place.to_owned(),
            (Some(key), Some(place)) => format!("{place} {key}"),
            (Some(key), None) => format!("default {key}"),
            (None, None) => String::new(),
        };
        let origins: Vec<_> = entry["from"]
            .as_array()
            .unwrap()
            .iter()
            .map(origin)
            .collect();
        origins.join(", ")
    };
    for (kind, path, place) in ORIGINS {
        assert_eq!(from(kind, path), place, "{kind} {path}");
    }
    let all = entries(&out, "cp1");
    let chrony = &all[&("file".to_owned(), "/etc/chrony.conf".to_owned())];
    assert_eq!(
        chrony["from"],
        json!([{"key": "spec.os.ntp", "place": "cluster.yaml:7"}])
    );
    let table = succeeds(&["explain", &out, "w1", "/etc/hosts"]);
    let from = "cluster.yaml:24 (spec.pools[storage].os.hosts), cluster.yaml:14 (spec.os.hosts)";
    assert!(table.contains(from), "{table}");
}

#[test]
fn what_not_everyone_may_read_is_private_and_only_printed_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let out = compiled(directory.path(), "out", |text| text);
    let all = entries(&out, "w1");
    for (kind, path, secrecy) in [
        ("file", "/etc/a", "private"),
        ("file", "/etc/b", "private"),
        ("file", "/etc/c", "private"),
        ("file", "/etc/d", "private"),
        ("file", "/etc/e", "private"),
        ("file", "/etc/f", "public"),
        ("user", "backup", "private"),
        ("user", "core", "public"),
        ("encrypted device", "data", "private"),
    ] {
        let entry = &all[&(kind.to_owned(), path.to_owned())];
        assert_eq!(entry["secrecy"], secrecy, "{kind} {path}");
        let shown = succeeds(&["explain", &out, "w1", path]);
        let letter = path.trim_start_matches("/etc/").to_uppercase();
        let has_text = |shown: &str| shown.lines().any(|line| line == letter);
        assert_eq!(has_text(&shown), path == "/etc/f", "{shown}");
        let is_hidden = kind == "file" && secrecy == "private";
        assert_eq!(shown.contains("`--reveal` prints it"), is_hidden, "{shown}");
        let revealed = succeeds(&["explain", &out, "w1", path, "--reveal"]);
        assert_eq!(has_text(&revealed), kind == "file", "{revealed}");
        for secret in ["salt", "swordfish"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn what_nkd_generates_is_readable_but_for_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let out = compiled(directory.path(), "out", |text| {
        let callbacks = "spec:\n  report: {url: 'https://me:pw@r.example.org'}\n";
        text.replace("spec:\n", callbacks)
    });
    let token = succeeds(&["explain", &out, "w1", "/etc/nkd/token", "--reveal"]);
    let token = token.lines().last().unwrap();
    assert_eq!(token.len(), 23, "{token}");
    for (node, path, text, secret) in [
        (
            "cp1",
            "/etc/nkd/kubeadm.yaml",
            "kind: InitConfiguration",
            token,
        ),
        ("cp1", "/etc/nkd/kubeadm.yaml", "podSubnet: ", token),
        ("w1", "/etc/nkd/kubeadm.yaml", "kind: JoinConfiguration", ""),
        ("w1", "/etc/nkd/plan.json", "\"role\": \"join-worker\"", ""),
        ("w1", "/etc/nkd/report.json", "\"url\": ", "me:pw"),
        ("w1", "/etc/nkd/token", "`--reveal` prints it", token),
        (
            "cp1",
            "/etc/nkd/pki/ca.key",
            "`--reveal` prints it",
            "BEGIN",
        ),
    ] {
        let shown = succeeds(&["explain", &out, node, path]);
        assert!(shown.contains(text), "{shown}");
        assert!(secret.is_empty() || !shown.contains(secret), "{shown}");
        let revealed = succeeds(&["explain", &out, node, path, "--reveal"]);
        assert!(revealed.contains(secret), "{revealed}");
    }
}

#[test]
fn diff_names_everything_that_changes() {
    let directory = tempfile::tempdir().unwrap();
    let before = compiled(directory.path(), "before", |text| text);
    for (old, new, changes) in [
        ("groups: [wheel]", "groups: [adm]", "changed  user core"),
        (
            "- name: ops\n    kernel",
            "- name: oops\n    kernel",
            "added    user oops",
        ),
        (
            "[quiet]",
            "[debug]",
            "added    kernel argument debug\n  removed  kernel argument quiet",
        ),
        (
            "wipe_table: true",
            "wipe_table: false",
            "changed  disk /dev/vdb",
        ),
        (
            "format: xfs",
            "format: ext4",
            "changed  filesystem /dev/mapper/data",
        ),
        ("swordfish", "herring", "changed  encrypted device data"),
        ("salt$hash", "salt$hush", "changed  user backup"),
        (
            "{path: /etc/f, ",
            "{path: /etc/f, user: {name: core}, ",
            "changed  /etc/f",
        ),
    ] {
        let change = |text: String| text.replace(old, new);
        let after = compiled(directory.path(), "after", change);
        let text = succeeds(&["diff", &before, &after]);
        assert!(
            text.contains(&format!("w1: changed\n  {changes}\n")),
            "{new}: {text}"
        );
    }
    assert_eq!(succeeds(&["diff", &before, &before]), "no differences\n");
    let after = directory.path().join("after");
    for (out, status) in [(before.as_str(), 0), (after.to_str().unwrap(), 5)] {
        let run = nkd(Path::new("/"), &["diff", "--exit-code", &before, out]);
        assert_eq!(run.status, Some(status), "{}", run.stderr);
    }
}
