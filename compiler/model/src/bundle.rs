use nkd_bundle::{Digest, Image};

/// A bundle, as its index and its manifests describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The name of its file.
    pub file: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The size of the tar in bytes.
    pub unpacked: u64,
    /// The digest of its index.
    pub index: Digest,
    /// The architecture of its images, by its name in Go.
    pub architecture: String,
    /// Its images.
    pub images: Vec<Image>,
}

impl Bundle {
    /// The image with this full name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }
}
