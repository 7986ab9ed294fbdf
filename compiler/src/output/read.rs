use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Held, LOCK, NODES};
use crate::model::lines::Lines;
use nkd_document::{Code, Diagnostics};

/// What of `cluster.lock` commands need again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The version of nkd that wrote it: another program's lock file has no such key.
    #[serde(rename = "nkd")]
    _nkd: String,
    /// The files that nkd has written, by their path in the output, and their digests.
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, String>,
    #[serde(default)]
    cluster_file: String,
    /// Lines of the cluster file by the key that is there.
    #[serde(default)]
    pub keys: Lines,
    #[serde(default)]
    node_configs: BTreeMap<String, BTreeMap<String, String>>,
}

impl Lock {
    /// The cluster file's name.
    pub fn cluster_file(&self) -> &str {
        &self.cluster_file
    }

    /// Where in the user's configs something on a node is from.
    pub fn own(&self, node: &str, path: &str) -> Option<String> {
        self.node_configs.get(node)?.get(path).cloned()
    }
}

/// An output's lock file; what is wrong with it is reported. What a killed run has begun to write is
/// finished first, as far as this user and the file system can: who may only read still reads.
pub fn read_lock(out: &Path, to: &mut Diagnostics) -> Option<Lock> {
    let _held = Held::take(out, || {});
    parse_lock(out, to)
}

/// The same for those who hold the output.
pub(super) fn parse_lock(out: &Path, to: &mut Diagnostics) -> Option<Lock> {
    let problem = match fs::read(out.join(LOCK)) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(lock) => return Some(lock),
            Err(_) => format!("`{LOCK}` was not written by nkd"),
        },
        Err(error) => format!("`{LOCK}`: {error}"),
    };
    let message = format!("`{}` is not an output of nkd: {problem}", out.display());
    to.report_with_help_nowhere(
        Code::ForeignOutput,
        message,
        "give a directory that `nkd compile` wrote",
    );
    None
}

/// A node's config in an output.
pub fn read_node(out: &Path, node: &str, to: &mut Diagnostics) -> Option<String> {
    let nodes = read_nodes(out, to)?;
    let config = nodes.get(node).cloned();
    if config.is_none() {
        let known: Vec<_> = nodes.keys().map(|it| format!("`{it}`")).collect();
        let message = format!("`{}` does not contain a node `{node}`", out.display());
        let help = format!("use one of {}", known.join(", "));
        to.report_with_help_nowhere(Code::UnknownNode, message, help);
    }
    config
}

/// All nodes' configs in an output, by name.
pub fn read_nodes(out: &Path, to: &mut Diagnostics) -> Option<BTreeMap<String, String>> {
    let lock = read_lock(out, to)?;
    let nodes = lock.outputs.keys().filter_map(|name| {
        let file = name.strip_prefix(NODES)?.strip_prefix('/')?;
        file.strip_suffix(".ign")
    });
    let read = || -> std::io::Result<BTreeMap<String, String>> {
        let text = |node: &str| fs::read_to_string(out.join(NODES).join(format!("{node}.ign")));
        nodes
            .map(|node| Ok((node.to_owned(), text(node)?)))
            .collect()
    };
    match read() {
        Ok(nodes) => Some(nodes),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", out.display());
            to.report_nowhere(Code::Unreadable, message);
            None
        }
    }
}
