//! The hidden directories in which outputs are made, beside where they go.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const PREFIX: &str = ".nkd-";

/// A staging directory that no other run removes while this is alive.
pub struct Staging {
    directory: TempDir,
    _lock: File,
}

impl Staging {
    /// Makes one in a directory, after what killed runs have left there is removed.
    pub fn new_in(parent: &Path) -> Result<Self> {
        // Another run may take one for stale in the moment before it is locked.
        for _ in 0..10 {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
            let cannot = || format!("can't make a directory in {}", parent.display());
            let directory = directory.with_context(cannot)?;
            let Ok(lock) = File::open(directory.path()) else {
                continue;
            };
            lock.lock().with_context(cannot)?;
            if directory.path().exists() {
                remove_stale(parent, &lock)?;
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
        bail!("other runs of nkd are busy in {}", parent.display())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes it with all that is in it.
    pub fn close(self) -> std::io::Result<()> {
        self.directory.close()
    }
}

/// Removes what is named like a staging directory, is of the same owner, and is held by nobody.
/// What can't be removed is left for the next run: it harms nobody.
fn remove_stale(parent: &Path, ours: &File) -> Result<()> {
    let owner = ours.metadata()?.uid();
    for entry in fs::read_dir(parent)?.flatten() {
        let name = entry.file_name();
        // Of the entry itself: a link is never followed.
        let ours = entry
            .metadata()
            .is_ok_and(|it| it.is_dir() && it.uid() == owner && it.mode() & 0o777 == 0o700);
        if !ours || !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(directory) = File::open(entry.path()) else {
            continue;
        };
        if directory.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
