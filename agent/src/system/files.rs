//! Files that are whole or not there, also after a power cut.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Replaces a file in one step. Its mode is set before anybody can see it; file and directory are
/// on the disk when this returns. Missing parent directories are made.
///
/// # Errors
/// Whatever the file system says; the old file is whole then.
pub fn write_atomic(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
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

/// Copies a directory tree of plain files, with their modes, over what is there.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
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

/// A file's contents; `None` where there is none.
///
/// # Errors
/// Whatever else the file system says.
pub fn read_if_exists(path: &Path) -> io::Result<Option<Vec<u8>>> {
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
