//! Marks the node as Ready for the rest of the system.

use anyhow::Context as _;
use nkd_contract::paths;

use super::updates;
use crate::system::Root;
use crate::system::files::write_atomic;

/// Writes the markers of a Ready node. This can be repeated.
///
/// # Errors
/// A marker cannot be written.
pub(crate) fn mark(root: &Root) -> anyhow::Result<()> {
    write_atomic(&root.path(paths::CAPI_SENTINEL), b"success\n", 0o644)
        .context(paths::CAPI_SENTINEL)?;
    // This comes last: with this file, the worker never runs again, and systemd reaches
    // nkd-node-ready.target.
    write_atomic(&root.path(paths::COMPLETE), b"", 0o644).context(paths::COMPLETE)?;
    // The units of these updates have the file as their condition.
    updates::release(root);
    Ok(())
}
