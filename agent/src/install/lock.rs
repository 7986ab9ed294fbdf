//! Ensures that only one worker process runs at a time: a second one would reset the work of the first.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, anyhow};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nkd_contract::paths;

use crate::system::Root;

/// The lock is held as long as this value exists, and released when the process ends.
#[derive(Debug)]
pub(crate) struct InstallLock {
    _file: Flock<File>,
}

/// Takes the lock without waiting for it.
///
/// # Errors
/// Another process holds the lock, which the error names, or the file cannot be opened.
pub(crate) fn take(root: &Root) -> anyhow::Result<InstallLock> {
    let path = root.path(paths::LOCK);
    let opened = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| open(&path));
    let file = opened.with_context(|| paths::LOCK.to_owned())?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(InstallLock { _file: file })
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Err(anyhow!(
                "process {holder} is already installing this node; follow it with `nkd-agent status --follow`"
            ))
        }
        Err((_, error)) => Err(error).context(paths::LOCK),
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}
