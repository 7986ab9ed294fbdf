//! The names of an output's files, and how a file is made.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Says what was compiled from what; marks a directory as nkd's.
pub const LOCK: &str = "cluster.lock";
/// The cluster's secrets.
pub const SECRETS: &str = "secrets.json";
/// The administrator's kubeconfig.
pub const KUBECONFIG: &str = "kubeconfig";
/// The nodes' Ignition files.
pub const NODES: &str = "nodes";

/// A text's digest, as the lock file has it.
pub fn digest(text: &str) -> String {
    format!(
        "sha256:{}",
        base16ct::lower::encode_string(&Sha256::digest(text.as_bytes()))
    )
}

/// Makes a directory that only its owner can enter.
pub fn private_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Writes a new file that only its owner can read.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}
