//! The progress of long work.

use std::io::{self, Write};

use nkd_bundle::{Digest, Hasher};

/// Receives the progress, and can stop the work.
pub trait ProgressMonitor {
    /// Reports that something begins or was found.
    fn say(&self, line: &str);

    /// Begins a task of this number of bytes.
    fn begin(&self, what: &str, bytes: u64);

    /// Adds to the number of bytes that are done.
    ///
    /// # Errors
    /// The user has interrupted the command.
    fn advance(&self, bytes: u64) -> io::Result<()>;
}

/// Discards the progress.
impl ProgressMonitor for () {
    fn say(&self, _: &str) {}

    fn begin(&self, _: &str, _: u64) {}

    fn advance(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that hashes the bytes that it writes, and reports their number as progress.
pub(super) struct Watched<'a, W> {
    to: W,
    hasher: Hasher,
    progress: &'a dyn ProgressMonitor,
}

impl<'a, W: Write> Watched<'a, W> {
    pub(super) fn new(to: W, progress: &'a dyn ProgressMonitor) -> Self {
        Self {
            to,
            hasher: Hasher::default(),
            progress,
        }
    }

    /// The digest of all bytes, and the inner writer.
    pub(super) fn finish(self) -> (Digest, W) {
        (self.hasher.finish(), self.to)
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        self.hasher.update(bytes);
        self.progress.advance(bytes.len() as u64)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
