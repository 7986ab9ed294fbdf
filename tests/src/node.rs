//! The nodes' operating system.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::{Cache, Recipe};

/// The environment variable with another suite of Debian for the nodes, such as `trixie`.
const SUITE: &str = "NKD_TESTBED_SUITE";
/// Debian 12.
const BUILT_IN: &str = "bookworm";

/// The root directory of a node without anything of Kubernetes; not to be written to.
pub fn root(cache: &Cache) -> Result<PathBuf> {
    let suite = std::env::var(SUITE).unwrap_or_else(|_| BUILT_IN.to_owned());
    let entry = cache.entry(&Recipe {
        name: "node",
        script: include_str!("../recipes/node.sh"),
        variables: &[("SUITE", &suite)],
        ..Recipe::default()
    })?;
    Ok(entry.join("root"))
}
