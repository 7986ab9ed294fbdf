//! Reading bundles whole.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::Path;

use nkd_bundle::{Digest, Error, JSON_LIMIT, Reader};

use super::Bundle;
use super::input::diff_ids;
use super::layer::Layer;

/// Reads every byte of a bundle: blobs have the digests that name them, and layers unpack to what
/// their images' configurations say. What is wrong is said in words.
pub fn verify(path: &Path) -> Result<Bundle, String> {
    let bundle = Bundle::read(path)?;
    let file = crate::input::open(path).map_err(|error| error.to_string())?;
    let source = nkd_bundle::open(file).map_err(|error| error.to_string())?;
    let mut reader =
        Reader::open(source, Some(&bundle.index)).map_err(|error| error.to_string())?;
    let mut configs: HashMap<Digest, Vec<u8>> = HashMap::new();
    let mut unpacked: HashMap<Digest, Digest> = HashMap::new();
    while let Some(blob) = reader.next_blob().map_err(|error| error.to_string())? {
        let owners = || reader_owners(&bundle, &blob.digest);
        if bundle.images.iter().any(|it| it.config == blob) && blob.size <= JSON_LIMIT {
            let mut bytes = Vec::new();
            let read = reader.read_blob(blob, |piece| {
                bytes.extend_from_slice(piece);
                Ok::<_, Error>(())
            });
            read.map_err(|error| error.to_string())?;
            configs.insert(blob.digest, bytes);
            continue;
        }
        let mut layer = Layer::new(blob.size);
        // Damage makes a layer no archive too; that its bytes are wrong says more.
        let mut problem: io::Result<()> = Ok(());
        let read = reader.read_blob(blob, |piece| {
            if problem.is_ok() {
                problem = layer.write_all(piece);
            }
            Ok::<_, Error>(())
        });
        read.map_err(|error| error.to_string())?;
        let digest = problem.and_then(|()| layer.finish());
        let (_, digest) = digest.map_err(|error| format!("a layer of {}: {error}", owners()))?;
        unpacked.insert(blob.digest, digest);
    }
    for image in &bundle.images {
        let config = configs.get(&image.config.digest).map(Vec::as_slice);
        let wanted = diff_ids(config.unwrap_or_default(), &image.architecture);
        let wanted = wanted.map_err(|error| format!("{}: {error:#}", image.name))?;
        let found = image
            .layers
            .iter()
            .map(|it| unpacked.get(&it.blob.digest).copied());
        if !found.eq(wanted.into_iter().map(Some)) {
            return Err(format!(
                "{}: its layers are not those of its configuration",
                image.name
            ));
        }
    }
    Ok(bundle)
}

fn reader_owners(bundle: &Bundle, blob: &Digest) -> String {
    let images = bundle.images.iter();
    let images = images.filter(|it| it.blobs().any(|it| it.digest == *blob));
    images
        .map(|it| it.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
