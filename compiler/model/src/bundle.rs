use nkd_bundle::{Digest, Image};

/// A bundle, by what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The name of its file.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the tar.
    pub unpacked: u64,
    /// The digest of its index.
    pub index: Digest,
    /// What its images are for, in Go's words.
    pub architecture: String,
    /// Its images.
    pub images: Vec<Image>,
}

impl Bundle {
    /// An image by its full name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }
}
