use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Command;

/// The directories in which programs are searched.
pub(crate) const SEARCH_PATH: [&str; 5] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/opt/bin",
];

/// The root of the file system that the agent works on: `/`, or a directory in tests.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// The tree below a directory.
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The place of an absolute path of the node in this tree.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// A program of this tree, by its name.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        SEARCH_PATH
            .iter()
            .map(|directory| self.path(directory).join(name))
            .find(|path| path.is_file())
    }

    /// A command that runs a program of this tree.
    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(program, self.program(program), self.search_path())
    }

    /// A command that runs the executable at an absolute path of this tree. Messages name it by its
    /// directory and file name.
    pub(crate) fn executable(&self, absolute: &str) -> Command {
        let mut parts = absolute.rsplitn(3, '/');
        let (name, directory) = (parts.next(), parts.next());
        let name = format!("{}/{}", directory.unwrap_or("."), name.unwrap_or_default());
        let path = Some(self.path(absolute)).filter(|path| path.is_file());
        Command::new(&name, path, self.search_path())
    }

    fn search_path(&self) -> OsString {
        let path = SEARCH_PATH.iter().map(|directory| self.path(directory));
        std::env::join_paths(path).unwrap_or_else(|_| OsString::from("/usr/bin"))
    }
}

impl AsRef<Path> for Root {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}
