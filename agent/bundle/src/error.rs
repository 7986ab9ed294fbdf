use std::io;

use crate::{Digest, Invalid};

/// Why a bundle cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source returns an error.
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    /// The bundle ends too early.
    #[error("it ends after {at} bytes, in the middle")]
    Truncated {
        /// How many uncompressed bytes there are.
        at: u64,
    },
    /// The file is not an image bundle.
    #[error("it is not an image bundle: {0}")]
    NotABundle(String),
    /// The bundle contains something else than the index and the manifests state.
    #[error("byte {at}: {expected} should be here, and {found} is")]
    Unexpected {
        /// The position in the uncompressed bundle.
        at: u64,
        /// What the index and the manifests require there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The index or a manifest is invalid.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which of them.
        what: String,
        /// What is wrong with it.
        reason: Invalid,
    },
    /// A blob does not have the digest that its name states.
    #[error("{blob} of {images} has other bytes than its digest says")]
    Digest {
        /// The blob.
        blob: Digest,
        /// The images it belongs to.
        images: String,
    },
}
