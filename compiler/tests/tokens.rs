//! Bootstrap tokens after the first boot: printed as Secrets, and rotated for some of the nodes.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::{Run, compile, file, ignition, nkd};
use nkd_contract::{Timestamp, paths};
use nkd_document::yaml;
use serde_json::Value;

const POOLS: &str = "  pools: [{name: blue, role: worker}, {name: red, role: worker}]
  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11}
    - {name: b1, pool: blue, address: 10.200.0.21}
    - {name: b2, pool: blue, address: 10.200.0.22}
    - {name: r1, pool: red, address: 10.200.0.31}
    - {name: w1, role: worker, address: 10.200.0.41}
";

/// Writes and compiles a cluster whose tokens are shared as `each` has it.
fn cluster(at: &Path, each: &str) {
    let text = fs::read_to_string(common::demo()).unwrap();
    let (head, _) = text.split_once("  nodes:\n").unwrap();
    let tokens = format!("    bootstrapTokens: {{each: {each}, ttl: 3d}}\n");
    fs::write(at.join("cluster.yaml"), format!("{head}{tokens}{POOLS}")).unwrap();
    compile(&at.join("cluster.yaml"), &at.join("out"), &[]);
}

fn tokens(at: &Path, choice: &[&str]) -> Run {
    let command = ["secrets", "tokens", "cluster.yaml", "out/secrets.json"];
    nkd(at, &[&command, choice].concat())
}

/// The data of the Secrets, and their tokens.
fn secrets(at: &Path, choice: &[&str]) -> Vec<(Value, String)> {
    let run = tokens(at, choice);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let documents = yaml::fragment(&run.stdout).unwrap();
    let secret = |document: Value| {
        let data = &document["stringData"];
        let part = |key: &str| data[key].as_str().unwrap().to_owned();
        let (id, half) = (part("token-id"), part("token-secret"));
        assert_eq!(
            document["metadata"]["name"],
            format!("bootstrap-token-{id}")
        );
        assert_eq!(document["metadata"]["namespace"], "kube-system");
        assert_eq!(document["type"], "bootstrap.kubernetes.io/token");
        (data.clone(), format!("{id}.{half}"))
    };
    documents.into_iter().map(secret).collect()
}

/// The token that the compiled file of a node has.
fn token(at: &Path, node: &str) -> String {
    let config = ignition(&at.join("out"), node);
    file(&config, paths::TOKEN).unwrap().trim().to_owned()
}

fn rotate(at: &Path, choice: &[&str]) -> Run {
    let command = ["secrets", "rotate", "out/secrets.json", "token"];
    let run = nkd(
        at,
        &[&command, ["--cluster", "cluster.yaml"].as_slice(), choice].concat(),
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run
}

#[test]
fn the_secrets_hold_the_tokens_of_the_nodes_and_what_kubeadm_gives_them() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "pool");
    let all = secrets(at, &[]);
    let of_nodes = ["b1", "r1", "w1"].map(|node| token(at, node));
    assert_eq!(
        all.iter()
            .map(|(_, token)| token.clone())
            .collect::<Vec<_>>(),
        of_nodes
    );
    let (data, _) = &all[0];
    assert_eq!(data["description"], "joins pool blue, as compiled by nkd");
    assert_eq!(data["usage-bootstrap-authentication"], "true");
    assert_eq!(data["usage-bootstrap-signing"], "true");
    assert_eq!(
        data["auth-extra-groups"],
        "system:bootstrappers:kubeadm:default-node-token"
    );
    let expiration: Timestamp = data["expiration"].as_str().unwrap().parse().unwrap();
    let left = expiration.since(Timestamp::now()).as_secs();
    assert!((3 * 86_400 - 60..=3 * 86_400).contains(&left), "{left}");
    // A pool, a node of the same pool, and both at once are one token.
    for choice in [["--pool", "blue"], ["--node", "b2"]] {
        assert_eq!(secrets(at, &choice)[0].1, of_nodes[0]);
    }
    assert_eq!(secrets(at, &["--pool", "blue", "--node", "b1"]).len(), 1);
}

