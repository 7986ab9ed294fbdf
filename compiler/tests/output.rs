//! The output directory and the secrets: private, whole, the same for the same input.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{assert_ignition_takes, compile, demo, file, ignition, nkd, program};
use nkd::pki::Secrets;
use nkd_contract::paths;
use serde_json::Value;

struct Compiled {
    directory: tempfile::TempDir,
    out: PathBuf,
}

fn compile_demo() -> Compiled {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    compile(&demo(), &out, &[]);
    Compiled { directory, out }
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

fn refuses(arguments: &[&str], code: &str) {
    let run = nkd(Path::new("/"), arguments);
    assert_eq!(run.status, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains(code), "{}", run.stderr);
}

#[test]
fn the_example_and_a_new_cluster_file_compile_to_what_ignition_takes() {
    let demo = compile_demo();
    assert_ignition_takes(&demo.out);
    let directory = tempfile::tempdir().unwrap();
    let new = nkd(directory.path(), &["new", "--nodes", "4"]);
    let cluster_file = directory.path().join("cluster.yaml");
    fs::write(&cluster_file, new.stdout).unwrap();
    let out = directory.path().join("out");
    let run = compile(&cluster_file, &out, &[]);
    assert_eq!(fs::read_dir(out.join("nodes")).unwrap().count(), 4);
    assert!(
        run.stdout.contains("w3    worker         10.200.0.14"),
        "{}",
        run.stdout
    );
    assert_ignition_takes(&out);
}

#[test]
fn validate_says_the_same_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let run = nkd(directory.path(), &["validate", demo().to_str().unwrap()]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "demo: 2 nodes, Kubernetes v1.20.2: valid\n");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn everything_written_is_private() {
    let Compiled {
        directory: _keep,
        out,
    } = compile_demo();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&out), 0o700);
    assert_eq!(mode(&out.join("nodes")), 0o700);
    for (path, _) in contents(&out) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_same_input_and_secrets_give_the_same_bytes() {
    let Compiled { directory, out } = compile_demo();
    let first = contents(&out);
    compile(&demo(), &out, &[]);
    assert_eq!(contents(&out), first, "compiled again over itself");
    let other = directory.path().join("other");
    compile(
        &demo(),
        &other,
        &["--secrets", out.join("secrets.json").to_str().unwrap()],
    );
    let bytes = |directory| {
        contents(directory)
            .into_iter()
            .map(|pair| pair.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(bytes(&other), bytes(&out), "compiled elsewhere");
}

#[test]
fn another_cluster_has_other_secrets() {
    let (one, two) = (compile_demo(), compile_demo());
    let secrets =
        |compiled: &Compiled| fs::read_to_string(compiled.out.join("secrets.json")).unwrap();
    let (one, two) = (
        Secrets::parse(&secrets(&one)),
        Secrets::parse(&secrets(&two)),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    for (a, b) in one.private_texts().iter().zip(two.private_texts()) {
        assert_ne!(*a, b);
    }
}

#[test]
fn no_secret_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let first = compile(&demo(), &out, &[]);
    let json = fs::read_to_string(out.join("secrets.json")).unwrap();
    let secrets = Secrets::parse(&json).unwrap();
    // A secrets file that no longer fits is the likeliest way for one to be shown.
    let broken = directory.path().join("broken.json");
    fs::write(
        &broken,
        json.replace("\"tokenSeed\": \"", "\"tokenSeed\": 1, \"x\": \""),
    )
    .unwrap();
    let arguments = [
        "compile",
        demo().to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--secrets",
        broken.to_str().unwrap(),
    ]
    .map(str::to_owned);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let second = nkd(Path::new("/"), &arguments);
    assert_eq!(second.status, Some(3));
    let shown = [
        first.stdout,
        first.stderr,
        second.stdout,
        second.stderr,
        format!("{secrets:?}"),
    ];
    for secret in secrets.private_texts() {
        // One line of a key would be as bad as all, but for its last: that is the public part,
        // which may well be shown.
        let lines: Vec<_> = secret
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let (last, others) = lines.split_last().unwrap();
        for line in others.iter().chain(others.is_empty().then_some(last)) {
            for text in &shown {
                assert!(!text.contains(line), "{line} is shown in {text}");
            }
        }
    }
}

#[test]
fn workers_get_no_key_and_nothing_where_kubeadm_writes() {
    let Compiled {
        directory: _keep,
        out,
    } = compile_demo();
    let secrets = fs::read_to_string(out.join("secrets.json")).unwrap();
    let secrets = Secrets::parse(&secrets).unwrap();
    let worker = ignition(&out, "w1");
    for file in worker["storage"]["files"].as_array().unwrap() {
        let text = common::text(&file["contents"]);
        assert!(!text.contains("PRIVATE KEY"));
        for key in secrets
            .private_texts()
            .iter()
            .filter(|text| text.contains("PRIVATE"))
        {
            assert!(!text.contains(*key));
        }
        assert!(
            !file["path"]
                .as_str()
                .unwrap()
                .starts_with(paths::KUBERNETES_PKI)
        );
    }
    assert!(file(&worker, &format!("{}/ca.crt", paths::PKI)).is_none());
}

#[test]
fn openssl_agrees_with_the_certificates() {
    let Compiled { directory, out } = compile_demo();
    let openssl = |arguments: &[&str]| program("/usr/bin/openssl", "openssl", arguments);
    let config = ignition(&out, "cp1");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for name in ["ca", "etcd/ca", "front-proxy-ca"] {
        let part = |kind| file(&config, &format!("{}/{name}.{kind}", paths::PKI)).unwrap();
        let certificate = write("a.crt", &part("crt"));
        let key = write("a.key", &part("key"));
        let verified = openssl(&[
            "verify",
            "-x509_strict",
            "-CAfile",
            &certificate,
            &certificate,
        ]);
        assert_eq!(verified.status, Some(0), "{}", verified.stderr);
        let of_certificate = openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"]);
        let of_key = openssl(&["pkey", "-in", &key, "-pubout"]);
        assert_eq!(of_certificate.stdout, of_key.stdout, "{name}");
    }
    let kubeconfig = fs::read_to_string(out.join("kubeconfig")).unwrap();
    let data = |key: &str| {
        let value = kubeconfig
            .split(&format!("{key}: "))
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        String::from_utf8(STANDARD.decode(value.trim_matches('"')).unwrap()).unwrap()
    };
    let authority = write("ca.crt", &data("certificate-authority-data"));
    let admin = write("admin.crt", &data("client-certificate-data"));
    let verified = openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-CAfile",
        &authority,
        &admin,
    ]);
    assert_eq!(
        verified.status,
        Some(0),
        "{}{}",
        verified.stdout,
        verified.stderr
    );
    let subject = openssl(&["x509", "-in", &admin, "-noout", "-subject"]);
    assert!(
        subject.stdout.contains("O = system:masters"),
        "{}",
        subject.stdout
    );
}

