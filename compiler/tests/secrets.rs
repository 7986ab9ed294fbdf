//! A secrets file is verified whenever it is read, and what ends is noted in time.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Run, compile, demo, nkd, program, set_mode};
use serde_json::{Value, json};

fn secrets(directory: &Path, name: &str) -> Value {
    let path = directory.join(name);
    let run = nkd(
        directory,
        &["secrets", "new", demo().to_str().unwrap(), "-o", name],
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What is told of changed secrets by all commands that read them.
fn refused(directory: &Path, secrets: &Value) -> String {
    let path = directory.join("changed.json");
    fs::write(&path, secrets.to_string()).unwrap();
    set_mode(&path, 0o600);
    let (demo, text) = (demo(), secrets.to_string());
    let demo = demo.to_str().unwrap();
    let run = nkd(
        directory,
        &["compile", demo, "-o", "out", "--secrets", "changed.json"],
    );
    assert_eq!(run.status, Some(3), "{}", run.stderr);
    assert!(!directory.join("out").exists());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    run.stderr
}

/// What is changed, from where in other secrets of a cluster of the same name, and the part that is named.
const FOREIGN: [(&str, &str, &str); 9] = [
    (
        "/authorities/kubernetes/key",
        "/authorities/kubernetes/key",
        "authorities.kubernetes.key",
    ),
    (
        "/authorities/etcd/key",
        "/authorities/etcd/key",
        "authorities.etcd.key",
    ),
    (
        "/authorities/frontProxy/public",
        "/authorities/frontProxy/public",
        "authorities.frontProxy.key",
    ),
    (
        "/authorities/kubernetes",
        "/authorities/kubernetes",
        "admin[0].pair.public",
    ),
    (
        "/authorities/etcd",
        "/authorities/frontProxy",
        "authorities.etcd.public",
    ),
    (
        "/serviceAccount/public",
        "/serviceAccount/public",
        "serviceAccount.public",
    ),
    (
        "/serviceAccount/key",
        "/serviceAccount/key",
        "serviceAccount.public",
    ),
    (
        "/admin/0/pair/key",
        "/admin/0/pair/key",
        "admin[0].pair.key",
    ),
    ("/admin/1/pair", "/admin/1/pair", "admin[1].pair.public"),
];

/// What is changed in itself.
const DAMAGED: [(&str, &str, &str); 13] = [
    (
        "/authorities/kubernetes/public",
        "",
        "authorities.kubernetes.public",
    ),
    (
        "/authorities/etcd/public",
        "garbage",
        "authorities.etcd.public",
    ),
    ("/authorities/etcd/key", "garbage", "authorities.etcd.key"),
    ("/serviceAccount/key", "", "serviceAccount.key"),
    ("/serviceAccount/public", "garbage", "serviceAccount.public"),
    ("/tokenSeed", "", "tokenSeed"),
    ("/tokenSeed", "bm8=", "tokenSeed"),
    ("/tokenSeed", "%%%", "tokenSeed"),
    ("/callbackSeed", "", "callbackSeed"),
    // 32 zeros, 0 to 31, and text.
    (
        "/callbackSeed",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "callbackSeed",
    ),
    (
        "/tokenSeed",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "tokenSeed",
    ),
    (
        "/tokenSeed",
        "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyISE=",
        "tokenSeed",
    ),
    ("/admin/0/group", "system:nodes", "admin"),
];

#[test]
fn parts_that_are_damaged_or_do_not_belong_together_are_named_and_no_secret_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (good, other) = (secrets(at, "good.json"), secrets(at, "other.json"));
    let foreign = FOREIGN.map(|(to, from, part)| (to, other.pointer(from).unwrap().clone(), part));
    let damaged = DAMAGED.map(|(to, text, part)| (to, json!(text), part));
    let token_seed = good["tokenSeed"].clone();
    let same_seeds = [("/callbackSeed", token_seed, "callbackSeed")];
    for (to, value, part) in foreign.into_iter().chain(damaged).chain(same_seeds) {
        let mut changed = good.clone();
        *changed.pointer_mut(to).unwrap() = value;
        let told = refused(at, &changed);
        assert!(
            told.contains("error[NKD0401]: `changed.json`: `"),
            "{to}: {told}"
        );
        assert!(told.contains(&format!("`{part}`")), "{to}: {told}");
        assert!(told.contains("help: "), "{told}");
        for text in ["PRIVATE", "tokenSeed\":"] {
            assert!(!told.contains(text), "{told}");
        }
        for seed in ["/tokenSeed", "/callbackSeed"] {
            let seed = changed.pointer(seed).unwrap().as_str().unwrap();
            assert!(seed.len() < 8 || !told.contains(seed), "{told}");
        }
        // `show` and `rotate` read it too. Names alone need the cluster file.
        if to != "/authorities/etcd" {
            let run = nkd(at, &["secrets", "rotate", "changed.json", "token"]);
            assert_eq!(run.status, Some(3), "{to}");
        }
    }
}

#[test]
fn authorities_in_the_place_of_each_other_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let good = secrets(directory.path(), "good.json");
    let all = ["kubernetes", "etcd", "frontProxy"];
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let mut changed = good.clone();
        changed["authorities"][all[one]] = good["authorities"][all[other]].clone();
        changed["authorities"][all[other]] = good["authorities"][all[one]].clone();
        let told = refused(directory.path(), &changed);
        assert!(told.contains("NKD0401"), "{told}");
        // One authority in two places.
        changed["authorities"][all[one]] = good["authorities"][all[one]].clone();
        let told = refused(directory.path(), &changed);
        assert!(told.contains("is the same"), "{told}");
    }
}

