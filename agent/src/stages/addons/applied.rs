//! A record of what has been applied to the cluster that this node has made.
//!
//! All stages run again on every boot until the node is Ready. Applying a manifest a second time would
//! take back what people and controllers have changed since.

use std::fs;

use anyhow::Context as _;
use nkd_bundle::Digest;

use crate::system::Root;
use crate::system::files::{remove, write_atomic};

/// One line for each thing that was applied: the SHA-256 of its contents, and its name.
const APPLIED: &str = "/etc/kubernetes/nkd-addons";

/// What was applied, by name and contents.
pub(in crate::stages) struct Applied<'a> {
    root: &'a Root,
    text: String,
}

impl<'a> Applied<'a> {
    /// What earlier attempts have applied. A record that can't be read counts as empty.
    pub(crate) fn read(root: &'a Root) -> Self {
        let text = fs::read_to_string(root.path(APPLIED)).unwrap_or_default();
        Self { root, text }
    }

    /// Whether these contents were applied under this name.
    pub(crate) fn has(&self, name: &str, contents: &[u8]) -> bool {
        let wanted = line(name, contents);
        self.text.lines().any(|line| line == wanted)
    }

    /// Records that they were, so that it is known after a power cut.
    pub(crate) fn add(&mut self, name: &str, contents: &[u8]) -> anyhow::Result<()> {
        self.text.push_str(&line(name, contents));
        self.text.push('\n');
        write_atomic(&self.root.path(APPLIED), self.text.as_bytes(), 0o600).context(APPLIED)
    }

    /// Removes the record, because a new cluster is made.
    pub(crate) fn forget(root: &Root) -> anyhow::Result<()> {
        remove(&root.path(APPLIED)).context(APPLIED)
    }
}

fn line(name: &str, contents: &[u8]) -> String {
    format!("{} {name}", Digest::of(contents).hex())
}
