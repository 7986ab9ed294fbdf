//! The libraries of the example receivers, which come from the registries of Python and JavaScript.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cache::{Cache, Recipe};
use crate::programs::workspace;

/// The language of an example receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `examples/receivers/python`
    Python,
    /// `examples/receivers/javascript`
    JavaScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    /// The receiver's program.
    pub fn receiver(self) -> PathBuf {
        self.directory().join(match self {
            Self::Python => "receiver.py",
            Self::JavaScript => "receiver.mjs",
        })
    }

    /// The directory with the receiver's libraries. They are installed into the cache the first time.
    ///
    /// # Errors
    /// The machine has no package manager for the language, or the package manager has no registry.
    pub fn libraries(self, cache: &Cache) -> Result<PathBuf> {
        let (name, file, script) = match self {
            Self::Python => (
                "receiver-python",
                "requirements.txt",
                "python3 -m pip install --quiet --target \"$OUT\" -r requirements.txt",
            ),
            Self::JavaScript => (
                "receiver-javascript",
                "package.json",
                "npm install --silent --no-package-lock && mv node_modules \"$OUT\"",
            ),
        };
        let path = self.directory().join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let recipe = Recipe {
            name,
            script,
            files: &[(file, &text)],
            ..Recipe::default()
        };
        cache.entry(&recipe)
    }

    /// What is reported if the libraries cannot be installed.
    pub const fn not_run(self) -> (&'static str, &'static str) {
        match self {
            Self::Python => (
                "the example receiver in Python",
                "pip cannot install its library",
            ),
            Self::JavaScript => (
                "the example receiver in JavaScript",
                "npm cannot install its library",
            ),
        }
    }

    fn directory(self) -> PathBuf {
        workspace().join("examples/receivers").join(match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        })
    }
}
