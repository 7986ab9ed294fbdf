//! Finds the images in an archive or a layout, and verifies that they are complete.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use anyhow::{Context, Result, ensure};
use nkd_bundle::{Blob, Digest, Image, NAME};
use serde_json::{Value, json};

use super::config::ImageConfig;
use super::input::Input;
use super::layer::{Compression, LayerInspector};
use super::progress::{ProgressMonitor, Watched};
use super::read::MANIFEST_TYPES;
use crate::image_name;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// How deep indexes may be nested.
const DEEP: usize = 4;

/// The images in an input.
#[derive(Default)]
pub struct Findings {
    /// The requested images.
    pub images: Vec<FoundImage>,
    /// Requested images for other platforms: names and platforms.
    pub others: Vec<(String, String)>,
    /// The names of images that were not requested.
    pub unwanted: BTreeSet<String>,
}

/// An image in an input.
pub struct FoundImage {
    /// The image.
    pub image: Image,
    /// The files of its blobs in the input.
    pub files: BTreeMap<Digest, String>,
}

/// A search for images in an input.
pub struct Search<'a> {
    /// The input.
    pub input: &'a Input,
    /// The architecture of the images.
    pub arch: &'a str,
    /// The full names of the requested images.
    pub wanted: &'a dyn Fn(&str) -> bool,
    /// The receiver of progress.
    pub progress: &'a dyn ProgressMonitor,
}

/// The state of a search.
struct Scan<'a> {
    search: &'a Search<'a>,
    findings: Findings,
    /// The examined layers by their files, because images share layers.
    layers: HashMap<String, (Blob, Compression, Digest)>,
}

impl Search<'_> {
    /// Finds all requested images. An index is read first. The list that `docker save` and containerd
    /// write for older readers can have further names.
    pub fn run(&self) -> Result<Findings> {
        let mut scan = Scan {
            search: self,
            findings: Findings::default(),
            layers: HashMap::new(),
        };
        let (index, list) = ("index.json", "manifest.json");
        let (has_index, has_list) = (self.input.has(index), self.input.has(list));
        ensure!(has_index || has_list, "not an archive of images");
        if has_index {
            scan.index(&self.json(index)?)?;
        }
        if has_list {
            scan.list(&self.json(list)?)?;
        }
        Ok(scan.findings)
    }

    fn json(&self, file: &str) -> Result<Value> {
        let bytes = self.input.json(file)?;
        serde_json::from_slice(&bytes).with_context(|| file.to_owned())
    }
}

