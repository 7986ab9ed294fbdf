use std::io;

use crate::{Digest, Invalid};

/// Why a bundle cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source returns an error.
    #[error("cannot read the bundle: {0}")]
    Io(#[from] io::Error),
    /// The bundle ends too early.
    #[error("the bundle is truncated: it ends after {at} bytes")]
    Truncated {
        /// How many uncompressed bytes there are.
        at: u64,
    },
    /// The file is not an image bundle.
    #[error("not an image bundle: {0}")]
    NotABundle(String),
    /// The bundle contains something else than the index and the manifests state.
    #[error("at byte {at} of the bundle: expected {expected}, but found {found}")]
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
        /// Whether it is the index or which manifest.
        what: String,
        /// What is wrong with it.
        reason: Invalid,
    },
    /// A blob does not have the digest that its name states.
    #[error("the data of the blob {blob} ({images}) do not match its digest")]
    Digest {
        /// The blob.
        blob: Digest,
        /// The images it belongs to.
        images: String,
    },
}
