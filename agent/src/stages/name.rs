//! The name of a node whose plan is for an open pool. It comes from the machine's hostname, which the platform
//! sets, and stays the same from then on.

use std::fs;
use std::io;

use nkd_contract::{Plan, paths};

use crate::system::Root;
use crate::system::files::write_atomic;

/// Puts the name that the machine has kept into its plan. Does nothing if the plan names the node, or if the
/// machine has kept no name yet.
pub(crate) fn fill_in(plan: &mut Plan, root: &Root) {
    plan.node = of(plan, root);
}

/// Keeps a name for all further starts.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(root: &Root, name: &str) -> io::Result<()> {
    let path = root.path(paths::NAME);
    write_atomic(&path, format!("{name}\n").as_bytes(), 0o644)
}

/// The name of the node: that in the plan, or else the one that the machine has kept.
pub(super) fn of(plan: &Plan, root: &Root) -> String {
    if plan.node.is_empty() {
        return kept(root).unwrap_or_default();
    }
    plan.node.clone()
}

fn kept(root: &Root) -> Option<String> {
    let text = fs::read_to_string(root.path(paths::NAME)).ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}
