use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::answer::Answer;
use crate::contents::{self, Entry};
use crate::failure::Failure;
use crate::output;
use nkd_document::Diagnostics;

/// Compare two outputs, node by node
///
/// Lists what was added, removed or changed: files, units, users, disks, kernel arguments and more. Never prints
/// their contents.
#[derive(Args)]
pub struct Diff {
    /// An output of `nkd compile`
    out_a: PathBuf,
    /// Another output of `nkd compile`
    out_b: PathBuf,
    /// Exit with status 5 if the outputs differ
    #[arg(long)]
    exit_code: bool,
}

/// Exit status of `nkd diff --exit-code` when the outputs differ.
const DIFFERENT: u8 = 5;

/// What happened to a path or a node.
type Change = (&'static str, String);

impl Diff {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
        let before = output::read_nodes(&self.out_a, diagnostics);
        let after = output::read_nodes(&self.out_b, diagnostics);
        let (before, after) = (before?, after?);
        let answer = compared(&before, &after)?;
        let differ = self.exit_code && before != after;
        Ok(if differ {
            answer.with_status(DIFFERENT)
        } else {
            answer
        })
    }
}

/// What differs between the nodes of two outputs.
fn compared(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Result<Answer> {
    let mut text = String::new();
    let mut nodes = Vec::new();
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (change, paths) = match (before.get(name), after.get(name)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => ("changed", paths(a, b)?),
            (Some(_), None) => ("removed", Vec::new()),
            (None, _) => ("added", Vec::new()),
        };
        writeln!(text, "{name}: {change}")?;
        for (change, path) in &paths {
            writeln!(text, "  {change:7}  {path}")?;
        }
        let path = |(change, path): &Change| json!({"change": change, "path": path});
        let paths: Vec<Value> = paths.iter().map(path).collect();
        nodes.push(json!({"name": name, "change": change, "paths": paths}));
    }
    if nodes.is_empty() {
        text += "no differences\n";
    }
    Ok(Answer::new(text, json!({"nodes": nodes})))
}

/// What differs between two configs of a node.
fn paths(before: &str, after: &str) -> Result<Vec<Change>> {
    type Key = (String, &'static str);
    let by_path = |config: &str| -> Result<BTreeMap<Key, Entry>> {
        let entries = contents::read(config)?.into_iter();
        Ok(entries
            .map(|entry| ((entry.path.clone(), entry.kind), entry))
            .collect())
    };
    let (before, mut after) = (by_path(before)?, by_path(after)?);
    let mut changes = Vec::new();
    for (key, was) in before {
        let change = match after.remove(&key) {
            Some(is) if is.definition == was.definition => continue,
            Some(_) => "changed",
            None => "removed",
        };
        changes.push((change, was.id()));
    }
    changes.extend(after.into_values().map(|entry| ("added", entry.id())));
    changes.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(changes)
}
