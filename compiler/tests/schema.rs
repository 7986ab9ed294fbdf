//! The cluster file's schema and documentation: current, and of one mind with the reader.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::{demo, fixtures, nkd, tests};
use jsonschema::Validator;
use nkd::cluster_file::{manual, schema};
use nkd_document::Diagnostics;
use nkd_document::yaml;
use serde_json::Value;

fn root() -> PathBuf {
    tests().join("..")
}

/// A YAML file's first document, if it can be read.
fn document(text: &str) -> Option<Value> {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("cluster.yaml"), text.to_owned());
    let documents = yaml::documents(source, &mut diagnostics).ok()?;
    Some(documents.first()?.to_json())
}

/// A validator of the cluster file's schema. Making one checks the schema against its meta-schema.
fn validator() -> Validator {
    jsonschema::validator_for(&schema::schema()).unwrap()
}

/// Whether a cluster file is YAML that fits the schema.
fn accepts(text: &str) -> bool {
    document(text).is_some_and(|document| validator().is_valid(&document))
}

#[test]
fn the_schema_and_the_documentation_are_current() {
    let schema = nkd(Path::new("/"), &["schema"]);
    assert_eq!(schema.status, Some(0));
    let checked_in = snapbox::Data::read_from(&root().join("schemas/cluster.schema.json"), None);
    snapbox::assert_data_eq!(schema.stdout, checked_in.raw());
    let checked_in = snapbox::Data::read_from(&root().join("../docs/cluster-file.md"), None);
    snapbox::assert_data_eq!(manual::manual(), checked_in.raw());
}

#[test]
fn examples_and_test_clusters_fit_the_schema() {
    let examples =
        ["external", "full", "ha", "network"].map(|name| tests().join("clusters").join(name));
    let examples = examples
        .into_iter()
        .map(|directory| directory.join("cluster.yaml"));
    let ha = root().join("../examples/ha/cluster.yaml");
    for path in examples.chain([demo(), ha]) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(accepts(&text), "{}", path.display());
    }
    assert!(accepts(&nkd(Path::new("/"), &["new"]).stdout));
}

#[test]
fn what_the_reader_finds_wrong_with_keys_does_not_fit_the_schema() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let directory = entry.unwrap().path();
        let Ok(stderr) = std::fs::read_to_string(directory.join("stderr.txt")) else {
            continue;
        };
        // Unknown, of another type, missing; and only where all is about the cluster file itself.
        let codes = ["NKD0006", "NKD0007", "NKD0008"];
        let other_file = stderr
            .lines()
            .any(|line| line.contains("--> ") && !line.contains("--> cluster.yaml"));
        if codes.iter().any(|code| stderr.contains(code)) && !other_file {
            let text = std::fs::read_to_string(directory.join("cluster.yaml")).unwrap();
            // What a pool lacks is not for a schema to see.
            if stderr.contains("in this node and in its pool") {
                continue;
            }
            assert!(!accepts(&text), "{}", directory.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_new_cluster_file_names_every_key_and_shows_the_defaults() {
    let new = nkd(Path::new("/"), &["new"]).stdout;
    let schema = schema::schema();
    let definitions = schema["$defs"].as_object().unwrap().values();
    let mappings = definitions.chain([&schema]);
    for (key, property) in mappings
        .filter_map(|schema| schema["properties"].as_object())
        .flatten()
    {
        assert!(new.contains(&format!("{key}:")), "{key}");
        if let Some(default) = property["default"].as_str() {
            let line = format!("{key}: {default}");
            assert!(new.contains(&line), "{line}");
        }
    }
}

/// The value of a key, or of an item of its list, with references followed.
fn child<'a>(schema: &'a Value, parent: &'a Value, key: &str) -> Option<&'a Value> {
    let options = parent["anyOf"].as_array().into_iter().flatten();
    let mut parents = options.chain([parent, &parent["items"]]);
    parents.find_map(|parent| match parent["$ref"].as_str() {
        Some(reference) => child(schema, schema.pointer(&reference[1..])?, key),
        None if parent["items"].is_object() => child(schema, &parent["items"], key),
        None => parent["properties"].get(key),
    })
}

#[test]
fn what_is_on_a_node_is_asked_for_by_keys_that_exist() {
    let directory = tempfile::tempdir().unwrap();
    common::full(directory.path());
    let full = common::compiled_from(&directory.path().join("cluster.yaml"));
    let others =
        ["crio", "isulad", "docker"].map(|runtime| common::compiled_with(runtime, "v1.31.2", ""));
    let schema = schema::schema();
    let levels: [&[&str]; 3] = [&["spec"], &["spec", "pools"], &["spec", "nodes"]];
    for (path, key) in others
        .iter()
        .chain([&full])
        .flat_map(|cluster| &cluster.keys)
    {
        let exists = levels.into_iter().any(|level| {
            let mut keys = level.iter().copied().chain(key.split_terminator('.'));
            keys.try_fold(&schema, |parent, key| child(&schema, parent, key))
                .is_some()
        });
        assert!(exists, "{path}: {key}");
    }
}
