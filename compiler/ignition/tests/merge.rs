//! Ignition's rules of merging, one by one. The testbed has the real engine follow the same table.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use nkd_document::Diagnostics;
use nkd_document::json as places;
use nkd_ignition::{merge::merge, tree};
use serde_json::{Value, json};

fn node(value: &Value) -> nkd_document::yaml::Node {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("a.ign"), value.to_string());
    places::parse(source, &mut diagnostics).unwrap()
}

fn merged(parent: &Value, child: &Value) -> Value {
    tree::to_json(&merge(&node(parent), &node(child)))
}

#[test]
fn every_rule_of_the_table_holds() {
    let table = include_str!("merge/rules.json");
    let rules: Vec<Value> = serde_json::from_str(table).unwrap();
    assert!(rules.len() >= 20);
    for rule in rules {
        let merged = merged(&rule["parent"], &rule["child"]);
        assert_eq!(merged, rule["merged"], "{}", rule["rule"]);
    }
}

#[test]
fn places_go_with_values() {
    let parent = node(&json!({"storage": {"files": [{"path": "/a", "mode": 420}]}}));
    let child = node(&json!({"storage": {"files": [{"path": "/a", "overwrite": false}]}}));
    let merged = merge(&parent, &child);
    let file = &tree::list(&merged, &["storage", "files"])[0];
    let place = |node: &nkd_document::yaml::Node, key| tree::at(node, &[key]).unwrap().span;
    let old = &tree::list(&parent, &["storage", "files"])[0];
    let new = &tree::list(&child, &["storage", "files"])[0];
    assert_eq!(place(file, "mode"), place(old, "mode"));
    assert_eq!(place(file, "overwrite"), place(new, "overwrite"));
}