/// Runs nkd some days from now.
fn in_days(days: u32, directory: &Path, arguments: &[&str]) -> Run {
    let at = directory.to_str().unwrap();
    let shell = format!(
        "cd {at} && exec faketime -f +{days}d {} \"$@\"",
        env!("CARGO_BIN_EXE_nkd")
    );
    assert!(
        Path::new("/usr/bin/faketime").exists(),
        "install Debian's package faketime"
    );
    program(
        "/bin/sh",
        "dash",
        &[&["-c", &shell, "sh"], arguments].concat(),
    )
}

fn admin_ends(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("out/kubeconfig")).unwrap();
    let data = text.split("client-certificate-data: ").nth(1).unwrap();
    let data = data.lines().next().unwrap().trim_matches('"');
    let path = directory.join("admin.crt");
    fs::write(&path, STANDARD.decode(data).unwrap()).unwrap();
    let arguments = ["x509", "-in", path.to_str().unwrap(), "-noout", "-enddate"];
    program("/usr/bin/openssl", "openssl", &arguments).stdout
}

#[test]
fn the_administrators_certificate_is_renewed_before_it_ends_and_the_cluster_stays_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    compile(&demo(), &at.join("out"), &[]);
    let (demo, first) = (demo(), admin_ends(at));
    let node = fs::read(at.join("out/nodes/cp1.ign")).unwrap();
    let mut arguments = vec!["compile", demo.to_str().unwrap(), "-o", "out"];
    arguments.extend(["--allow", "NKD0181"]);
    let run = in_days(200, at, &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!((run.stderr.as_str(), admin_ends(at)), ("", first.clone()));
    for (days, note) in [(260, true), (300, false), (700, true)] {
        let before = admin_ends(at);
        let run = in_days(days, at, &arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert_eq!(
            run.stderr.contains("note: the kubeconfig contains a new"),
            note,
            "{}",
            run.stderr
        );
        assert_eq!(admin_ends(at) != before, note);
        assert!(fs::read(at.join("out/nodes/cp1.ign")).unwrap() == node);
    }
}

#[test]
fn an_authority_that_ends_is_noted_in_time_and_refused_before_its_tokens_would_outlive_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    compile(&demo(), &at.join("out"), &[]);
    let demo = demo();
    let arguments = ["compile", demo.to_str().unwrap(), "-o", "out"];
    // The authorities are valid for ten years (315,576,000 seconds), which are 3,652.5 days.
    let run = in_days(3500, at, &arguments);
    assert!(
        run.status == Some(0) && !run.stderr.contains("authority"),
        "{}",
        run.stderr
    );
    let run = in_days(3600, at, &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("`authorities.etcd` of the secrets file expires in 5"),
        "{}",
        run.stderr
    );
    for days in [3652, 4000] {
        let run = in_days(days, at, &arguments);
        assert_eq!(run.status, Some(3), "{days}: {}", run.stderr);
        assert!(run.stderr.contains("NKD0409"), "{}", run.stderr);
        assert!(
            run.stderr.contains("`authorities.kubernetes"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn no_digest_of_a_password_is_in_the_lock_file() {
    let directory = tempfile::tempdir().unwrap();
    let out = common::full(directory.path());
    let lock = std::fs::read_to_string(out.join("cluster.lock")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let inputs = lock["inputs"].as_object().unwrap();
    assert!(inputs.contains_key("cluster.yaml"));
    assert!(directory.path().join("password.txt").exists());
    assert!(!inputs.contains_key("password.txt"), "{inputs:?}");
}

#[test]
fn a_password_in_the_url_of_a_server_is_not_echoed() {
    let demo = common::demo();
    let run = common::nkd(
        std::path::Path::new("/"),
        &[
            "validate",
            demo.to_str().unwrap(),
            "--url",
            "http://u:swordfish@h/",
        ],
    );
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    assert!(!run.stderr.contains("swordfish"), "{}", run.stderr);
}

/// The value of a name in the test vector of `docs/callbacks.md`.
fn vector(name: &str) -> &'static str {
    let document = include_str!("../../docs/callbacks.md");
    let mut lines = document.lines().map(str::trim_start);
    let start = format!("{name}: ");
    lines.find_map(|line| line.strip_prefix(&*start)).unwrap()
}

#[test]
fn the_documented_test_vector_is_what_nkd_derives_from_a_secrets_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut secrets = secrets(at, "s.json");
    assert_eq!(secrets["cluster"], vector("CLUSTER"));
    secrets["callbackSeed"] = vector("callbackSeed").into();
    fs::write(at.join("s.json"), secrets.to_string()).unwrap();
    let (node, key) = (vector("NODE"), vector("key"));
    let run = nkd(at, &["secrets", "callback-keys", "s.json", node]);
    assert_eq!(run.stdout, format!("{node}  {key}\n"), "{}", run.stderr);
    // The node's name is part of the derivation.
    let run = nkd(at, &["secrets", "callback-keys", "s.json", "w1"]);
    assert!(run.status == Some(0) && !run.stdout.contains(key));
    let run = nkd(at, &["secrets", "callback-keys", "s.json"]);
    assert_eq!(run.status, Some(3), "{}", run.stdout);
    assert!(run.stderr.contains("NKD0404"), "{}", run.stderr);
}

#[test]
fn callback_keys_of_an_output_are_those_that_its_nodes_sign_with() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let out = common::full(at);
    let keys = |arguments: &[&str]| nkd(at, &[&["secrets", "callback-keys"], arguments].concat());
    let before = keys(&["out"]);
    assert_eq!(before.status, Some(0), "{}", before.stderr);
    for line in before.stdout.lines() {
        let (node, key) = line.split_once("  ").unwrap();
        let config = common::ignition(&out, node);
        let report = common::file(&config, nkd_contract::paths::REPORT).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["signingKey"], key.trim_start());
    }
    let nodes = fs::read_dir(out.join("nodes")).unwrap().count();
    assert_eq!(before.stdout.lines().count(), nodes);

    let rotated = nkd(
        at,
        &["secrets", "rotate", "out/secrets.json", "callback-seed"],
    );
    assert_eq!(rotated.status, Some(0), "{}", rotated.stderr);
    assert_eq!(keys(&["out"]).stdout, before.stdout);
    let one = keys(&["out", "cp1", "--format", "json"]);
    let one: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(one["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(one["nodes"][0]["name"], "cp1");
    assert!(
        before
            .stdout
            .contains(one["nodes"][0]["key"].as_str().unwrap())
    );
    assert!(keys(&["out", "nobody"]).stderr.contains("NKD0404"));
}

#[test]
fn an_output_whose_nodes_send_no_callbacks_has_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    compile(&demo(), &at.join("out"), &[]);
    let run = nkd(at, &["secrets", "callback-keys", "out"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(3), ""));
    assert!(run.stderr.contains("`spec.report`"), "{}", run.stderr);
}
