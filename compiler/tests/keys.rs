//! Authorities of the user's own, RSA, and secrets made anew.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Run, compile, file, ignition, nkd};
use nkd::pki::Secrets;
use nkd_contract::paths;

/// Debian's openssl makes the keys, and says what it holds of ours.
fn openssl(directory: &Path, command: &str) -> String {
    let run = Command::new("/usr/bin/openssl")
        .args(command.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{command}: {stderr}");
    String::from_utf8(run.stdout).unwrap()
}

fn cluster(directory: &Path, version: &str, pki: &str) {
    let text = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
         kubernetes: {{version: {version}}}\n  pki: {pki}\n  nodes:\n    \
         - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n    \
         - {{name: w1, role: worker, address: 10.200.0.12}}\n"
    );
    fs::write(directory.join("cluster.yaml"), text).unwrap();
}

/// Compiles, and has openssl verify the administrator under what the control plane gets.
fn compiles_and_verifies(directory: &Path) {
    let out = directory.join("out");
    compile(&directory.join("cluster.yaml"), &out, &[]);
    let config = ignition(&out, "cp1");
    for name in ["ca", "etcd/ca", "front-proxy-ca"] {
        for kind in ["crt", "key"] {
            let text = file(&config, &format!("{}/{name}.{kind}", paths::PKI)).unwrap();
            fs::write(directory.join(format!("of-node.{kind}")), text).unwrap();
        }
        openssl(
            directory,
            "verify -x509_strict -CAfile of-node.crt of-node.crt",
        );
        let certificate = openssl(directory, "x509 -in of-node.crt -noout -pubkey");
        assert_eq!(
            certificate,
            openssl(directory, "pkey -in of-node.key -pubout")
        );
    }
    let kubeconfig = fs::read_to_string(out.join("kubeconfig")).unwrap();
    for (key, name) in [
        ("certificate-authority-data: ", "of-kubeconfig.crt"),
        ("client-certificate-data: ", "admin.crt"),
    ] {
        let value = kubeconfig
            .split(key)
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let pem = STANDARD.decode(value.trim_matches('"')).unwrap();
        fs::write(directory.join(name), pem).unwrap();
    }
    openssl(
        directory,
        "verify -x509_strict -purpose sslclient -CAfile of-kubeconfig.crt admin.crt",
    );
}

const CA: &str = "-addext keyUsage=critical,keyCertSign,cRLSign";

#[test]
fn own_authorities_in_every_form_sign_what_openssl_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    // As SEC1 with its curve before it, PKCS#8, and both forms of RSA.
    openssl(at, "ecparam -name prime256v1 -genkey -out kubernetes.key");
    openssl(
        at,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out etcd.key",
    );
    openssl(at, "genrsa -traditional -out front.key 2048");
    openssl(
        at,
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out sa.key",
    );
    let key = fs::read_to_string(at.join("kubernetes.key")).unwrap();
    assert!(key.contains("BEGIN EC PARAMETERS") && key.contains("BEGIN EC PRIVATE KEY"));
    let key = fs::read_to_string(at.join("front.key")).unwrap();
    assert!(key.contains("BEGIN RSA PRIVATE KEY"));
    for name in ["kubernetes", "etcd", "front"] {
        let subject = format!("-subj /O=Example/CN={name}");
        let make = format!("req -x509 -new -key {name}.key -out {name}.crt -days 4000 {subject}");
        openssl(at, &format!("{make} {CA}"));
    }
    let pki = "{authorities: {kubernetes: {certFile: kubernetes.crt, keyFile: kubernetes.key}, \
               etcd: {certFile: etcd.crt, keyFile: etcd.key}, \
               frontProxy: {certFile: front.crt, keyFile: front.key}}, \
               serviceAccount: {keyFile: sa.key}}";
    cluster(at, "v1.20.2", pki);
    compiles_and_verifies(at);
    let config = ignition(&at.join("out"), "cp1");
    let public = file(&config, &format!("{}/sa.pub", paths::PKI)).unwrap();
    assert_eq!(public, openssl(at, "pkey -in sa.key -pubout"));
    let certificate = file(&config, &format!("{}/etcd/ca.crt", paths::PKI)).unwrap();
    assert_eq!(
        certificate,
        fs::read_to_string(at.join("etcd.crt")).unwrap()
    );

    // The secrets have them now: the files may go, but others may not come.
    let secrets = fs::read_to_string(at.join("out/secrets.json")).unwrap();
    cluster(at, "v1.20.2", "{}");
    compiles_and_verifies(at);
    cluster(
        at,
        "v1.20.2",
        "{authorities: {kubernetes: {certFile: etcd.crt, keyFile: etcd.key}}}",
    );
    let run = nkd(at, &["compile", "cluster.yaml", "-o", "out"]);
    assert_eq!(run.status, Some(3));
    assert!(run.stderr.contains("NKD0402"), "{}", run.stderr);
    assert!(run.stderr.contains("cluster.yaml:6:"), "{}", run.stderr);
    assert_eq!(
        fs::read_to_string(at.join("out/secrets.json")).unwrap(),
        secrets
    );
}

