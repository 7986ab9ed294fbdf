//! What is built: a commit of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;

/// The sources, their version, and the one time that packages have in them.
#[derive(Debug, Clone)]
pub struct Release {
    workspace: PathBuf,
    time: u64,
}

impl Release {
    /// The version of all programs.
    pub const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// The commit that is checked out in the workspace of this crate.
    ///
    /// # Errors
    /// The workspace is not a git repository, or it has changes that are not committed: the same commit
    /// would make other packages.
    pub fn committed() -> Result<Self> {
        let release = Self::with_changes()?;
        let changes = release.git(&["status", "--porcelain"])?;
        ensure!(
            changes.is_empty(),
            "the workspace has changes that are not committed:\n{changes}\
             Commit them, or use --allow-dirty."
        );
        Ok(release)
    }

    /// The files of the workspace as they are. The source package has those of the commit.
    ///
    /// # Errors
    /// The workspace is not a git repository.
    pub fn with_changes() -> Result<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut release = Self {
            workspace: directory.parent().unwrap_or(directory).to_owned(),
            time: 0,
        };
        // A source package has no repository, and its builder gives the time.
        let time = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(time) => time,
            Err(_) => release.git(&["log", "-1", "--format=%ct"])?,
        };
        release.time = time.trim().parse().context("the time of the commit")?;
        Ok(release)
    }

    /// The directory of the workspace.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// When the commit was made, in seconds since 1970. It is the time of all files in all packages.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// A command that gets this time, as reproducible-builds.org specifies it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("SOURCE_DATE_EPOCH", self.time.to_string())
            .env("TZ", "UTC")
            .env("LC_ALL", "C");
        command
    }

    /// What git prints about the workspace.
    pub(crate) fn git(&self, arguments: &[&str]) -> Result<String> {
        command::check(
            Command::new("git")
                .arg("-C")
                .arg(&self.workspace)
                .args(arguments),
        )
        .context("packages are built from a git repository")
    }
}
