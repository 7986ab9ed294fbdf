//! The keys by which a receiver verifies callbacks.

use std::path::Path;

use anyhow::{Context as _, Result};
use nkd_contract::{ReportTarget, paths};
use serde_json::{Value, json};

use super::answer::Answer;
use super::table::table;
use crate::contents;
use crate::failure::Failure;
use crate::output;
use crate::secrets_file;
use nkd_document::{Code, Diagnostics};
use nkd_model::Secret;

/// A node's name and its key.
type NodeKey = (String, Secret);

/// The keys of these nodes, or of all nodes of an output.
pub(super) fn callback_keys(
    from: &Path,
    nodes: &[String],
    to: &mut Diagnostics,
) -> Result<Answer, Failure> {
    let keys = if from.is_dir() {
        of_output(from, nodes, to)?
    } else {
        of_secrets(from, nodes, to)?
    };
    let row = |(name, key): &NodeKey| vec![name.clone(), key.expose().to_owned()];
    let rows: Vec<_> = keys.iter().map(row).collect();
    let node = |(name, key): &NodeKey| json!({"name": name, "key": key.expose()});
    let nodes: Vec<Value> = keys.iter().map(node).collect();
    Ok(Answer::new(table(&rows), json!({"nodes": nodes})))
}

/// The keys in the nodes' configs. They are the ones that the nodes sign with, also when the seed was
/// rotated after these nodes were compiled.
fn of_output(out: &Path, wanted: &[String], to: &mut Diagnostics) -> Result<Vec<NodeKey>, Failure> {
    for name in wanted {
        output::read_node(out, name, to)?;
    }
    let mut keys = Vec::new();
    for (name, config) in output::read_nodes(out, to)? {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        if let Some(key) = signing_key(&config)? {
            keys.push((name, key));
        }
    }
    if keys.is_empty() {
        let message = format!("no node in `{}` sends callbacks", out.display());
        let help = "set `spec.report` in the cluster file and compile again, or give the secrets file and \
                    the names of the nodes";
        return Err(to
            .report_with_help_nowhere(Code::UnknownPath, message, help)
            .into());
    }
    Ok(keys)
}

/// The key that a config delivers to its node.
fn signing_key(config: &str) -> Result<Option<Secret>> {
    let entries = contents::read(config)?;
    let mut files = entries
        .into_iter()
        .filter(|entry| entry.path == paths::REPORT);
    let Some(json) = files.next().and_then(|file| file.content) else {
        return Ok(None);
    };
    let target: ReportTarget = serde_json::from_slice(&json)
        // An error of serde may quote the key.
        .ok()
        .with_context(|| format!("{} is malformed", paths::REPORT))?;
    Ok(Some(Secret::new(target.signing_key)))
}

/// The keys that the secrets give to nodes.
fn of_secrets(
    file: &Path,
    nodes: &[String],
    to: &mut Diagnostics,
) -> Result<Vec<NodeKey>, Failure> {
    let secrets = secrets_file::read(file, to)?;
    if nodes.is_empty() {
        let message = format!("`{}` does not contain the names of nodes", file.display());
        let help =
            "give the names of the nodes after the secrets file, or give an output directory";
        return Err(to
            .report_with_help_nowhere(Code::UnknownNode, message, help)
            .into());
    }
    let key = |node: &String| Ok((node.clone(), secrets.callback_key(node)?));
    Ok(nodes.iter().map(key).collect::<Result<_>>()?)
}
