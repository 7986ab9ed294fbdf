//! Staging directories: where an output is written before it comes to its place.
//!
//! A staging directory holds secrets, so only its owner can enter it from the moment it exists. A run
//! that is killed leaves its directory behind. The next run recognizes it by its name and by the marker
//! inside, which also is the lock of a run that is alive, and removes it. Anything else stays.

use std::fs::{self, DirEntry, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use tempfile::TempDir;

/// What the names of staging directories begin with.
const PREFIX: &str = ".nkd-output-";

/// The file that marks a directory as a staging directory.
const MARKER: &str = "nkd-staging";

/// What the marker says to a person who finds it.
const MARK: &str =
    "An unfinished output of nkd, with secrets in it. The next nkd compile removes it.\n";

/// A staging directory that no other run removes while this is alive.
pub struct Staging {
    directory: TempDir,
    _lock: File,
}

impl Staging {
    /// Makes a staging directory in `parent`.
    pub fn new_in(parent: &Path) -> Result<Self> {
        // Another run may take one for abandoned in the moment before it is locked.
        for _ in 0..10 {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent);
            let cannot = || format!("cannot create a directory in {}", parent.display());
            let directory = directory.with_context(cannot)?;
            let lock = mark(directory.path()).with_context(cannot)?;
            if directory.path().join(MARKER).exists() {
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
        bail!("other runs of nkd are writing to {}", parent.display())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on the directory stays if this run fails: it is needed to go on.
    pub fn keep(&mut self) {
        self.directory.disable_cleanup(true);
    }

    /// Removes it with all that is in it.
    pub fn close(mut self) -> std::io::Result<()> {
        self.directory.disable_cleanup(false);
        self.directory.close()
    }
}

fn mark(directory: &Path) -> std::io::Result<File> {
    let mut marker = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(directory.join(MARKER))?;
    marker.write_all(MARK.as_bytes())?;
    marker.lock()?;
    Ok(marker)
}

/// A staging directory that a killed run has left. No other run touches it while this is alive.
pub struct Abandoned {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

/// The staging directories in `parent` that belong to this user and to no run that is alive.
pub fn abandoned(parent: &Path) -> Vec<Abandoned> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(|entry| take(&entry)).collect()
}

/// Whether an entry has the name of a staging directory.
pub fn is_named_so(name: &str) -> bool {
    name.starts_with(PREFIX)
}

fn take(entry: &DirEntry) -> Option<Abandoned> {
    if !is_named_so(entry.file_name().to_str()?) {
        return None;
    }
    // The metadata are those of the entry itself: a link is never followed.
    let metadata = entry.metadata().ok()?;
    let private = metadata.mode() & 0o777 == 0o700;
    if !metadata.is_dir() || !private || metadata.uid() != geteuid().as_raw() {
        return None;
    }
    let path = entry.path();
    let marker = path.join(MARKER);
    let is_file = fs::symlink_metadata(&marker).is_ok_and(|metadata| metadata.is_file());
    if !is_file || fs::read(&marker).ok()? != MARK.as_bytes() {
        return None;
    }
    let lock = OpenOptions::new().write(true).open(marker).ok()?;
    lock.try_lock().ok()?;
    Some(Abandoned { path, _lock: lock })
}