/// A root and an authority below it, valid for some days.
fn chain(at: &Path, days: u32) {
    for name in ["root", "ca"] {
        openssl(
            at,
            &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"),
        );
    }
    let root = "req -x509 -new -key root.key -out root.crt -days 4000 -subj /CN=root";
    openssl(at, &format!("{root} {CA}"));
    openssl(at, "req -new -key ca.key -out ca.csr -subj /CN=ca");
    let extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n\
                      subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    fs::write(at.join("ext"), extensions).unwrap();
    let sign = "x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -extfile ext";
    openssl(at, &format!("{sign} -out ca.crt -days {days}"));
}

fn join(at: &Path, names: [&str; 2]) {
    let text = names.map(|name| fs::read_to_string(at.join(name)).unwrap());
    fs::write(at.join("chain.crt"), text.concat()).unwrap();
}

#[test]
fn an_authority_below_a_root_works_in_the_right_order_only() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    chain(at, 4000);
    let pki = "{authorities: {etcd: {certFile: chain.crt, keyFile: ca.key}}}";
    cluster(at, "v1.31.2", pki);
    join(at, ["ca.crt", "root.crt"]);
    compiles_and_verifies(at);
    for wrong in [["root.crt", "ca.crt"], ["ca.crt", "ca.crt"]] {
        join(at, wrong);
        let run = nkd(at, &["validate", "cluster.yaml"]);
        assert!(run.stderr.contains("NKD0156"), "{}", run.stderr);
    }
    fs::copy(at.join("ca.crt"), at.join("chain.crt")).unwrap();
    let run = nkd(at, &["validate", "cluster.yaml"]);
    assert!(run.stderr.contains("not self-signed"), "{}", run.stderr);
    // The controller manager would not start with both certificates.
    let pki = "{authorities: {kubernetes: {certFile: chain.crt, keyFile: ca.key}}}";
    cluster(at, "v1.31.2", pki);
    join(at, ["ca.crt", "root.crt"]);
    let run = nkd(at, &["validate", "cluster.yaml"]);
    assert!(run.stderr.contains("NKD0159"), "{}", run.stderr);
    // Long enough for a cluster that is there, too short for a new administrator.
    let short = "req -x509 -new -key ca.key -out chain.crt -days 100 -subj /CN=ca";
    openssl(at, &format!("{short} {CA}"));
    let run = nkd(at, &["secrets", "new", "cluster.yaml", "-o", "new.json"]);
    assert!(run.stderr.contains("NKD0155"), "{}", run.stderr);
    assert!(!at.join("new.json").exists());
}

