//! Butane in, Ignition out.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::{Run, nkd, program, tests};
use nkd_ignition::spec::{CONFIG, Item, Kind, Object};
use serde_json::Value;

/// The newest spec a Butane config of a variant nkd reads is translated to.
const NEWEST: u8 = 6;

fn directories(kind: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(tests().join("butane").join(kind)).unwrap();
    let mut all: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

fn translate(directory: &std::path::Path) -> Run {
    nkd(
        directory,
        &["butane", "config.bu", "-d", ".", "--strict", "--pretty"],
    )
}

#[test]
fn every_case_gives_the_config_on_record_and_ignition_takes_it() {
    let scratch = tempfile::tempdir().unwrap();
    for case in directories("cases") {
        let run = translate(&case);
        assert_eq!(run.status, Some(0), "{}: {}", case.display(), run.stderr);
        let record = snapbox::Data::read_from(&case.join("config.ign"), None).raw();
        snapbox::assert_data_eq!(&run.stdout, record);
        let (_, unknown) = ignition_config::Config::parse_str(&run.stdout).unwrap();
        assert!(unknown.is_empty(), "{}: {unknown:?}", case.display());
        let config: Value = serde_json::from_str(&run.stdout).unwrap();
        // Debian's Ignition has no version after 3.3.0 yet.
        let version = config["ignition"]["version"].as_str().unwrap();
        if version <= "3.3.0" {
            let file = scratch.path().join("config.ign");
            std::fs::write(&file, &run.stdout).unwrap();
            let arguments = [file.to_str().unwrap()];
            let run = program("/usr/bin/ignition-validate", "ignition", &arguments);
            assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        }
    }
}

#[test]
fn the_cases_have_every_field_ignition_has() {
    let mut seen = BTreeSet::new();
    for case in directories("cases") {
        let text = std::fs::read(case.join("config.ign")).unwrap();
        see(&serde_json::from_slice(&text).unwrap(), &CONFIG, &mut seen);
    }
    let mut all = BTreeSet::new();
    collect(&CONFIG, &mut all);
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

type Fields = BTreeSet<(&'static str, &'static str)>;

fn see(value: &Value, object: &'static Object, seen: &mut Fields) {
    for field in object.fields {
        let Some(value) = value.get(field.name) else {
            continue;
        };
        seen.insert((object.name, field.name));
        match field.kind {
            Kind::Object(inner) => see(value, inner, seen),
            Kind::List(Item::Object(inner), _) => {
                for item in value.as_array().unwrap() {
                    see(item, inner, seen);
                }
            }
            _ => {}
        }
    }
}

fn collect(object: &'static Object, all: &mut Fields) {
    for field in object.fields.iter().filter(|field| field.since <= NEWEST) {
        all.insert((object.name, field.name));
        if let Kind::Object(inner) | Kind::List(Item::Object(inner), _) = field.kind {
            collect(inner, all);
        }
    }
}

#[test]
fn broken_input_is_explained_at_its_line() {
    for case in directories("refused") {
        let run = translate(&case);
        assert_eq!(run.status, Some(3), "{}: {}", case.display(), run.stderr);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains("hunter2"));
        let record = snapbox::Data::read_from(&case.join("stderr.txt"), None).raw();
        snapbox::assert_data_eq!(run.stderr, record);
    }
}

#[test]
fn every_case_is_in_the_index() {
    let index = std::fs::read_to_string(tests().join("butane/README.md")).unwrap();
    for kind in ["cases", "refused"] {
        for case in directories(kind) {
            let name = case.file_name().unwrap().to_str().unwrap();
            let row = format!("| [{name}]({kind}/{name}) |");
            assert!(index.contains(&row), "{row}");
        }
    }
}

#[test]
fn warnings_alone_are_said_and_not_in_the_way() {
    let directory = tests().join("butane/refused/03-decimal-mode");
    let run = nkd(&directory, &["butane", "config.bu"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let first =
        "warning[NKD0313]: config.bu:6:13: mode 644 is a decimal number, which is 01204 in octal";
    assert_eq!(run.stderr.lines().next(), Some(first));
    assert!(run.stdout.contains(r#""mode":644"#));
}

#[test]
fn standard_input_that_is_not_text_is_refused_as_a_file_is() {
    use std::io::Write as _;
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_nkd"))
        .arg("butane")
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xff").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let message = "cannot read `standard input`: the file is not UTF-8 text";
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn local_files_need_a_directory() {
    let directory = tests().join("butane/cases/04-units");
    let run = nkd(&directory, &["butane", "config.bu"]);
    assert_eq!(run.status, Some(3));
    let message = "no directory for local files is set";
    assert!(run.stderr.contains(message), "{}", run.stderr);
}
