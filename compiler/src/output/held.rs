//! One run at a time changes an output.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::replace;

/// An output, or the place for one, that no other run changes while this is alive.
pub struct Held {
    path: PathBuf,
    lock: Option<File>,
}

impl Held {
    /// Waits until no other run changes what is at `out`, and finishes what a killed run has begun there.
    /// `waiting` is called when there is somebody to wait for.
    ///
    /// The lock is on the directory itself (flock(2)), so it leaves nothing behind and ends with the
    /// process. Where there is nothing yet, there is nothing to lock: [`super::write`] reports when
    /// another run was faster.
    ///
    /// # Errors
    /// When the file system knows no locks, or what a killed run has begun can't be finished.
    pub fn take(out: &Path, waiting: impl FnOnce()) -> Result<Self> {
        let mut waiting = Some(waiting);
        loop {
            let Some(directory) = open(out)? else {
                let (path, lock) = (out.to_owned(), None);
                return Ok(Self { path, lock });
            };
            let cannot = || format!("cannot lock {}", out.display());
            if let Err(TryLockError::WouldBlock) = directory.try_lock()
                && let Some(waiting) = waiting.take()
            {
                waiting();
            }
            directory.lock().with_context(cannot)?;
            let path = out.canonicalize().with_context(cannot)?;
            // Somebody may have put another directory there in the meantime.
            if fs::metadata(&path).is_ok_and(|now| is(&directory, &now)) {
                replace::recover(&path)?;
                let lock = Some(directory);
                return Ok(Self { path, lock });
            }
        }
    }

    /// Where the output is, or will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, if there was one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.lock.as_ref().map(|_| self.path.as_path())
    }
}

/// Opens a directory. What is none, or can't be read, is reported by whoever looks into it.
fn open(out: &Path) -> Result<Option<File>> {
    match fs::metadata(out) {
        Ok(metadata) if metadata.is_dir() => {}
        _ => return Ok(None),
    }
    match File::open(out) {
        Ok(directory) => Ok(Some(directory)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot open {}", out.display())),
    }
}

fn is(directory: &File, now: &fs::Metadata) -> bool {
    directory
        .metadata()
        .is_ok_and(|held| (held.dev(), held.ino()) == (now.dev(), now.ino()))
}
