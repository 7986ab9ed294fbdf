//! Reads the user's files. Refuses pipes and devices, which may never end, and files that are too
//! large for memory.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// The size in bytes of the largest file that is read. A cluster file with 10,000 nodes has about 1 MB.
const LIMIT: u64 = 16 << 20;

/// Reads a file of at most 16 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_from(open(path)?)
}

/// Opens a file of any size.
pub fn open(path: &Path) -> Result<File> {
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Error::from(ErrorKind::IsADirectory));
    }
    if !kind.is_file() {
        return Err(Error::other("not a regular file"));
    }
    Ok(file)
}

/// Reads an open file to its end, but at most 16 MiB.
pub fn read_from(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::other("the file is larger than 16 MiB"));
    }
    Ok(bytes)
}