#[test]
fn one_node_can_be_asked_for() {
    let Compiled {
        directory: _keep,
        out,
    } = compile_demo();
    let worker = fs::read(out.join("nodes/w1.ign")).unwrap();
    let other = out.with_file_name("other");
    let secrets = out.join("secrets.json");
    let secrets = ["--secrets", secrets.to_str().unwrap()];
    compile(&demo(), &other, &[&["--node", "w1"], &secrets[..]].concat());
    assert_eq!(fs::read_dir(other.join("nodes")).unwrap().count(), 1);
    assert_eq!(fs::read(other.join("nodes/w1.ign")).unwrap(), worker);
    let (demo, out) = (demo(), out.to_str().unwrap().to_owned());
    refuses(
        &[
            "compile",
            demo.to_str().unwrap(),
            "-o",
            &out,
            "--node",
            "w9",
        ],
        "NKD0404",
    );
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let demo = demo();
    let target = directory.path().to_str().unwrap();
    refuses(
        &["compile", demo.to_str().unwrap(), "-o", target],
        "NKD0403",
    );
    assert_eq!(
        fs::read_to_string(directory.path().join("thesis.txt")).unwrap(),
        "years of work"
    );
}

#[test]
fn an_output_replaced_leaves_nothing_behind() {
    let Compiled { directory, out } = compile_demo();
    compile(&demo(), &out, &[]);
    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["out"]);
}

