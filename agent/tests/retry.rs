//! `nkd-agent retry`: what has failed begins again, and nothing else.
#![allow(clippy::unwrap_used)]

#[path = "common/agent.rs"]
mod agent;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use nkd_contract::{Cause, Event, Kind, Role, Stage, Timestamp, paths};

/// Asks for another try on a machine with this history; gives also how systemd was called.
fn retry(history: &[Kind]) -> (Output, String) {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let calls = root.path().join("calls");
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\n", calls.display());
    write("/usr/bin/systemctl", &script);
    let line = |(sequence, kind): (u64, &Kind)| {
        let event = Event {
            sequence,
            id: format!("id-{sequence}"),
            time: Timestamp::from_unix(1_700_000_000),
            boot: "boot".into(),
            cluster: Some("demo".into()),
            node: "cp1".into(),
            pool: None,
            role: Some(Role::Init.into()),
            plan: None,
            kind: (*kind).into(),
            stage: Some(Stage::Images.into()),
            attempt: 1,
            progress: None,
            cause: (*kind == Kind::Failed).then_some(Cause::ImagesMissing.into()),
            message: "something happened".into(),
            retry_after: None,
            unknown_fields: serde_json::Map::new(),
        };
        serde_json::to_string(&event).unwrap() + "\n"
    };
    let log: String = (1..).zip(history).map(line).collect();
    write(paths::EVENTS, &log);
    let output = agent::agent()
        .arg("--root")
        .arg(root.path())
        .arg("retry")
        .output()
        .unwrap();
    (output, fs::read_to_string(calls).unwrap_or_default())
}

#[test]
fn a_failed_installation_is_started_again() {
    let (output, calls) = retry(&[Kind::Started, Kind::StageStarted, Kind::Failed]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"cp1 tries images again\n");
    assert_eq!(calls, "restart --no-block nkd-agent.service\n");
}

#[test]
fn what_has_not_failed_is_left_alone() {
    for (history, words) in [
        (&[][..], "has not begun"),
        (&[Kind::Started, Kind::StageStarted], "has not failed"),
        (&[Kind::Started, Kind::AttemptFailed], "has not failed"),
        (&[Kind::Started, Kind::Ready], "cp1 is Ready"),
    ] {
        let (output, calls) = retry(history);
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(calls, "");
    }
}
