//! Reading the user's files: nothing that never ends, and nothing that fills the memory.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// The largest file that is read. Ten thousand nodes take a megabyte.
const LIMIT: u64 = 16 << 20;

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_from(open(path)?)
}

/// Opens a file of any size.
pub fn open(path: &Path) -> Result<File> {
    // Opening a pipe would wait for somebody to write to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Error::from(ErrorKind::IsADirectory));
    }
    if !kind.is_file() {
        return Err(Error::other("it is a pipe, socket or device"));
    }
    Ok(file)
}

/// Reads to the end of what is open already.
pub fn read_from(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}
