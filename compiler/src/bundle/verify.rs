//! Verifies whole bundles.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nkd_bundle::{Blob, Digest, JSON_LIMIT, Reader, Source};

use super::config::ImageConfig;
use super::layer::LayerInspector;
use super::progress::ProgressMonitor;
use super::read::read;
use nkd_model::Bundle;

/// Reads every byte of a bundle, and checks that blobs have the digests in their names, and that layers
/// unpack to what the image configurations state.
pub fn verify(path: &Path, progress: &dyn ProgressMonitor) -> Result<Bundle> {
    let bundle = read(path)?;
    let source = nkd_bundle::open(nkd_document::input::open(path)?)?;
    let mut reader = Reader::open(source, Some(&bundle.index))?;
    progress.begin(&format!("reading {}", path.display()), bundle.unpacked);
    let mut configs: HashMap<Digest, Vec<u8>> = HashMap::new();
    let mut unpacked: HashMap<Digest, Digest> = HashMap::new();
    while let Some(blob) = reader.next_blob()? {
        let is_config = bundle.images.iter().any(|image| image.config == blob);
        if is_config && blob.size <= JSON_LIMIT {
            let mut bytes = Vec::new();
            reader.read_blob(blob, |piece| {
                bytes.extend_from_slice(piece);
                anyhow::Ok(())
            })?;
            configs.insert(blob.digest, bytes);
        } else {
            let digest = layer(&mut reader, blob, progress)?;
            unpacked.insert(blob.digest, digest);
        }
    }
    for image in &bundle.images {
        let bytes = configs.get(&image.config.digest);
        let config = ImageConfig::read(bytes.map(Vec::as_slice).unwrap_or_default());
        let config = config.with_context(|| image.name.clone())?;
        let (name, architecture) = (&image.name, &image.architecture);
        ensure!(
            config.is_for(architecture),
            "{name} is for {}, but the bundle is for {architecture}",
            config.platform()
        );
        let layers = image.layers.iter();
        let digests = layers.map(|layer| unpacked.get(&layer.blob.digest));
        ensure!(
            digests.eq(config.layers().iter().map(Some)),
            "{name}: the layers differ from those in the image configuration"
        );
    }
    Ok(bundle)
}

/// The digest of an unpacked layer.
fn layer<S: Source>(
    reader: &mut Reader<S>,
    blob: Blob,
    progress: &dyn ProgressMonitor,
) -> Result<Digest> {
    let mut layer = LayerInspector::new(blob.size);
    // Damage makes a layer no archive too; that its bytes are wrong says more.
    let mut problem: io::Result<()> = Ok(());
    reader.read_blob(blob, |piece| {
        if problem.is_ok() {
            problem = layer.write_all(piece);
        }
        progress.advance(piece.len() as u64)?;
        anyhow::Ok(())
    })?;
    let finished = problem.and_then(|()| layer.finish());
    let context = || format!("a layer of {}", reader.contents().owners(&blob.digest));
    let (_, digest) = finished.with_context(context)?;
    Ok(digest)
}
