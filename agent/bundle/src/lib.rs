//! Image bundles: an OCI image layout in a tar, so that `ctr`, `skopeo` and `podman` read it
//! unaided, and of one form only, so that it can be checked as it streams past.
//!
//! 1. `oci-layout` and `index.json`; the digest of the latter pins the whole bundle,
//! 2. the images' manifests, in the index's order,
//! 3. each image's configuration and layers, each blob once, where an image needs it first,
//! 4. the tar's end.
//!
//! Index and manifests say what the rest has to be, to the byte: whatever else comes is refused
//! before anybody sees it. The whole may be compressed with zstd.

mod digest;
mod error;
mod layout;
mod model;
mod reader;
mod source;

pub use digest::{Digest, Hasher};
pub use error::Error;
pub use layout::{Content, END, Entry, Layout, header, padding};
pub use model::{Blob, Image, Invalid, JSON_LIMIT, MAX_IMAGES, NAME, connected, index};
pub use reader::{Contents, Reader};
pub use source::{Source, ZSTD_MAGIC, open};
