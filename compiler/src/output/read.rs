use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use super::files::{LOCK, NODES};
use super::held::Held;
use nkd_document::{Code, Diagnostics, Reported};
use nkd_model::lines::Lines;

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

/// An output's lock file. What a killed run has begun to write is finished first, as far as this user
/// and the file system can: who may only read still reads.
///
/// # Errors
/// When there is none, or it isn't one of nkd's.
pub fn read_lock(out: &Path, to: &mut Diagnostics) -> Result<Lock, Reported> {
    let _held = Held::take(out, || {});
    parse_lock(out, to)
}

/// The same for those who hold the output.
pub(super) fn parse_lock(out: &Path, to: &mut Diagnostics) -> Result<Lock, Reported> {
    let problem = match fs::read(out.join(LOCK)) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(lock) => return Ok(lock),
            Err(_) => format!("`{LOCK}` was not written by nkd"),
        },
        Err(error) => format!("`{LOCK}`: {error}"),
    };
    let message = format!("`{}` is not an output of nkd: {problem}", out.display());
    let help = "give a directory that `nkd compile` wrote";
    Err(to.report_with_help_nowhere(Code::ForeignOutput, message, help))
}

/// A node's config in an output.
///
/// # Errors
/// When the output can't be read, or has no such node.
pub fn read_node(out: &Path, node: &str, to: &mut Diagnostics) -> Result<String, Reported> {
    let mut nodes = read_nodes(out, to)?;
    nodes.remove(node).ok_or_else(|| {
        let known: Vec<_> = nodes.keys().map(|name| format!("`{name}`")).collect();
        let message = format!("`{}` does not contain a node `{node}`", out.display());
        let help = format!("use one of {}", known.join(", "));
        to.report_with_help_nowhere(Code::UnknownNode, message, help)
    })
}

/// All nodes' configs in an output, by name.
///
/// # Errors
/// When the output can't be read.
pub fn read_nodes(out: &Path, to: &mut Diagnostics) -> Result<BTreeMap<String, String>, Reported> {
    let lock = read_lock(out, to)?;
    let nodes = lock.outputs.keys().filter_map(|name| {
        let file = name.strip_prefix(NODES)?.strip_prefix('/')?;
        file.strip_suffix(".ign")
    });
    let text = |node: &str| fs::read_to_string(out.join(NODES).join(format!("{node}.ign")));
    let configs = nodes.map(|node| io::Result::Ok((node.to_owned(), text(node)?)));
    configs.collect::<Result<_, _>>().map_err(|error| {
        let message = format!("cannot read `{}`: {error}", out.display());
        to.report_nowhere(Code::Unreadable, message)
    })
}
