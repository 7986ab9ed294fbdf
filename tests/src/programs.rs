//! The product's programs, built from this workspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use packages::tools::Tools;
use packages::{Architecture, Builder, Product, Release, Tree, sysext};
use tempfile::TempDir;

use crate::cache::Cache;

/// What an operator and an OS image get of the product.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `nkd`, the operator's.
    pub nkd: PathBuf,
    /// `nkd-agent`, static, as its packages have it.
    pub agent: PathBuf,
    tree: Tree,
    // Removed with the last of the clones.
    _directory: Arc<TempDir>,
}

impl Programs {
    /// Builds them, in the target directory that cargo is told to use.
    pub fn build() -> Result<Self> {
        let release = Release::with_changes()?;
        let tools = Tools::at(Cache::open()?.directory());
        let directory = Arc::new(tempfile::tempdir()?);
        eprintln!("testbed: building nkd and nkd-agent");
        let tree = Product::Agent.install(
            Architecture::X86_64,
            &release,
            Builder::Auditable(&tools),
            directory.path(),
        )?;
        Ok(Self {
            nkd: packages::nkd_for_this_machine(&release)?,
            agent: tree.root().join("usr/bin/nkd-agent"),
            tree,
            _directory: directory,
        })
    }

    /// Makes the system extension of the agent.
    pub fn extension(&self, image: &Path) -> Result<()> {
        let release = Release::with_changes()?;
        sysext::agent(&self.tree, Architecture::X86_64, &release, image)
    }

    /// What is installed with the agent: an image gets it as it is.
    pub fn agent_tree(&self) -> &Path {
        self.tree.root()
    }
}

/// The workspace's directory.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
