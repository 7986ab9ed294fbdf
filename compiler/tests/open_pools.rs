//! Open pools: one config for any number of machines that the cluster file does not list.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::tamper::{KUBEADM, PLAN, TOKEN, edit, replace};
use common::{compile, compiled_from, file, ignition, nkd};
use nkd::compiled::Compiled;
use nkd::proof::prove;
use nkd_contract::paths;
use serde_json::{Value, json};

const CLUSTER: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  kubernetes: {version: v1.31.2}
  report: {url: 'https://nkd.example.org/'}
  pools:
  - name: cloud
    open: true
    labels: {zone: a}
  nodes:
  - {name: cp1, role: control-plane, address: 10.200.0.11}
  - {name: w1, pool: cloud, role: worker, address: 10.200.0.12}
";

fn write(directory: &Path, text: &str) -> PathBuf {
    let cluster_file = directory.join("cluster.yaml");
    fs::write(&cluster_file, text).unwrap();
    cluster_file
}

fn compiled(text: &str) -> Compiled {
    let directory = tempfile::tempdir().unwrap();
    compiled_from(&write(directory.path(), text))
}

/// The plan and the `JoinConfiguration` of the open pool.
fn plan_and_join(out: &Path) -> (Value, Value) {
    let config = ignition(out, "cloud");
    let plan = serde_json::from_str(&file(&config, PLAN).unwrap()).unwrap();
    let kubeadm = file(&config, KUBEADM).unwrap();
    let join = nkd_document::yaml::fragment(&kubeadm).unwrap().remove(0);
    (plan, join)
}

#[test]
fn the_machines_of_an_open_pool_share_one_file_with_the_listed_nodes_token() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let run = compile(&write(directory.path(), CLUSTER), &out, &[]);
    let mut names: Vec<_> = fs::read_dir(out.join("nodes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["cloud.ign", "cp1.ign", "w1.ign"]);
    for line in [
        "cloud  worker         (open pool)  ",
        "Boot any number of machines of the open pool cloud with ",
    ] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    let (plan, join) = plan_and_join(&out);
    assert_eq!(plan["requires"], json!(["open-pool"]));
    assert_eq!(
        (&plan["pool"], &plan["node"]),
        (&json!("cloud"), &Value::Null)
    );
    assert_eq!(join["nodeRegistration"]["name"], Value::Null);
    let token = |node| file(&ignition(&out, node), TOKEN).unwrap();
    assert_eq!(token("cloud"), token("w1"));
    let key = |node| file(&ignition(&out, node), paths::REPORT).unwrap();
    assert_ne!(key("cloud"), key("w1"));
    for node in ["cloud", "w1"] {
        let config = ignition(&out, node);
        assert_eq!(file(&config, "/etc/hostname"), None, "{node}");
    }
}

#[test]
fn kubelet_finds_an_address_of_the_clusters_first_ip_version() {
    let directory = tempfile::tempdir().unwrap();
    let networks =
        "networking: {podSubnet: 'fd00:10::/56', serviceSubnet: 'fd00:20::/112'}, version";
    let text = CLUSTER
        .replace("version", networks)
        .replace("10.200.0.1", "fd00::1");
    let out = directory.path().join("out");
    compile(&write(directory.path(), &text), &out, &[]);
    let (_, join) = plan_and_join(&out);
    let args = &join["nodeRegistration"]["kubeletExtraArgs"];
    let node_ip = json!({"name": "node-ip", "value": "::"});
    assert!(args.as_array().unwrap().contains(&node_ip), "{args}");
}

#[test]
fn the_nodes_of_an_open_pool_have_one_address_in_a_dual_stack_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let networks = "networking: {podSubnet: '10.32.0.0/16,fd00:10::/56', serviceSubnet: \
                    '10.64.0.0/16,fd00:20::/112'}, version";
    let text = CLUSTER
        .replace("version", networks)
        .replace("address: 10.200.0.11", "address: '10.200.0.11,fd00::11'")
        .replace("address: 10.200.0.12", "address: '10.200.0.12,fd00::12'");
    let note = "the nodes of the open pool cloud register with their IPv4 address only";
    let out = directory.path().join("out");
    let run = compile(&write(directory.path(), &text), &out, &[]);
    assert!(run.stderr.contains(note), "{}", run.stderr);
    let cloud = "open: true\n    kubelet: {extraArgs: {cloud-provider: external}}";
    let text = text.replace("open: true", cloud);
    let run = compile(&write(directory.path(), &text), &out, &[]);
    assert!(!run.stderr.contains(note), "{}", run.stderr);
}

