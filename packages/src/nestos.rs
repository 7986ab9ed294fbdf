//! The overlay for NestOS-Assembler.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::archive::Effort;
use crate::tree::Kind;
use crate::{Release, Tree, archive};

/// The name of the overlay. Layers are merged in the order of their names.
const OVERLAY: &str = "40nkd";

/// Makes the archive that is unpacked into `src/config` of the work directory.
pub(crate) fn build(agent: &Tree, release: &Release, target: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tree = Tree::at(directory.path())?;
    let overlay = format!("overlay.d/{OVERLAY}");
    tree.copy_all(agent, &overlay)?;
    tree.write(
        &format!("{overlay}/statoverride"),
        statoverride(agent)?,
        0o644,
    )?;
    let manifest = release.workspace().join("packages/nestos/nkd.yaml");
    let manifest = fs::read(&manifest).with_context(|| format!("{}", manifest.display()))?;
    tree.write("manifests/nkd.yaml", manifest, 0o644)?;
    tree.finish(release.time())?;
    archive::tar_zst(&tree, release.time(), Effort::High, target)
}

/// The modes of files, which the assembler otherwise takes from its copy of the directory. It reads
/// them in decimal: `=MODE PATH`.
fn statoverride(agent: &Tree) -> Result<String> {
    let mut lines = vec!["# Modes of files, in decimal: 493 is 0755, 420 is 0644.".to_owned()];
    for entry in agent.entries()? {
        if matches!(entry.kind, Kind::File { .. }) {
            lines.push(format!("={} /{}", entry.mode(), entry.path.display()));
        }
    }
    Ok(lines.join("\n") + "\n")
}