#[test]
fn secrets_that_do_not_fit_are_refused() {
    let Compiled { directory, out } = compile_demo();
    let text = fs::read_to_string(demo()).unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let cluster_file_text = cluster_file.to_str().unwrap();
    let compile = ["compile", cluster_file_text, "-o", out.to_str().unwrap()];
    fs::write(&cluster_file, text.replace("name: demo", "name: other")).unwrap();
    refuses(&compile, "NKD0402");
    fs::write(
        &cluster_file,
        text.replace("spec:", "spec:\n  pki: {algorithm: rsa-2048}"),
    )
    .unwrap();
    refuses(&compile, "NKD0402");
    let newer = directory.path().join("newer");
    let newer = ["compile", cluster_file_text, "-o", newer.to_str().unwrap()];
    fs::write(&cluster_file, text.replace("v1.20.2", "v1.26.0")).unwrap();
    assert_eq!(nkd(Path::new("/"), &newer).status, Some(0));
    fs::write(&cluster_file, &text).unwrap();
    refuses(&newer, "NKD0402");
    fs::write(out.join("secrets.json"), "{}").unwrap();
    refuses(&compile, "NKD0401");
    let other = compile_demo();
    let others = other.out.join("secrets.json");
    let (target, others) = (out.to_str().unwrap(), others.to_str().unwrap());
    let over = [
        "compile",
        cluster_file_text,
        "-o",
        target,
        "--secrets",
        others,
    ];
    refuses(&over, "NKD0402");
    // A cluster must not get new secrets because its old ones went astray.
    fs::remove_file(out.join("secrets.json")).unwrap();
    refuses(&compile, "NKD0001");
}

#[test]
fn errors_of_nkd_and_of_usage_have_their_own_status() {
    let usage = nkd(Path::new("/"), &["compile"]);
    assert_eq!(usage.status, Some(2));
    let demo = demo();
    let mut arguments = vec!["compile", demo.to_str().unwrap(), "-o", "/proc/nkd/out"];
    arguments.extend(["--allow", "NKD0181"]);
    let run = nkd(Path::new("/"), &arguments);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
}

/// The error of nkd: a run that was killed has left something to finish, and that is damaged.
#[test]
fn an_error_of_nkd_is_printed_beside_those_in_the_input() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    compile(&demo(), &out, &[]);
    let staging = out.join(".nkd-output-killed");
    fs::DirBuilder::new().mode(0o700).create(&staging).unwrap();
    let mark =
        "An unfinished output of nkd, with secrets in it. The next nkd compile removes it.\n";
    fs::write(staging.join("nkd-staging"), mark).unwrap();
    fs::write(staging.join("commit.json"), "{").unwrap();
    let before = contents(&out);
    let arguments = ["secrets", "rotate", "out/secrets.json", "etcd"];
    let text = nkd(at, &arguments);
    assert_eq!(text.status, Some(1), "{}", text.stderr);
    let (diagnostic, error) = text.stderr.split_once("\nerror: ").unwrap();
    assert!(diagnostic.starts_with("error[NKD0408]: "), "{diagnostic}");
    assert!(error.contains("commit.json is damaged"), "{error}");
    let json = nkd(at, &[&["--format", "json"], arguments.as_slice()].concat());
    assert_eq!(json.status, Some(1), "{}", json.stderr);
    let answer: Value = serde_json::from_str(&json.stderr).unwrap();
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{answer}");
    assert_eq!(errors[0]["code"], "NKD0408");
    let message = errors[1]["message"].as_str().unwrap();
    assert!(message.contains("commit.json is damaged"), "{message}");
    assert_eq!(contents(&out), before);
}