#[test]
fn openssl_verifies_rsa_of_every_size() {
    for size in ["2048", "3072", "4096"] {
        let directory = tempfile::tempdir().unwrap();
        cluster(
            directory.path(),
            "v1.31.2",
            &format!("{{algorithm: rsa-{size}}}"),
        );
        compiles_and_verifies(directory.path());
        let text = openssl(directory.path(), "x509 -in of-kubeconfig.crt -noout -text");
        assert!(
            text.contains(&format!("Public-Key: ({size} bit)")),
            "{text}"
        );
    }
}

fn secrets(path: &Path) -> Secrets {
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    Secrets::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn rotation_changes_what_was_asked_for_and_refuses_what_nodes_share() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "v1.31.2", "{}");
    let path = at.join("s.json");
    nkd(at, &["secrets", "new", "cluster.yaml", "-o", "s.json"]);
    compile(
        &at.join("cluster.yaml"),
        &at.join("out"),
        &["--secrets", path.to_str().unwrap()],
    );
    let before = secrets(&path);
    for refused in ["service-account", "kubernetes", "etcd", "front-proxy"] {
        let run = nkd(at, &["secrets", "rotate", "s.json", "token", refused]);
        assert_eq!(run.status, Some(3));
        assert!(run.stderr.contains("NKD0408"), "{}", run.stderr);
        assert_eq!(secrets(&path), before, "{refused}");
    }
    let run = nkd(at, &["secrets", "rotate", "s.json", "token"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("the new tokens"), "{}", run.stdout);
    let mut after = secrets(&path);
    assert_ne!(after.token_seed, before.token_seed);
    after.token_seed = before.token_seed.clone();
    assert_eq!(after, before);
    // Through a link, which stays.
    std::os::unix::fs::symlink("s.json", at.join("link.json")).unwrap();
    let run = nkd(
        at,
        &["secrets", "rotate", "link.json", "admin", "callback-seed"],
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(at.join("link.json").is_symlink());
    let after = secrets(&path);
    assert_ne!(after.callback_seed, before.callback_seed);
    assert!(
        after
            .admin
            .iter()
            .zip(&before.admin)
            .all(|(a, b)| a.pair != b.pair)
    );
    assert_eq!(after.authorities, before.authorities);
    // The earlier output is of the same cluster still.
    compile(
        &at.join("cluster.yaml"),
        &at.join("out"),
        &["--secrets", path.to_str().unwrap()],
    );
    compiles_and_verifies(at);
    let left = fs::read_dir(at)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        left.into_iter()
            .all(|name| !name.to_string_lossy().starts_with(".nkd"))
    );
}

fn assert_silent(runs: &[Run], secrets: &[&str]) {
    for secret in secrets {
        // The last line of a key is its public part.
        let lines: Vec<_> = secret
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        for line in &lines[..lines.len().max(2) - 1] {
            for run in runs {
                assert!(!run.stdout.contains(line), "{line} is in {}", run.stdout);
                assert!(!run.stderr.contains(line), "{line} is in {}", run.stderr);
            }
        }
    }
}

const COMMANDS: [&str; 23] = [
    "validate cluster.yaml",
    "images cluster.yaml",
    "images cluster.yaml --commands",
    "validate s.json",
    "images ca.key",
    "butane s.json",
    "compile ca.key -o none",
    "compile cluster.yaml -o out --secrets s.json --target aws",
    "compile cluster.yaml -o out --secrets broken.json",
    "compile cluster.yaml -o out --secrets open.json",
    "compile cluster.yaml -o out --secrets ca.key",
    "explain out cp1",
    "explain out cp1 /etc/nkd/pki/etcd/ca.key",
    "explain out cp1 /etc/nkd/kubeadm.yaml",
    "diff out out",
    "secrets show s.json",
    "secrets show broken.json",
    "secrets show open.json",
    "secrets rotate broken.json token",
    "secrets rotate s.json etcd",
    "secrets rotate s.json token admin callback-seed",
    "compile cluster.yaml -o out --secrets s.json",
    "secrets new cluster.yaml -o s.json",
];

