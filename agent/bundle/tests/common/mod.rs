//! Bundles of images whose layers are any bytes.

use std::collections::BTreeMap;
use std::io::Write as _;

use nkd_bundle::{Blob, Digest, Image, Layout};

/// A bundle and what it was made of.
pub struct Bundle {
    pub images: Vec<Image>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub bytes: Vec<u8>,
}

/// A bundle of images of these names and layers.
pub fn bundle(images: &[(&str, Vec<Vec<u8>>)]) -> Bundle {
    let mut blobs = BTreeMap::new();
    let mut keep = |bytes: Vec<u8>| {
        let blob = Blob {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        blobs.insert(blob.digest, bytes);
        blob
    };
    let images: Vec<_> = images
        .iter()
        .map(|(name, layers)| {
            let config =
                keep(format!(r#"{{"architecture":"amd64","name":"{name}"}}"#).into_bytes());
            let layers = layers
                .iter()
                .map(|layer| descriptor("layer", keep(layer.clone())));
            let manifest = format!(
                r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
                descriptor("config", config),
                layers.collect::<Vec<_>>().join(",")
            );
            let (architecture, media_type) = ("amd64".into(), "manifest".into());
            Image::new(
                (*name).into(),
                architecture,
                media_type,
                manifest.into_bytes(),
            )
            .unwrap()
        })
        .collect();
    let mut bytes = Vec::new();
    let layout = Layout::of(&images);
    layout
        .write(&mut bytes, |blob, out| out.write_all(&blobs[&blob.digest]))
        .unwrap();
    assert_eq!(layout.size(), bytes.len() as u64);
    Bundle {
        images,
        blobs,
        bytes,
    }
}

fn descriptor(media_type: &str, blob: Blob) -> String {
    let Blob { digest, size } = blob;
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}
