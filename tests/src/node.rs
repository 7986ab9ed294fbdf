//! The nodes' operating system.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::{Cache, Recipe};

/// The root directory of a node without anything of Kubernetes; not to be written to.
pub fn root(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry(&Recipe {
        name: "node",
        script: include_str!("../recipes/node.sh"),
        ..Recipe::default()
    })?;
    Ok(entry.join("root"))
}
