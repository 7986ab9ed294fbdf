//! Image bundles on the operator's side: made, checked and looked into.

pub mod create;
mod input;
mod layer;
pub mod verify;

use std::path::Path;

use nkd_bundle::{Digest, Image, Reader};

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
    /// Its images.
    pub images: Vec<Image>,
}

impl Bundle {
    /// Reads index and manifests, and sees that the file is as long as they say. What can't be
    /// used is said in words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path
            .file_name()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        let good = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(good) {
            let reason =
                "its name is not of letters, digits, `.`, `_` and `-`, or begins with one of those";
            return Err(reason.to_owned());
        }
        let file = crate::input::open(path).map_err(|error| error.to_string())?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let compressed = is_compressed(path)?;
        let source = nkd_bundle::open(file).map_err(|error| error.to_string())?;
        let reader = Reader::open(source, None).map_err(|error| error.to_string())?;
        let contents = reader.contents().clone();
        if !compressed && size != contents.size {
            let wanted = contents.size;
            return Err(format!("it has {size} bytes, and should have {wanted}"));
        }
        let mut architectures = contents.images.iter().map(|it| &it.architecture);
        let first = architectures.next();
        if let Some(other) = architectures.find(|it| Some(*it) != first) {
            let first = first.map_or("", |it| it.as_str());
            return Err(format!("it has images for {first} and for {other}"));
        }
        Ok(Self {
            file: name.to_owned(),
            size,
            unpacked: contents.size,
            index: contents.index,
            images: contents.images,
        })
    }

    /// An image by its full name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|it| it.name == name)
    }
}

fn is_compressed(path: &Path) -> Result<bool, String> {
    use std::io::Read as _;
    let file = crate::input::open(path).map_err(|error| error.to_string())?;
    let mut magic = Vec::new();
    file.take(4)
        .read_to_end(&mut magic)
        .map_err(|error| error.to_string())?;
    Ok(magic == nkd_bundle::ZSTD_MAGIC)
}
