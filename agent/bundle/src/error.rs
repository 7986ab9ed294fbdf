use std::io;

use crate::{Digest, Invalid};

/// Why a bundle can't be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    /// It ends too early.
    #[error("it ends after {at} bytes, in the middle")]
    Truncated {
        /// How much of it there is, uncompressed.
        at: u64,
    },
    /// It isn't an image bundle.
    #[error("it is not an image bundle: {0}")]
    NotABundle(String),
    /// Something else is in it than index and manifests say.
    #[error("byte {at}: {expected} should be here, and {found} is")]
    Unexpected {
        /// Where, uncompressed.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Index or manifest can't be used.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which.
        what: String,
        /// Why.
        reason: Invalid,
    },
    /// A blob's bytes are not those its digest names.
    #[error("{blob} of {images} has other bytes than its digest says")]
    Digest {
        /// The blob.
        blob: Digest,
        /// The images it belongs to.
        images: String,
    },
}
