use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Digest;

/// The annotation with an image's full name that containerd reads (containerd,
/// `images.AnnotationImageName`).
pub const NAME: &str = "io.containerd.image.name";
/// The annotation with an image's name that other programs read (OCI image layout).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The largest index, manifest or configuration that is read, in bytes. Real ones have some kilobytes.
pub const JSON_LIMIT: u64 = 4 << 20;
/// The largest size of all manifests of a bundle together, in bytes.
const MANIFESTS_LIMIT: u64 = 4 << 20;
/// The largest number of images in a bundle.
pub const MAX_IMAGES: usize = 4096;

/// Why an index or a manifest is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It is not JSON, or lacks a field.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A value in it is wrong.
    #[error("{0}")]
    Other(String),
}

impl Invalid {
    fn other(reason: impl Into<String>) -> Self {
        Self::Other(reason.into())
    }
}

/// A blob: a manifest, a configuration or a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// The digest of its bytes, which is also its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An image of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its full name, such as `registry.k8s.io/pause:3.10`.
    pub name: String,
    /// The architecture it is for, in the terms of Go and OCI, such as `amd64`.
    pub architecture: String,
    /// The media type of its manifest.
    pub media_type: String,
    /// Its manifest, whose digest identifies the image.
    pub manifest: Blob,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// Its configuration.
    pub config: Blob,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its bytes.
    pub blob: Blob,
    /// Its media type, which states how it is compressed.
    pub media_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    #[serde(flatten)]
    blob: Blob,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// An image as listed in the index, before its manifest is read.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) architecture: String,
    pub(crate) media_type: String,
    pub(crate) manifest: Blob,
}

/// Reads a bundle's index.
pub(crate) fn read_index(json: &[u8]) -> Result<Vec<Listed>, Invalid> {
    let index: Index = serde_json::from_slice(json)?;
    if index.manifests.len() > MAX_IMAGES {
        return Err(Invalid::other(format!("more than {MAX_IMAGES} images")));
    }
    let mut names = BTreeSet::new();
    let mut listed = Vec::new();
    let mut bytes = 0_u64;
    for mut manifest in index.manifests {
        let name = manifest.annotations.remove(NAME);
        let name =
            name.ok_or_else(|| Invalid::other(format!("an image has no annotation {NAME}")))?;
        if !is_printable(&name) {
            return Err(Invalid::other(format!(
                "{name:?} is not the name of an image"
            )));
        }
        if !names.insert(name.clone()) {
            return Err(Invalid::other(format!("duplicate image {name}")));
        }
        let platform = manifest.platform.filter(|platform| platform.os == "linux");
        let platform =
            platform.ok_or_else(|| Invalid::other(format!("{name} is not for Linux")))?;
        bytes = bytes.saturating_add(manifest.blob.size);
        if bytes > MANIFESTS_LIMIT {
            return Err(Invalid::other("the manifests are too large"));
        }
        listed.push(Listed {
            name,
            architecture: platform.architecture,
            media_type: manifest.media_type,
            manifest: manifest.blob,
        });
    }
    Ok(listed)
}

/// Whether a name can be shown to people and passed to programs: it has no control characters and no
/// blanks, and cannot be mistaken for an option.
fn is_printable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 512
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Listed {
    /// The image, given the bytes of its manifest.
    pub(crate) fn with_manifest(self, bytes: Vec<u8>) -> Result<Image, Invalid> {
        Image::new(self.name, self.architecture, self.media_type, bytes)
    }
}

impl Image {
    /// The image that a manifest describes.
    ///
    /// # Errors
    /// The manifest is invalid.
    pub fn new(
        name: String,
        architecture: String,
        media_type: String,
        manifest_bytes: Vec<u8>,
    ) -> Result<Self, Invalid> {
        let manifest: ImageManifest = serde_json::from_slice(&manifest_bytes)?;
        if manifest.config.blob.size > JSON_LIMIT {
            return Err(Invalid::other("the image configuration is too large"));
        }
        let layers = manifest.layers.into_iter().map(|layer| Layer {
            blob: layer.blob,
            media_type: layer.media_type,
        });
        let image = Self {
            name,
            architecture,
            media_type,
            manifest: Blob {
                digest: Digest::of(&manifest_bytes),
                size: manifest_bytes.len() as u64,
            },
            manifest_bytes,
            config: manifest.config.blob,
            layers: layers.collect(),
        };
        let total = image
            .blobs()
            .try_fold(0_u64, |sum, blob| sum.checked_add(blob.size));
        if total.is_none_or(|total| total > u64::MAX / 4) {
            return Err(Invalid::other(
                "the sizes of the layers are impossibly large",
            ));
        }
        Ok(image)
    }

    /// Its configuration and its layers, in the order of a bundle.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> {
        [self.config]
            .into_iter()
            .chain(self.layers.iter().map(|layer| layer.blob))
    }
}

/// The index of a bundle with these images. Equal images give equal bytes.
pub fn index(images: &[Image]) -> Vec<u8> {
    let manifests: Vec<_> = images
        .iter()
        .map(|image| {
            json!({
                "mediaType": image.media_type,
                "digest": image.manifest.digest,
                "size": image.manifest.size,
                "platform": { "architecture": image.architecture, "os": "linux" },
                "annotations": { (NAME): image.name, (REF_NAME): image.name },
            })
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests });
    index.to_string().into_bytes()
}

/// Divides images into groups that have no blobs in common. Groups, and the images in them, keep the order
/// of the input.
pub fn connected(images: impl IntoIterator<Item = Image>) -> Vec<Vec<Image>> {
    let mut groups: Vec<(HashSet<Digest>, BTreeMap<usize, Image>)> = Vec::new();
    for (number, image) in images.into_iter().enumerate() {
        let mut blobs: HashSet<_> = image.blobs().map(|blob| blob.digest).collect();
        let mut members = BTreeMap::from([(number, image)]);
        let is_apart = |group: &(HashSet<Digest>, _)| group.0.is_disjoint(&blobs);
        let (apart, shared): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_apart);
        groups = apart;
        for (more, others) in shared {
            blobs.extend(more);
            members.extend(others);
        }
        groups.push((blobs, members));
    }
    groups.sort_by_key(|(_, members)| members.keys().next().copied());
    let groups = groups.into_iter().map(|(_, members)| members);
    groups.map(|group| group.into_values().collect()).collect()
}
