use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::files::{LOCK, NODES};
use super::held::Held;
use super::lock::Lock;
use nkd_document::{Code, Diagnostics, Reported};

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
    let help = "use a directory that `nkd compile` wrote";
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
