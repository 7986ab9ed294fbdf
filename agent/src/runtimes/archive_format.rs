use std::collections::HashSet;

use nkd_bundle::{Digest, Entry, Image, Layout};
use serde_json::json;

/// The tar formats that runtimes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchiveFormat {
    /// An OCI image layout.
    Oci,
    /// The format of `docker save`.
    Docker,
}

impl ArchiveFormat {
    /// The files of a tar with these images, without the blobs that the runtime gets in another way.
    /// Blobs may come in any order.
    pub(crate) fn layout(self, images: &[Image], without: &HashSet<Digest>) -> Layout {
        match self {
            Self::Oci => Layout::without(images, without),
            Self::Docker => Layout {
                entries: docker(images),
            },
        }
    }
}

/// Docker's format has file names where OCI has digests, so a blob can have any name.
fn docker(images: &[Image]) -> Vec<Entry> {
    let config = |image: &Image| format!("{}.json", image.config.digest.hex());
    let layer = |digest: &Digest| format!("{}.tar", digest.hex());
    let manifest: Vec<_> = images
        .iter()
        .map(|image| {
            let layers = image.layers.iter().map(|each| layer(&each.blob.digest));
            json!({
                "Config": config(image),
                "RepoTags": [image.name],
                "Layers": layers.collect::<Vec<_>>(),
            })
        })
        .collect();
    let manifest = json!(manifest).to_string().into_bytes();
    let mut entries = vec![Entry::bytes("manifest.json", manifest)];
    let mut seen = HashSet::new();
    for image in images {
        if seen.insert(image.config.digest) {
            let mut entry = Entry::blob(image.config);
            entry.path = config(image);
            entries.push(entry);
        }
        for layer_of in &image.layers {
            if seen.insert(layer_of.blob.digest) {
                let mut entry = Entry::blob(layer_of.blob);
                entry.path = layer(&layer_of.blob.digest);
                entries.push(entry);
            }
        }
    }
    entries
}
