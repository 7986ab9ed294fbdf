//! The SBOM of a program: what it was built from, read from the program itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tools::{AUDITABLE2CDX, Tools};
use crate::{Product, Release, Tree, command};

/// Writes the SBOM of a program in an installed tree, in the format of `CycloneDX`.
pub(crate) fn write(product: Product, tree: &Tree, tools: &Tools, file: &Path) -> Result<()> {
    let program = tree.root().join("usr/bin").join(product.name());
    let printed = command::check(tools.command(AUDITABLE2CDX)?.arg(&program))?;
    let mut sbom: Value = serde_json::from_str(&printed).context("auditable2cdx")?;
    // auditable2cdx names a component after the last part of its input, and gives each SBOM a number
    // and a time of its own. The same program has the same SBOM here.
    if let Some(sbom) = sbom.as_object_mut() {
        sbom.remove("serialNumber");
        if let Some(metadata) = sbom.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("timestamp");
        }
    }
    let text = serde_json::to_string_pretty(&sbom)? + "\n";
    fs::write(file, text)
        .with_context(|| format!("cannot write {} of {}", file.display(), Release::VERSION))
}
