//! Reads the user's files. Files may be pipes, and are refused if they are too large for memory. A device
//! that never ends is too large as well.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// The size in bytes of the largest file that is read. A cluster file with 10,000 nodes has about 1 MB.
const LIMIT: u64 = 16 << 20;

/// On a command line: standard input.
pub const STANDARD_INPUT: &str = "-";

/// Reads a file or a pipe of at most 16 MiB. Waits until a pipe has a writer.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(Error::from(ErrorKind::IsADirectory));
    }
    read_from(file)
}

/// The directory to which names in a file are relative: that of the file, or the working directory if the
/// file is standard input or another open file of the process, as in `<(…)` of a shell.
pub fn directory(path: &Path) -> &Path {
    let is_open_file = path.starts_with("/dev") || path.starts_with("/proc");
    let parent = path.parent().filter(|_| !is_open_file);
    parent.unwrap_or(Path::new(""))
}

/// The path of a file that a command line names, as diagnostics show it.
pub fn shown(path: &Path) -> &Path {
    if path == Path::new(STANDARD_INPUT) {
        Path::new("standard input")
    } else {
        path
    }
}

/// Whether a file of a command line can be read only once.
pub fn is_stream(path: &Path) -> bool {
    let is_file = |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    path == Path::new(STANDARD_INPUT) || !is_file(path)
}

/// Opens a regular file of any size.
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
