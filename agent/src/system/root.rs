use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Command;

/// Where programs are looked for.
const SEARCH_PATH: [&str; 5] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/opt/bin",
];

/// The file system tree the agent works on: `/`, and another one in tests.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// The tree below a directory.
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where a path of the node (absolute) is in this tree.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// A program of this tree, by its name.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        SEARCH_PATH
            .iter()
            .map(|directory| self.path(directory).join(name))
            .find(|path| path.is_file())
    }

    /// A command that runs a program of this tree.
    pub fn command(&self, program: &str) -> Command {
        let path: Vec<_> = SEARCH_PATH
            .iter()
            .map(|directory| self.path(directory))
            .collect();
        let path = std::env::join_paths(path).unwrap_or_else(|_| OsString::from("/usr/bin"));
        let resolved = self.program(program);
        Command::new(program, resolved, path)
    }
}

impl AsRef<Path> for Root {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}