impl Scan<'_> {
    fn index(&mut self, index: &Value) -> Result<()> {
        for entry in list_of(&index["manifests"]) {
            let annotation = |key: &str| entry["annotations"][key].as_str().map(image_name::full);
            let name = annotation(NAME).or_else(|| annotation(REF_NAME));
            if let Some(name) = name.filter(|name| self.is_wanted(name)) {
                let added = self.descriptor(&name, entry, 0);
                added.with_context(|| name.clone())?;
            }
        }
        Ok(())
    }

    fn is_wanted(&mut self, name: &str) -> bool {
        let wanted = (self.search.wanted)(name);
        if !wanted {
            self.findings.unwanted.insert(name.to_owned());
        }
        wanted
    }

    /// Adds the image or index to which an entry of an index refers.
    fn descriptor(&mut self, name: &str, entry: &Value, depth: usize) -> Result<()> {
        ensure!(depth < DEEP, "the image indexes are nested too deeply");
        let digest = entry["digest"].as_str().unwrap_or_default();
        let digest: Digest = digest.parse().map_err(anyhow::Error::msg)?;
        let bytes = self.search.input.json(&path(&digest))?;
        let same = Digest::of(&bytes) == digest;
        ensure!(same, "the manifest does not match its digest {digest}");
        let document: Value = serde_json::from_slice(&bytes)?;
        if document["manifests"].is_array() {
            if let Some(entry) = best(&document["manifests"], self.search.arch) {
                return self.descriptor(name, entry, depth + 1);
            }
            for entry in list_of(&document["manifests"]) {
                let word = |key| entry["platform"][key].as_str().unwrap_or("unknown");
                let platform = format!("{}/{}", word("os"), word("architecture"));
                self.findings.others.push((name.to_owned(), platform));
            }
            return Ok(());
        }
        let media_type = document["mediaType"].as_str();
        let media_type = media_type.or(entry["mediaType"].as_str());
        let media_type = media_type.unwrap_or(MANIFEST_TYPES[0]).to_owned();
        let known = MANIFEST_TYPES.contains(&media_type.as_str());
        ensure!(
            known,
            "the manifest has the unknown media type `{media_type}`"
        );
        let image = Image::new(
            name.to_owned(),
            self.search.arch.to_owned(),
            media_type,
            bytes,
        )?;
        let digests = image.blobs().map(|blob| blob.digest);
        let files = digests.map(|digest| (digest, path(&digest))).collect();
        self.add(image, files)
    }

    fn list(&mut self, list: &Value) -> Result<()> {
        for manifest in list_of(list) {
            for tag in list_of(&manifest["RepoTags"]) {
                let name = image_name::full(tag.as_str().unwrap_or_default());
                let mut found = self.findings.images.iter();
                let known = found.any(|found| found.image.name == name);
                if !known && self.is_wanted(&name) {
                    let added = self.docker(manifest, &name);
                    added.with_context(|| name.clone())?;
                }
            }
        }
        Ok(())
    }

    /// Adds an image of a Docker archive. These archives have no manifests, so the manifest is derived,
    /// and is always the same.
    fn docker(&mut self, manifest: &Value, name: &str) -> Result<()> {
        let file = manifest["Config"].as_str();
        let file = file.context("the manifest does not name an image configuration")?;
        let bytes = self.search.input.json(file)?;
        if self.is_for_another(name, &ImageConfig::read(&bytes)?) {
            return Ok(());
        }
        let config = blob_of(&bytes);
        let mut files = BTreeMap::from([(config.digest, file.to_owned())]);
        let mut layers = Vec::new();
        for file in list_of(&manifest["Layers"]) {
            let file = file.as_str().context("a layer has no file name")?;
            let (blob, compression, _) = self.examine(file)?;
            files.insert(blob.digest, file.to_owned());
            layers.push(descriptor(compression.media_type(), blob));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "config": descriptor(CONFIG, config),
            "layers": layers,
        });
        let (arch, media_type) = (self.search.arch.to_owned(), MANIFEST_TYPES[0].to_owned());
        let bytes = manifest.to_string().into_bytes();
        let image = Image::new(name.to_owned(), arch, media_type, bytes)?;
        self.add(image, files)
    }

    /// Adds an image if it is complete, is for the architecture, and has the layers of its configuration.
    fn add(&mut self, image: Image, files: BTreeMap<Digest, String>) -> Result<()> {
        let file = |blob: &Blob| {
            files
                .get(&blob.digest)
                .context("a blob has no matching file")
        };
        let bytes = self.search.input.json(file(&image.config)?)?;
        let same = blob_of(&bytes) == image.config;
        ensure!(same, "the image configuration does not match its digest");
        let config = ImageConfig::read(&bytes)?;
        if self.is_for_another(&image.name, &config) {
            return Ok(());
        }
        let count = config.layers().len();
        ensure!(
            count == image.layers.len(),
            "the number of layers differs from the image configuration"
        );
        for (layer, unpacked) in image.layers.iter().zip(config.layers()) {
            let digest = layer.blob.digest;
            let (blob, _, found) = self.examine(file(&layer.blob)?)?;
            ensure!(
                blob == layer.blob,
                "layer {digest} does not match its digest"
            );
            ensure!(
                found == *unpacked,
                "layer {digest} differs from the one in the image configuration"
            );
        }
        self.findings.images.push(FoundImage { image, files });
        Ok(())
    }

    fn is_for_another(&mut self, name: &str, config: &ImageConfig) -> bool {
        let another = !config.is_for(self.search.arch);
        if another {
            let other = (name.to_owned(), config.platform());
            self.findings.others.push(other);
        }
        another
    }

    fn examine(&mut self, file: &str) -> Result<(Blob, Compression, Digest)> {
        if let Some(known) = self.layers.get(file) {
            return Ok(*known);
        }
        let context = || format!("layer {file}");
        let (mut reader, size) = self.search.input.file(file).with_context(context)?;
        let place = self.search.input.path.display();
        self.search
            .progress
            .begin(&format!("reading {place}"), size);
        let mut watched = Watched::new(LayerInspector::new(size), self.search.progress);
        io::copy(&mut reader, &mut watched).with_context(context)?;
        let (digest, layer) = watched.finish();
        let (compression, unpacked) = layer.finish().with_context(context)?;
        let examined = (Blob { digest, size }, compression, unpacked);
        self.layers.insert(file.to_owned(), examined);
        Ok(examined)
    }
}

/// The entry of an index for Linux on an architecture. If there are several variants, the latest one,
/// because machines that run kubelet support it.
fn best<'a>(entries: &'a Value, arch: &str) -> Option<&'a Value> {
    let fits = |entry: &&Value| {
        let platform = &entry["platform"];
        let is = |key, wanted| platform[key].as_str().is_none_or(|found| found == wanted);
        is("os", "linux") && is("architecture", arch)
    };
    let variant = |entry: &&Value| {
        let platform = &entry["platform"];
        let variant = platform["variant"].as_str().unwrap_or_default();
        (platform.is_object(), variant.to_owned())
    };
    list_of(entries).filter(fits).max_by_key(variant)
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn descriptor(media_type: &str, blob: Blob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.size })
}

fn blob_of(bytes: &[u8]) -> Blob {
    Blob {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