#[test]
fn the_token_of_one_pool_is_rotated_and_the_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "pool");
    let before = ["b1", "r1", "w1"].map(|node| token(at, node));
    let mut seen = vec![before[0].clone()];
    for _ in 0..2 {
        let run = rotate(at, &["--pool", "blue"]);
        let (id, half) = seen.last().unwrap().split_once('.').unwrap();
        let commands = format!(
            "    nkd compile cluster.yaml -o out
    kubectl --namespace kube-system delete secret --ignore-not-found bootstrap-token-{id}
    nkd secrets tokens cluster.yaml out/secrets.json --pool blue | kubectl apply -f -\n"
        );
        assert!(run.stdout.ends_with(&commands), "{}", run.stdout);
        assert!(!run.stdout.contains(half), "{}", run.stdout);
        compile(&at.join("cluster.yaml"), &at.join("out"), &[]);
        assert_eq!(["r1", "w1"].map(|node| token(at, node)), before[1..]);
        assert_eq!(token(at, "b1"), token(at, "b2"));
        assert_eq!(token(at, "b1"), secrets(at, &["--pool", "blue"])[0].1);
        assert!(!seen.contains(&token(at, "b1")), "a token came back");
        seen.push(token(at, "b1"));
    }
    // All of them at once: nothing is left of the rotations before.
    let run = rotate(at, &[]);
    let names = run.stdout.matches(" bootstrap-token-").count();
    assert_eq!(names, 3, "{}", run.stdout);
    compile(&at.join("cluster.yaml"), &at.join("out"), &[]);
    for node in ["b1", "r1", "w1"] {
        assert!(!before.contains(&token(at, node)) && !seen.contains(&token(at, node)));
    }
    let secrets = fs::read_to_string(at.join("out/secrets.json")).unwrap();
    assert!(
        !secrets.contains("tokenRotations"),
        "no scope is rotated by itself"
    );
}

#[test]
fn where_each_node_has_a_token_a_pool_means_those_of_its_nodes() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "node");
    let before = ["b1", "b2", "r1"].map(|node| token(at, node));
    assert_eq!(secrets(at, &["--pool", "blue"]).len(), 2);
    rotate(at, &["--node", "b1"]);
    compile(&at.join("cluster.yaml"), &at.join("out"), &[]);
    assert_ne!(token(at, "b1"), before[0]);
    assert_eq!(["b2", "r1"].map(|node| token(at, node)), before[1..]);
}

#[test]
fn a_choice_that_means_no_token_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "pool");
    let before = fs::read_to_string(at.join("out/secrets.json")).unwrap();
    for (choice, expected) in [
        (["--pool", "green"], "error[NKD0126]: unknown pool `green`"),
        (["--node", "b9"], "error[NKD0404]: unknown node `b9`"),
        (
            ["--node", "cp1"],
            "error[NKD0404]: no node of this choice joins the cluster",
        ),
    ] {
        let run = tokens(at, &choice);
        assert_eq!(run.status, Some(3), "{}", run.stdout);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        let rotate = [
            "secrets",
            "rotate",
            "out/secrets.json",
            "token",
            "--cluster",
            "cluster.yaml",
        ];
        let run = nkd(at, &[&rotate, choice.as_slice()].concat());
        assert_eq!(run.status, Some(3), "{}", run.stdout);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let rotate = ["secrets", "rotate", "out/secrets.json"];
    let pool = ["--cluster", "cluster.yaml", "--pool", "blue"];
    let run = nkd(
        at,
        &[rotate.as_slice(), &["token", "admin"], &pool].concat(),
    );
    assert!(
        run.status == Some(3) && run.stderr.contains("NKD0408"),
        "{}",
        run.stderr
    );
    let run = nkd(at, &[rotate.as_slice(), &["token"], &pool[2..]].concat());
    assert!(
        run.status == Some(2) && run.stderr.contains("--cluster"),
        "{}",
        run.stderr
    );
    assert_eq!(
        fs::read_to_string(at.join("out/secrets.json")).unwrap(),
        before
    );
}
