//! nkd merges configs as the real Ignition does.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_document::Diagnostics;
use nkd_document::json as source;
use nkd_ignition::{merge::merge, tree};
use serde_json::{Value, json};
use testbed::ignition;
use testbed::requirements::{self, Purpose};

/// What nkd makes of a parent and a child.
fn by_nkd(parent: &Value, child: &Value) -> Value {
    let mut diagnostics = Diagnostics::new();
    let mut read = |value: &Value| {
        let id = diagnostics.add(Path::new("a.ign"), value.to_string());
        source::parse(id, &mut diagnostics).unwrap()
    };
    let (parent, child) = (read(parent), read(child));
    tree::to_json(&merge(&parent, &child))
}

/// What the engine makes of a config that has the child under `config.merge`.
fn by_ignition(parent: &Value, child: &Value, scratch: &Path) -> Value {
    let child = with_version(child).to_string();
    let url = format!("data:;base64,{}", STANDARD.encode(child));
    let mut config = with_version(parent);
    config["ignition"]["config"] = json!({"merge": [{"source": url}]});
    let file = scratch.join("config.ign");
    fs::write(&file, config.to_string()).unwrap();
    ignition::merged(&file).unwrap()
}

fn with_version(config: &Value) -> Value {
    let mut config = config.clone();
    if config["ignition"].is_null() {
        config["ignition"] = json!({});
    }
    config["ignition"]["version"] = json!("3.3.0");
    config
}

/// Leaves out what the engine adds to every config: empty values, the number of partitions that
/// have none, its own version, and where the config was from.
fn plain(mut config: Value) -> Value {
    if let Some(ignition) = config["ignition"].as_object_mut() {
        ignition.remove("version");
        ignition.remove("config");
    }
    without_empty(config)
}

fn without_empty(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)));
            let no_number = |key: &str, value: &Value| key == "number" && *value == 0;
            fields
                .filter(|(key, value)| !is_empty(value) && !no_number(key, value))
                .collect()
        }
        Value::Array(items) => items.into_iter().map(without_empty).collect(),
        other => other,
    }
}

#[test]
fn nkd_merges_every_rule_of_the_table_as_ignition_does() {
    requirements::ensure(Purpose::Tests).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let table = include_str!("../../compiler/ignition/tests/merge/rules.json");
    let rules: Vec<Value> = serde_json::from_str(table).unwrap();
    assert!(rules.len() >= 20);
    for rule in rules {
        let (parent, child) = (&rule["parent"], &rule["child"]);
        let ours = plain(by_nkd(&with_version(parent), &with_version(child)));
        let theirs = plain(by_ignition(parent, child, scratch.path()));
        assert_eq!(ours, theirs, "{}", rule["rule"]);
        assert_eq!(ours, plain(rule["merged"].clone()), "{}", rule["rule"]);
    }
}

#[test]
fn nkd_merges_any_two_rules_together_as_ignition_does() {
    requirements::ensure(Purpose::Tests).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let table = include_str!("../../compiler/ignition/tests/merge/rules.json");
    let rules: Vec<Value> = serde_json::from_str(table).unwrap();
    // Each rule's result is the parent of the next one's child, so that all meet.
    let mut parent = with_version(&json!({}));
    for rule in rules {
        for child in [&rule["parent"], &rule["child"]] {
            let ours = by_nkd(&parent, &with_version(child));
            let theirs = by_ignition(&parent, child, scratch.path());
            assert_eq!(plain(ours.clone()), plain(theirs), "{}", rule["rule"]);
            parent = ours;
        }
    }
}
