//! A tree of files, with the modes and the times that it has in every package.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// A tree in a directory. Directories and executable files have mode 0755, other files 0644.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// What is at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File { executable: bool },
    Link(PathBuf),
}

/// A path of a tree, relative to its root, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub path: PathBuf,
    pub kind: Kind,
}

impl Entry {
    /// The permissions of a file or directory.
    pub fn mode(&self) -> u32 {
        match self.kind {
            Kind::File { executable: false } => 0o644,
            Kind::Directory | Kind::File { .. } => 0o755,
            Kind::Link(_) => 0o777,
        }
    }
}

impl Tree {
    /// The tree in a directory, which is made if it is missing. Files that are there stay.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        let root = root.to_owned();
        Ok(Self { root })
    }

    /// The directory of the tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds a file with these contents.
    pub(crate) fn write(&self, path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let file = self.root.join(path);
        let write = || {
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&file, contents)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(mode))
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }

    /// Adds a copy of a file.
    pub(crate) fn copy(&self, file: &Path, path: &str, mode: u32) -> Result<()> {
        let contents = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.write(path, contents, mode)
    }

    /// Adds everything that is in another directory below a directory of this tree.
    pub(crate) fn copy_all(&self, from: &Tree, below: &str) -> Result<()> {
        for entry in from.entries()? {
            let target = self.root.join(below).join(&entry.path);
            let source = from.root.join(&entry.path);
            let copy = || match &entry.kind {
                Kind::Directory => fs::create_dir_all(&target),
                Kind::Link(to) => {
                    // A link is replaced, as a file is.
                    if target.is_symlink() {
                        fs::remove_file(&target)?;
                    }
                    symlink(to, &target)
                }
                Kind::File { .. } => {
                    fs::copy(&source, &target)?;
                    fs::set_permissions(&target, fs::Permissions::from_mode(entry.mode()))
                }
            };
            fs::create_dir_all(self.root.join(below))
                .and_then(|()| copy())
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
        Ok(())
    }

    /// All paths of the tree in the order of their names, a directory before what it has.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.collect(Path::new(""), &mut entries)
            .with_context(|| format!("cannot read {}", self.root.display()))?;
        Ok(entries)
    }

    fn collect(&self, below: &Path, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        let mut names = fs::read_dir(self.root.join(below))?
            .map(|found| Ok(found?.file_name()))
            .collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let path = below.join(name);
            let file = self.root.join(&path);
            let metadata = file.symlink_metadata()?;
            let kind = if metadata.is_symlink() {
                Kind::Link(file.read_link()?)
            } else if metadata.is_dir() {
                Kind::Directory
            } else {
                let executable = metadata.permissions().mode() & 0o111 != 0;
                Kind::File { executable }
            };
            let is_directory = kind == Kind::Directory;
            entries.push(Entry {
                path: path.clone(),
                kind,
            });
            if is_directory {
                self.collect(&path, entries)?;
            }
        }
        Ok(())
    }

    /// Gives every path its mode and this time, in seconds since 1970.
    pub(crate) fn finish(&self, time: u64) -> Result<()> {
        let time = TimeSpec::new(i64::try_from(time)?, 0);
        // From the deepest path up, because a directory's time changes with what it has.
        for entry in self.entries()?.iter().rev() {
            let path = self.root.join(&entry.path);
            if !matches!(entry.kind, Kind::Link(_)) {
                fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode()))?;
            }
            let at = nix::fcntl::AT_FDCWD;
            utimensat(at, &path, &time, &time, UtimensatFlags::NoFollowSymlink)
                .with_context(|| format!("cannot set the time of {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_lists_directories_before_their_files_and_keeps_links_and_modes() {
        let directory = tempfile::tempdir().unwrap();
        let from = Tree::at(&directory.path().join("from")).unwrap();
        from.write("usr/bin/program", "x", 0o700).unwrap();
        from.write("usr/a", "y", 0o600).unwrap();
        symlink("../a", from.root().join("usr/bin/link")).unwrap();
        let to = Tree::at(&directory.path().join("to")).unwrap();
        to.copy_all(&from, "below").unwrap();
        to.copy_all(&from, "below").unwrap();
        to.finish(86400).unwrap();
        let entries = to.entries().unwrap();
        let paths: Vec<_> = entries
            .iter()
            .map(|entry| entry.path.to_str().unwrap())
            .collect();
        let modes: Vec<_> = entries.iter().map(Entry::mode).collect();
        let expected = [
            "below",
            "below/usr",
            "below/usr/a",
            "below/usr/bin",
            "below/usr/bin/link",
            "below/usr/bin/program",
        ];
        assert_eq!(paths, expected);
        assert_eq!(modes, [0o755, 0o755, 0o644, 0o755, 0o777, 0o755]);
        assert_eq!(entries[4].kind, Kind::Link("../a".into()));
        for entry in entries {
            let metadata = to.root().join(entry.path).symlink_metadata().unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mtime(&metadata), 86400);
        }
    }
}
