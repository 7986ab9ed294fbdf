//! Writes files so that they are either complete or absent, even after a power cut.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::attended;

/// Replaces a file atomically. Its mode is set before other processes can see it. The file and its
/// directory are on the disk when this returns. Missing parent directories are created.
///
/// # Errors
/// The file cannot be written. The old file is then unchanged.
pub(crate) fn write_atomic(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    attended(|| replace(path, contents, mode))
}

fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new()
        .prefix(".nkd-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    // The umask may have taken bits away.
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

/// Removes a file, if it exists, so that it stays removed after a power cut.
///
/// # Errors
/// The file cannot be removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    attended(|| {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
    })
}

/// The number of reserved bytes: enough for a state and a few hundred events.
const RESERVE: usize = 512 << 10;

/// Reserves disk space for later writes beside a file, if there is any.
pub(crate) fn keep_reserve(beside: &Path) {
    let path = reserve(beside);
    if path.exists() {
        return;
    }
    // On a file system with compression, zeros would reserve nothing.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(RESERVE)
        .collect();
    if let Err(error) = write_atomic(&path, &noise, 0o600) {
        log::warn!("{}: {error}", path.display());
    }
}

/// Does work that needs disk space beside a file. If the disk is full, frees the reserve and does the
/// work again.
///
/// # Errors
/// The work fails.
pub(crate) fn with_reserve<T>(
    beside: &Path,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    match work() {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && give_up_reserve(beside) => {
            work()
        }
        done => done,
    }
}

/// Frees the reserve, and returns whether there was one.
pub(crate) fn give_up_reserve(beside: &Path) -> bool {
    fs::remove_file(reserve(beside)).is_ok()
}

fn reserve(beside: &Path) -> PathBuf {
    beside.with_file_name("reserve")
}

/// Copies a directory tree of regular files with their modes, and replaces existing files.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            let mode = entry.metadata()?.permissions().mode();
            write_atomic(&target, &fs::read(entry.path())?, mode)?;
        }
    }
    Ok(())
}

/// The contents of a file, or `None` if it does not exist.
///
/// # Errors
/// The file exists but cannot be read.
pub(crate) fn read_if_exists(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_the_mode_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b.json");
        write_atomic(&path, b"first", 0o600).unwrap();
        write_atomic(&path, b"second", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o644
        );
        let left_over = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left_over, 1);
    }

    #[test]
    fn what_a_full_disk_refuses_gets_the_reserve_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let full = || Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull));
        keep_reserve(&path);
        let mut tries = 0;
        let done = with_reserve(&path, || {
            tries += 1;
            if tries == 1 { full() } else { Ok(()) }
        });
        assert!(done.is_ok());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(with_reserve(&path, full).is_err());
    }

    #[test]
    fn a_copied_tree_keeps_the_modes_of_its_keys() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        write_atomic(&from.join("etcd/ca.key"), b"secret", 0o600).unwrap();
        copy_tree(&from, &to).unwrap();
        let copy = to.join("etcd/ca.key");
        assert_eq!(fs::read(&copy).unwrap(), b"secret");
        assert_eq!(
            fs::metadata(&copy).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }
}
