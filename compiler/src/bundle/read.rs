//! Reading what a bundle has, without its blobs.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use anyhow::{Result, ensure};
use nkd_bundle::{Digest, Reader, ZSTD_MAGIC};

use nkd_model::Bundle;

/// The media types of manifests in OCI and Docker images.
pub(super) const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Reads the index and the manifests, and compares the size of the file with them.
pub fn read(path: &Path) -> Result<Bundle> {
    let name = file_name(path)?;
    let mut file = nkd_document::input::open(path)?;
    let size = file.metadata()?.len();
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    let reader = Reader::open(nkd_bundle::open(file)?, None)?;
    let contents = reader.contents().clone();
    let wanted = contents.size;
    ensure!(
        size == wanted || magic == ZSTD_MAGIC,
        "the size is {size} bytes, but must be {wanted}"
    );
    // Nothing else pins the index yet. Each name is in it twice, so damage shows.
    let as_written = Digest::of(&nkd_bundle::index(&contents.images)) == contents.index;
    let mut types = contents
        .images
        .iter()
        .map(|image| image.media_type.as_str());
    let known = types.all(|kind| MANIFEST_TYPES.contains(&kind));
    ensure!(as_written && known, "the index is damaged");
    let mut architectures = contents.images.iter().map(|image| &image.architecture);
    let architecture = architectures.next().cloned().unwrap_or_default();
    if let Some(other) = architectures.find(|other| **other != architecture) {
        anyhow::bail!("the bundle contains images for {architecture} and for {other}");
    }
    Ok(Bundle {
        file: name.to_owned(),
        size,
        unpacked: wanted,
        index: contents.index,
        architecture,
        images: contents.images,
    })
}

/// The name of a bundle's file, which goes into URLs and paths on nodes.
pub(super) fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(OsStr::to_str);
    let name = name.unwrap_or_default();
    ensure!(
        is_file_name(name),
        "the file name must begin with a letter or digit and contain only letters, digits, `.`, `_` and `-`"
    );
    Ok(name)
}

/// Whether a name means the same in paths, URLs and lines of text.
pub fn is_file_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(good)
}
