//! Long work, seen from outside.

use std::io::{self, Write};

use nkd_bundle::{Digest, Hasher};

/// Is told how far things are, and says whether to go on.
pub trait ProgressMonitor {
    /// Something begins or was found.
    fn say(&self, line: &str);

    /// A task of so many bytes begins.
    fn begin(&self, what: &str, bytes: u64);

    /// So many more of its bytes are done.
    ///
    /// # Errors
    /// Somebody wants it to stop.
    fn advance(&self, bytes: u64) -> io::Result<()>;
}

/// Nobody looks.
impl ProgressMonitor for () {
    fn say(&self, _: &str) {}

    fn begin(&self, _: &str, _: u64) {}

    fn advance(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that hashes what goes through it, and says how much that is.
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

    /// The digest of everything, and where it went.
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
