//! A record of the manifests that were applied to the cluster that this node has created.
//!
//! All stages run again on every boot until the node is Ready. Applying a manifest a second time would
//! undo what people and controllers have changed meanwhile.

use std::fs;

use anyhow::Context as _;
use nkd_bundle::Digest;

use crate::system::Root;
use crate::system::files::{remove, write_atomic};

/// The record, with one line for each manifest: the SHA-256 of its contents, and its name.
const APPLIED: &str = "/etc/kubernetes/nkd-addons";

/// The applied manifests, by name and contents.
pub(in crate::stages) struct Applied<'a> {
    root: &'a Root,
    text: String,
}

impl<'a> Applied<'a> {
    /// The record of earlier attempts. A record that cannot be read counts as empty.
    pub(crate) fn read(root: &'a Root) -> Self {
        let text = fs::read_to_string(root.path(APPLIED)).unwrap_or_default();
        Self { root, text }
    }

    /// Whether a manifest with this name and these contents was applied.
    pub(crate) fn has(&self, name: &str, contents: &[u8]) -> bool {
        let wanted = line(name, contents);
        self.text.lines().any(|line| line == wanted)
    }

    /// Records that the manifest was applied. The record survives a power cut.
    pub(crate) fn add(&mut self, name: &str, contents: &[u8]) -> anyhow::Result<()> {
        self.text.push_str(&line(name, contents));
        self.text.push('\n');
        write_atomic(&self.root.path(APPLIED), self.text.as_bytes(), 0o600).context(APPLIED)
    }

    /// Removes the record, because a new cluster is created.
    pub(crate) fn forget(root: &Root) -> anyhow::Result<()> {
        remove(&root.path(APPLIED)).context(APPLIED)
    }
}

fn line(name: &str, contents: &[u8]) -> String {
    format!("{} {name}", Digest::of(contents).hex())
}
