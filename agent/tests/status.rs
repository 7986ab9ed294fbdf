//! `nkd-agent status`, as a person or a script calls it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes them

#[path = "common/agent.rs"]
mod agent;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use nkd_contract::{Cause, Event, Kind, NodeStatus, Progress, Role, Stage, Timestamp, Unit, paths};
use snapbox::{assert_data_eq, str};
use tempfile::TempDir;

struct Machine(TempDir);

impl Machine {
    fn new(events: &[Event]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(machine.0.path().join("var/lib/nkd")).unwrap();
        machine.log(events);
        machine
    }

    fn log(&self, events: &[Event]) {
        let path = self.0.path().join(paths::EVENTS.trim_start_matches('/'));
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for event in events {
            writeln!(file, "{}", serde_json::to_string(event).unwrap()).unwrap();
        }
    }

    fn status(&self, arguments: &[&str]) -> Command {
        let mut command = agent::agent();
        command
            .arg("--root")
            .arg(self.0.path())
            .arg("status")
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.status(arguments).output().unwrap()
    }

    /// What is said when all goes well.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn follow(&self, arguments: &[&str]) -> Child {
        let mut command = self.status(&["--follow"]);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

fn event(sequence: u64, kind: Kind) -> Event {
    Event {
        sequence,
        id: format!("id-{sequence}"),
        time: Timestamp::from_unix(1_700_000_000 + sequence),
        boot: "f0b0".into(),
        cluster: Some("demo".into()),
        node: "cp1".into(),
        pool: None,
        role: Some(Role::Init.into()),
        plan: Some("5".repeat(64)),
        kind: kind.into(),
        stage: Some(Stage::Images.into()),
        attempt: 1,
        progress: None,
        cause: None,
        message: "importing etcd.tar".into(),
        retry_after: None,
        unknown_fields: serde_json::Map::new(),
    }
}

fn failing() -> [Event; 3] {
    let progress = Event {
        progress: Some(Progress::new(3, 7, Unit::Archives)),
        ..event(2, Kind::Progress)
    };
    let failed = Event {
        attempt: 2,
        cause: Some(Cause::ImagesImport.into()),
        message: "ctr: \u{1b}[31mno space left on device".into(),
        retry_after: Some(3_500),
        ..event(3, Kind::AttemptFailed)
    };
    [event(1, Kind::StageStarted), progress, failed]
}

#[test]
fn progress_is_told_in_aligned_lines() {
    assert_data_eq!(
        Machine::new(&failing()[..2]).said(&[]),
        str![[r#"
node      cp1
cluster   demo
role      init
state     installing since 2023-11-14T22:13:21Z
stage     images (5 of 9)
progress  3 of 7 archives
message   importing etcd.tar

"#]]
    );
}

#[test]
fn a_failure_comes_with_its_meaning_and_remedy_and_without_control_characters() {
    assert_data_eq!(
        Machine::new(&failing()).said(&[]),
        str![[r#"
node      cp1
cluster   demo
role      init
state     retrying since 2023-11-14T22:13:23Z
stage     images (5 of 9), attempt 2
cause     images.import: The container runtime did not accept an image.
remedy    Look for a damaged archive or a broken runtime. The message contains the output of the runtime.
message   ctr:  [31mno space left on device

"#]]
    );
}

#[test]
fn a_node_without_a_plan_is_told_by_what_there_is() {
    let failed = Event {
        cluster: None,
        role: None,
        plan: None,
        stage: None,
        attempt: 0,
        cause: Some(Cause::PlanMissing.into()),
        message: "there is no /etc/nkd/plan.json".into(),
        ..event(1, Kind::Failed)
    };
    assert_data_eq!(
        Machine::new(&[failed]).said(&[]),
        str![[r#"
node      cp1
state     failed since 2023-11-14T22:13:21Z
cause     plan.missing: There is no plan on this machine: /etc/nkd/plan.json is missing.
remedy    Provision the machine with the Ignition file that nkd compiled for it.
message   there is no /etc/nkd/plan.json

"#]]
    );
}

#[test]
fn json_is_the_contracts_status() {
    let events = failing();
    let said = Machine::new(&events).said(&["--json"]);
    let mut expected = NodeStatus::default();
    expected.extend(&events);
    assert_eq!(serde_json::from_str::<NodeStatus>(&said).unwrap(), expected);
}

#[test]
fn before_the_first_event_it_says_what_is_missing() {
    let machine = Machine::new(&[]);
    assert_data_eq!(
        machine.said(&[]),
        str![[r#"
Nothing has happened yet. No plan was delivered to this machine: there is no /etc/nkd/plan.json.

"#]]
    );
    let json = serde_json::from_str::<NodeStatus>(&machine.said(&["--json"])).unwrap();
    assert_eq!(json, NodeStatus::default());

    fs::create_dir_all(machine.0.path().join("etc/nkd")).unwrap();
    fs::write(machine.0.path().join("etc/nkd/plan.json"), "{}").unwrap();
    assert_data_eq!(
        machine.said(&[]),
        str![[r#"
Nothing has happened yet. nkd-agent.service has not begun to install this node; see `systemctl status nkd-agent`.

"#]]
    );
}

#[test]
fn following_writes_a_line_per_event_until_the_node_is_ready() {
    let machine = Machine::new(&failing());
    let mut child = machine.follow(&[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut text = String::new();
    for _ in 0..3 {
        text += &(lines.next().unwrap().unwrap() + "\n");
    }
    machine.log(&[event(4, Kind::StageDone), event(5, Kind::Ready)]);
    for line in lines {
        text += &(line.unwrap() + "\n");
    }
    assert!(child.wait().unwrap().success());
    assert_data_eq!(
        text,
        str![[r#"
2023-11-14T22:13:21Z  images   stage-started   importing etcd.tar
2023-11-14T22:13:22Z  images   progress        importing etcd.tar (3 of 7 archives)
2023-11-14T22:13:23Z  images   attempt-failed  images.import: ctr:  [31mno space left on device (again in 4 s)
2023-11-14T22:13:24Z  images   stage-done      importing etcd.tar
2023-11-14T22:13:25Z  images   ready           importing etcd.tar

"#]]
    );
}

#[test]
fn following_in_json_writes_the_events_themselves() {
    let events = [event(1, Kind::Started), event(2, Kind::Ready)];
    let said = Machine::new(&events).said(&["--follow", "--json"]);
    let read: Vec<Event> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, events);
}

#[test]
fn following_ends_with_status_1_when_the_installation_has_failed() {
    let machine = Machine::new(&[event(1, Kind::Started), event(2, Kind::Failed)]);
    let output = machine.output(&["--follow"]);
    assert_eq!(output.status.code(), Some(1));
    assert_data_eq!(
        String::from_utf8(output.stderr).unwrap(),
        str![[r#"
...
nkd-agent: the installation of cp1 has failed

"#]]
    );
}

#[test]
fn following_goes_on_past_a_failure_that_was_retried() {
    let events = [
        event(1, Kind::Failed),
        event(2, Kind::Started),
        event(3, Kind::Ready),
    ];
    assert_eq!(Machine::new(&events).said(&["--follow"]).lines().count(), 3);
}

#[test]
fn following_ends_quietly_when_nobody_reads_any_more() {
    let machine = Machine::new(&[event(1, Kind::Started)]);
    let mut child = machine.follow(&[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    // No further event: it must find out by itself.
    assert!(child.wait().unwrap().success());
}

#[test]
fn words_and_fields_of_a_later_worker_are_told_as_they_were_written() {
    let machine = Machine::new(&[event(1, Kind::StageStarted)]);
    let mut newer = serde_json::to_value(event(2, Kind::Progress)).unwrap();
    newer["kind"] = "stage-skipped".into();
    newer["stage"] = "upgrade".into();
    newer["cause"] = "upgrade.held-back".into();
    newer["progress"] = serde_json::json!({ "done": 1, "total": 2, "unit": "volumes" });
    newer["action"] = serde_json::json!({ "name": "drain" });
    let path = machine.0.path().join(paths::EVENTS.trim_start_matches('/'));
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    writeln!(file, "{newer}").unwrap();
    assert_data_eq!(
        machine.said(&[]),
        str![[r#"
node      cp1
cluster   demo
role      init
state     installing since 2023-11-14T22:13:21Z
stage     upgrade
progress  1 of 2 volumes
cause     upgrade.held-back
message   importing etcd.tar

"#]]
    );
    let status: serde_json::Value = serde_json::from_str(&machine.said(&["--json"])).unwrap();
    for field in ["stage", "cause", "progress"] {
        assert_eq!(status[field], newer[field]);
    }
    machine.log(&[event(3, Kind::Ready)]);
    let followed = machine.said(&["--follow", "--json"]);
    let second: serde_json::Value = serde_json::from_str(followed.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second, newer);
    let followed = machine.said(&["--follow"]);
    let line = followed.lines().nth(1).unwrap();
    assert!(line.contains("upgrade  stage-skipped"), "{line}");
}
