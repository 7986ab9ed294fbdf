//! Image bundles. A bundle is an OCI image layout in a tar, so that `ctr`, `skopeo` and `podman` can read
//! it. For each list of images there is exactly one valid tar, so that a reader can check it while it
//! streams:
//!
//! 1. `oci-layout` and `index.json`, whose digest determines the whole bundle,
//! 2. the images' manifests, in the index's order,
//! 3. each image's configuration and layers; each blob once, for the first image that needs it,
//! 4. the end of the tar.
//!
//! The index and the manifests determine every later byte. The reader rejects anything else before it
//! passes it on. A bundle may be compressed with zstd.

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