#[test]
fn commands_take_the_name_of_an_open_pool() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), CLUSTER);
    let run = |arguments: &[&str]| {
        let run = nkd(directory.path(), arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout
    };
    let valid = run(&["validate", "cluster.yaml"]);
    assert_eq!(
        valid,
        "demo: 2 nodes, 1 open pool, Kubernetes v1.31.2: valid\n"
    );
    run(&["compile", "cluster.yaml", "-o", "a"]);
    let secrets = ["--secrets", "a/secrets.json"];
    let only = ["compile", "cluster.yaml", "-o", "b", "--node", "cloud"];
    run(&[&only[..], &secrets].concat());
    assert!(!directory.path().join("b/nodes/w1.ign").exists());
    let explained = run(&["explain", "a", "cloud", "/etc/nkd/plan.json"]);
    assert!(
        explained.contains("cluster.yaml:8 (spec.pools[cloud])"),
        "{explained}"
    );
    let diff = run(&["diff", "a", "b"]);
    assert!(!diff.contains("cloud"), "{diff}");
    let keys = run(&["secrets", "callback-keys", "a"]);
    let of_pool = keys.lines().find(|line| line.starts_with("cloud "));
    let derived = run(&["secrets", "callback-keys", "a/secrets.json", "cloud"]);
    assert_eq!(of_pool, derived.lines().next());
    let json = ["--format", "json", "compile", "cluster.yaml", "-o", "a"];
    let json: Value = serde_json::from_str(&run(&json)).unwrap();
    let pool = &json["nodes"][2];
    assert_eq!(pool["name"], "cloud");
    assert_eq!(
        (&pool["openPool"], &pool["address"]),
        (&json!(true), &Value::Null)
    );
}

#[test]
fn clouds_carry_the_file_of_an_open_pool_and_pxe_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = write(directory.path(), CLUSTER);
    let out = directory.path().join("out");
    let url = ["--url", "http://10.0.0.1"];
    let aws = ["--target", "aws", "--target", "openstack"];
    compile(&cluster_file, &out, &[&aws[..], &url].concat());
    for target in ["aws", "openstack"] {
        assert!(out.join(target).join("cloud.ign").exists(), "{target}");
    }
    let pxe = ["compile", "cluster.yaml", "-o", "pxe", "--target", "pxe"];
    let run = nkd(directory.path(), &[&pxe[..], &url].concat());
    assert_eq!(run.status, Some(3));
    let error = "error[NKD0161]: pxe cannot boot the machines of an open pool (cloud), because nkd has neither \
                 their MAC addresses nor their host names";
    assert!(run.stderr.contains(error), "{}", run.stderr);
    let listed = ["--node", "w1"];
    let run = nkd(directory.path(), &[&pxe[..], &url, &listed].concat());
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
fn the_tokens_of_pools_outlive_no_authority() {
    let directory = tempfile::tempdir().unwrap();
    let long = CLUSTER.replace("open: true", "open: true\n    bootstrapTokens: {ttl: 20y}");
    write(directory.path(), &long);
    let run = nkd(directory.path(), &["compile", "cluster.yaml", "-o", "out"]);
    assert_eq!(run.status, Some(3));
    assert!(run.stderr.contains("error[NKD0409]: "), "{}", run.stderr);
}

#[test]
fn a_file_for_many_machines_is_proved_to_have_nothing_of_one() {
    let mut cluster = compiled(CLUSTER);
    prove(&cluster).unwrap();
    let rule = "open-pools-nameless";
    for (rule, path, from, to) in [
        (rule, PLAN, "\"requires\": [\n    \"open-pool\"\n  ],", ""),
        (
            rule,
            KUBEADM,
            "nodeRegistration:\n",
            "nodeRegistration:\n  name: cloud\n",
        ),
        (
            rule,
            KUBEADM,
            "kubeletExtraArgs:\n",
            "kubeletExtraArgs:\n    - name: node-ip\n      value: 10.200.0.13\n",
        ),
        (
            "unique-names-and-addresses",
            PLAN,
            "\"pool\": \"cloud\"",
            "\"pool\": \"w1\"",
        ),
        ("token-known", TOKEN, ".", ".x"),
    ] {
        let whole = cluster.nodes[2].ignition.clone();
        replace(&mut cluster, 2, path, from, to);
        let error = format!("{:#}", prove(&cluster).unwrap_err());
        assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
        cluster.nodes[2].ignition = whole;
    }
    edit(&mut cluster, 2, |files| {
        let (source, compression) = nkd_ignition::encode("cloud\n");
        files.push(json!({
            "path": "/etc/hostname",
            "contents": {"source": source, "compression": compression},
        }));
    });
    let error = format!("{:#}", prove(&cluster).unwrap_err());
    assert!(error.contains("/etc/hostname is the same"), "{error}");
}