#[test]
fn no_command_shows_a_secret_whether_it_succeeds_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    chain(at, 4000);
    join(at, ["ca.crt", "root.crt"]);
    cluster(
        at,
        "v1.31.2",
        "{authorities: {etcd: {certFile: chain.crt, keyFile: ca.key}}}",
    );
    let own = fs::read_to_string(at.join("ca.key")).unwrap();
    let mut runs = vec![nkd(at, &["secrets", "new", "cluster.yaml", "-o", "s.json"])];
    let before = fs::read_to_string(at.join("s.json")).unwrap();
    let broken = before.replace("\"tokenSeed\": \"", "\"tokenSeed\": 1, \"x\": \"");
    fs::write(at.join("broken.json"), broken).unwrap();
    common::set_mode(&at.join("broken.json"), 0o600);
    fs::write(at.join("open.json"), &before).unwrap();
    common::set_mode(&at.join("open.json"), 0o644);
    for command in COMMANDS {
        for format in ["text", "json"] {
            let mut arguments: Vec<_> = command.split(' ').collect();
            arguments.extend(["--format", format]);
            runs.push(nkd(at, &arguments));
        }
    }
    let after = fs::read_to_string(at.join("s.json")).unwrap();
    for text in [before, after] {
        let secrets = Secrets::parse(&text).unwrap();
        let token = secrets.token("nodes without a pool").unwrap();
        let mut all = secrets.private_texts();
        all.push(token.expose());
        assert_silent(&runs, &all);
    }
    // Damage in the user's own files is told without their content.
    let mut runs = Vec::new();
    for damaged in [own.replace('M', "!"), own[..120].to_owned(), own.repeat(2)] {
        fs::write(at.join("ca.key"), damaged).unwrap();
        runs.push(nkd(at, &["validate", "cluster.yaml"]));
        assert_eq!(runs.last().unwrap().status, Some(3));
    }
    assert_silent(&runs, &[&own]);
}

/// The token by which a node joins.
fn joins_by(out: &Path, node: &str) -> String {
    file(&ignition(out, node), paths::TOKEN).unwrap()
}

const POOLS: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: tokens}
spec:
  kubernetes:
    version: v1.31.2
    bootstrapTokens: {each: EACH, ttl: 36h}
  pools:
    - {name: gpu, role: worker}
    - {name: idle, role: worker}
  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11}
    - {name: w1, pool: gpu, address: 10.200.0.21}
    - {name: w2, pool: gpu, address: 10.200.0.22}
    - {name: w3, role: worker, address: 10.200.0.23}
";

#[test]
fn each_pool_has_a_token_of_its_own_or_each_node() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for (each, distinct) in [("pool", 2), ("node", 3)] {
        let cluster_file = at.join("cluster.yaml");
        fs::write(&cluster_file, POOLS.replace("EACH", each)).unwrap();
        let out = at.join("out");
        compile(&cluster_file, &out, &[]);
        let mut tokens = ["w1", "w2", "w3"].map(|node| joins_by(&out, node)).to_vec();
        assert_eq!(tokens[0] == tokens[1], each == "pool");
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), distinct, "{tokens:?}");
        let init = file(&ignition(&out, "cp1"), paths::KUBEADM).unwrap();
        // None that nobody joins by.
        assert_eq!(init.matches("token: ").count(), distinct, "{init}");
        assert_eq!(init.matches("ttl: \"36h0m0s\"").count(), distinct, "{init}");
        for token in tokens {
            assert!(init.contains(&token), "{init}");
            let (id, secret) = token.split_once('.').unwrap();
            assert_eq!((id.len(), secret.len()), (6, 16));
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            assert!((id.to_owned() + secret).chars().all(good), "{token}");
        }
    }
}
