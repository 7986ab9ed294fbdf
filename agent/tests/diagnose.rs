//! `nkd-agent diagnose`: all of it, and no secret.
#![allow(clippy::unwrap_used)]

#[path = "common/agent.rs"]
mod agent;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nkd_contract::paths;

const TOKEN: &str = "abcdef.0123456789abcdef";
const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIA";
const PASSWORD: &str = "hunter2";

/// A machine of files on which the journal knows a secret, and nothing else works.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(
        paths::KUBEADM,
        &format!(
            "nodeRegistration:\n  name: cp1\ntoken: {TOKEN}\n\
             certificateKey: {KEY}\nproxy: http://me:{PASSWORD}@proxy.example.org\n"
        ),
    );
    write(
        "/usr/bin/journalctl",
        &format!(
            "#!/bin/sh\necho \"$*: joined with {TOKEN}\"\n\
             echo '-----BEGIN PRIVATE KEY-----'; echo {PRIVATE}; echo '-----END PRIVATE KEY-----'\n"
        ),
    );
    write("/usr/bin/ip", "#!/bin/sh\nexit 7\n");
    root
}

fn diagnose(root: &Path, more: &[&str]) -> std::process::Output {
    agent::agent()
        .arg("--root")
        .arg(root)
        .arg("diagnose")
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn events_and_state_of_a_later_agent_are_in_it_as_they_were_written() {
    let root = machine();
    let newer = r#"{"sequence":1,"kind":"stage-skipped","cause":"upgrade.held-back","novelty":7}"#;
    fs::create_dir_all(root.path().join("var/lib/nkd")).unwrap();
    for path in [paths::EVENTS, paths::STATE] {
        fs::write(root.path().join(path.trim_start_matches('/')), newer).unwrap();
    }
    let output = diagnose(root.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for path in [paths::EVENTS, paths::STATE] {
        assert!(text.contains(&format!("==== {path}\n{newer}\n")), "{text}");
    }
}

#[test]
fn what_works_is_told_what_does_not_is_said_and_secrets_are_masked() {
    let root = machine();
    let output = diagnose(root.path(), &[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("==== /etc/nkd/kubeadm.yaml\nnodeRegistration:\n  name: cp1\n"),
        "{text}"
    );
    assert!(
        text.contains("==== /etc/nkd/plan.json\n(No such file"),
        "{text}"
    );
    assert!(
        text.contains("--unit=kubelet --lines=2000: joined with (secret)"),
        "{text}"
    );
    assert!(
        text.contains("==== ip address\n(ip ended with exit status: 7)"),
        "{text}"
    );
    assert!(
        text.contains("==== mount\n(there is no program mount)"),
        "{text}"
    );
    for secret in [TOKEN, KEY, PASSWORD, PRIVATE] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn the_file_is_new_and_its_owners_alone() {
    let root = machine();
    let file = root.path().join("node.txt");
    let to_file = ["--output", file.to_str().unwrap()];
    assert!(diagnose(root.path(), &to_file).status.success());
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = diagnose(root.path(), &to_file);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("File exists"));
}
