//! Shell completions and manual pages, which are derived from the command line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::answer::Answer;

/// Print shell completions for nkd
///
/// For bash: `nkd completions bash > /usr/share/bash-completion/completions/nkd`.
#[derive(Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<Answer> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "nkd", &mut script);
        Ok(Answer::document(String::from_utf8(script)?))
    }
}

/// Write the manual pages of nkd to a directory
#[derive(Args)]
pub struct Man {
    /// The directory, such as /usr/share/man/man1; nkd makes it if it is missing
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<Answer> {
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &self.directory))
            .with_context(|| format!("cannot write to {}", self.directory.display()))?;
        Ok(Answer::nothing())
    }
}
