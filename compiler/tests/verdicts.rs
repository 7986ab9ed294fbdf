//! What nkd takes, Ignition takes, and what Ignition refuses, nkd refuses.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;

use common::program;
use nkd_document::Diagnostics;
use nkd_document::json as source;
use nkd_ignition::check;
use serde::Deserialize;
use serde_json::{Value, json};

/// One line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    config: Value,
    /// The versions 3.x that are tried: without them the one nodes get.
    #[serde(default = "newest")]
    versions: Vec<u8>,
    /// Those of them that Ignition refuses it in.
    refused: Vec<u8>,
    /// Why nkd refuses it all the same in the others.
    stricter: Option<String>,
}

fn newest() -> Vec<u8> {
    vec![nkd::config::SPEC_MINOR]
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("ignition/verdicts.json")).unwrap();
    assert!(cases.len() >= 200);
    cases
}

fn of_version(config: &Value, minor: u8) -> String {
    let mut config = config.clone();
    if config["ignition"].is_null() {
        config["ignition"] = json!({});
    }
    config["ignition"]["version"] = format!("3.{minor}.0").into();
    config.to_string()
}

#[test]
fn nkd_refuses_what_ignition_refuses_and_takes_the_rest() {
    let mut wrong = Vec::new();
    for case in cases() {
        for minor in case.versions {
            let text = of_version(&case.config, minor);
            let mut found = Diagnostics::new();
            let id = found.add(Path::new("a.ign"), text.clone());
            let config = source::parse(id, &mut found).unwrap();
            check::config(&config, minor, &mut found);
            let refused = case.refused.contains(&minor) || case.stricter.is_some();
            if found.is_empty() == refused {
                wrong.push(format!("{text}\n{found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_says_what_ignition_itself_says() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("config.ign");
    let arguments = [file.to_str().unwrap()];
    for case in cases() {
        for minor in case.versions {
            let text = of_version(&case.config, minor);
            std::fs::write(&file, &text).unwrap();
            let run = program("/usr/bin/ignition-validate", "ignition", &arguments);
            let refused = run.status != Some(0);
            assert_eq!(
                refused,
                case.refused.contains(&minor),
                "{text}\n{}",
                run.stderr
            );
        }
    }
}
