//! What has been written below some directories between two moments.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The inodes of all files and directories below some directories. Every write changes the time of an inode's last
/// change, which no program can set, and a file that is replaced has another inode.
#[derive(Debug)]
pub struct Snapshot(BTreeMap<PathBuf, Inode>);

#[derive(Debug, PartialEq, Eq)]
struct Inode {
    number: u64,
    changed: (i64, i64),
}

impl Snapshot {
    /// The present state below these directories, which are absolute paths in `root`.
    ///
    /// # Errors
    /// A directory does not exist, or something in it cannot be read.
    pub fn take(root: &Path, directories: &[&str]) -> Result<Self> {
        let mut inodes = BTreeMap::new();
        for directory in directories {
            let directory = root.join(directory.trim_start_matches('/'));
            add(root, &directory, &mut inodes)?;
        }
        Ok(Self(inodes))
    }

    /// The paths that were written, created or removed between this moment and a later one.
    pub fn changes(&self, later: &Self) -> Vec<PathBuf> {
        let all = self.0.keys().chain(later.0.keys());
        let mut changed: Vec<_> = all
            .filter(|path| self.0.get(*path) != later.0.get(*path))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

fn add(root: &Path, path: &Path, inodes: &mut BTreeMap<PathBuf, Inode>) -> Result<()> {
    let metadata = path
        .symlink_metadata()
        .with_context(|| format!("can't read {}", path.display()))?;
    let inode = Inode {
        number: metadata.ino(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    };
    inodes.insert(Path::new("/").join(path.strip_prefix(root)?), inode);
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            add(root, &entry?.path(), inodes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    /// What `Snapshot` finds after this was done to a directory with one file.
    fn changes_after(change: impl FnOnce(&Path)) -> Vec<PathBuf> {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("etc");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "text").unwrap();
        let before = Snapshot::take(root.path(), &["/etc"]).unwrap();
        // The kernel stores times in steps of some milliseconds.
        std::thread::sleep(Duration::from_millis(50));
        change(&directory);
        before.changes(&Snapshot::take(root.path(), &["/etc"]).unwrap())
    }

    #[test]
    fn each_kind_of_write_is_a_change_and_reading_is_none() {
        let read = |directory: &Path| assert!(fs::read(directory.join("file")).is_ok());
        assert!(changes_after(read).is_empty());

        let file = Path::new("/etc/file");
        let rewrite = |directory: &Path| fs::write(directory.join("file"), "text").unwrap();
        assert_eq!(changes_after(rewrite), [file]);
        let change_mode = |directory: &Path| {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(directory.join("file"), mode).unwrap();
        };
        assert_eq!(changes_after(change_mode), [file]);
        let replace = |directory: &Path| {
            fs::write(directory.join("new"), "text").unwrap();
            fs::rename(directory.join("new"), directory.join("file")).unwrap();
        };
        assert_eq!(changes_after(replace), [Path::new("/etc"), file]);
        let remove = |directory: &Path| fs::remove_file(directory.join("file")).unwrap();
        assert_eq!(changes_after(remove), [Path::new("/etc"), file]);
        let create_and_remove = |directory: &Path| {
            fs::write(directory.join("new"), "").unwrap();
            fs::remove_file(directory.join("new")).unwrap();
        };
        assert_eq!(changes_after(create_and_remove), [Path::new("/etc")]);
    }
}
