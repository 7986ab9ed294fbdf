//! What the rest of the system is told once the node is Ready.

use anyhow::Context as _;
use nkd_contract::paths;

use super::updates;
use crate::system::Root;
use crate::system::files::write_atomic;

/// Leaves the marks of a Ready node. Doing so again does no harm.
///
/// # Errors
/// A mark can't be left.
pub(crate) fn tell_others(root: &Root) -> anyhow::Result<()> {
    write_atomic(&root.path(paths::CAPI_SENTINEL), b"success\n", 0o644)
        .context(paths::CAPI_SENTINEL)?;
    // Last of all that must be done, for it keeps the worker from running again and makes systemd reach
    // nkd-node-ready.target.
    write_atomic(&root.path(paths::COMPLETE), b"", 0o644).context(paths::COMPLETE)?;
    // Their condition is the file that was just written.
    updates::release(root);
    Ok(())
}
