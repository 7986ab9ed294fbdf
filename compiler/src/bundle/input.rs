//! What bundles are made from: archives as skopeo, docker and podman write them, and image layouts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nkd_bundle::{Blob, Digest, Hasher, Image, JSON_LIMIT, NAME};
use serde_json::{Value, json};

use super::layer::Layer;
use crate::images::name;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// How deep indexes may be in indexes.
const DEEP: usize = 4;

/// An archive or a layout: files by their names in it.
pub struct Input {
    /// Where it is, for a person.
    pub path: PathBuf,
    /// What the archive's names are in it; a layout's files are where they are.
    tar: Option<(File, Names)>,
}

/// Where a tar has its files: first byte and size.
type Names = BTreeMap<String, (u64, u64)>;

/// An image in an input.
pub struct Found {
    /// The image.
    pub image: Image,
    /// Where its blobs are in the input.
    pub files: BTreeMap<Digest, String>,
}

/// Every input below paths: a directory without a layout of its own is looked through.
pub fn all(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        let context = || format!("{}", path.display());
        if !path.is_dir() || path.join("oci-layout").exists() {
            inputs.push(Input::open(path).with_context(context)?);
            continue;
        }
        let entries = fs::read_dir(path).with_context(context)?;
        let entries: Result<Vec<_>, _> = entries.map(|it| it.map(|it| it.path())).collect();
        let mut entries = entries.with_context(context)?;
        entries.sort();
        for entry in entries {
            let is_archive = entry
                .extension()
                .is_some_and(|it| it == "tar" || it == "oci");
            if is_archive || entry.join("oci-layout").exists() {
                inputs.push(Input::open(&entry).with_context(|| entry.display().to_string())?);
            }
        }
    }
    Ok(inputs)
}

impl Input {
    fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self {
                path: path.to_owned(),
                tar: None,
            });
        }
        let mut file = crate::input::open(path)?;
        let mut magic = [0; 4];
        let read = file.read(&mut magic)?;
        file.rewind()?;
        ensure!(
            !magic.starts_with(&[0x1f, 0x8b]) && magic[..read] != nkd_bundle::ZSTD_MAGIC,
            "it is compressed: unpack it first"
        );
        let files = names(&file).context("it is not a whole tar")?;
        Ok(Self {
            path: path.to_owned(),
            tar: Some((file, files)),
        })
    }

    /// Copies a file of it.
    pub fn copy(&self, name: &str, to: &mut impl Write) -> Result<u64> {
        let Some((file, names)) = &self.tar else {
            let mut file = crate::input::open(&self.path.join(name))
                .with_context(|| format!("{name} in {}", self.path.display()))?;
            return Ok(io::copy(&mut file, to)?);
        };
        let Some((at, size)) = names.get(name) else {
            bail!("there is no {name} in {}", self.path.display());
        };
        let mut file = file;
        file.seek(SeekFrom::Start(*at))?;
        Ok(io::copy(&mut file.take(*size), to)?)
    }

    fn has(&self, name: &str) -> bool {
        match &self.tar {
            Some((_, names)) => names.contains_key(name),
            None => self.path.join(name).is_file(),
        }
    }

    fn size(&self, name: &str) -> Result<u64> {
        match &self.tar {
            Some((_, names)) => {
                let found = names.get(name);
                found
                    .map(|it| it.1)
                    .with_context(|| format!("there is no {name}"))
            }
            None => Ok(fs::metadata(self.path.join(name))
                .with_context(|| name.to_owned())?
                .len()),
        }
    }

    fn json(&self, name: &str) -> Result<Vec<u8>> {
        ensure!(self.size(name)? <= JSON_LIMIT, "{name} is too large");
        let mut bytes = Vec::new();
        self.copy(name, &mut bytes)?;
        Ok(bytes)
    }

    /// Its images of an architecture that are wanted. Each is seen to be whole.
    pub fn images(&self, arch: &str, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Found>> {
        if self.has("index.json") {
            let index: Value = serde_json::from_slice(&self.json("index.json")?)?;
            return self.of_index(&index, arch, wanted, None, 0);
        }
        ensure!(self.has("manifest.json"), "it is no archive of images");
        let manifests: Vec<Value> = serde_json::from_slice(&self.json("manifest.json")?)?;
        let mut found = Vec::new();
        for manifest in &manifests {
            let tags = manifest["RepoTags"].as_array().into_iter().flatten();
            for tag in tags
                .filter_map(Value::as_str)
                .map(name::full)
                .filter(|it| wanted(it))
            {
                let image = self.of_docker(manifest, &tag, arch);
                found.push(image.with_context(|| tag.clone())?);
            }
        }
        Ok(found)
    }

    fn of_index(
        &self,
        index: &Value,
        arch: &str,
        wanted: &dyn Fn(&str) -> bool,
        outer: Option<&str>,
        depth: usize,
    ) -> Result<Vec<Found>> {
        ensure!(depth < DEEP, "its indexes are too deep");
        let mut found = Vec::new();
        for entry in index["manifests"].as_array().into_iter().flatten() {
            let annotation = |key: &str| entry["annotations"][key].as_str().map(name::full);
            let name = annotation(NAME).or_else(|| annotation(REF_NAME));
            let Some(name) = name.or_else(|| outer.map(str::to_owned)) else {
                continue;
            };
            let platform = entry["platform"]["architecture"].as_str();
            if !wanted(&name) || platform.is_some_and(|it| it != arch && outer.is_some()) {
                continue;
            }
            let digest = entry["digest"].as_str().unwrap_or_default();
            let digest: Digest = digest.parse().map_err(anyhow::Error::msg)?;
            let bytes = self.json(&path(&digest)).with_context(|| name.clone())?;
            ensure!(
                Digest::of(&bytes) == digest,
                "{name}: its manifest has other bytes than {digest}"
            );
            let document: Value = serde_json::from_slice(&bytes)?;
            if document["manifests"].is_array() {
                found.extend(self.of_index(&document, arch, wanted, Some(&name), depth + 1)?);
                continue;
            }
            let media_type = document["mediaType"]
                .as_str()
                .or(entry["mediaType"].as_str());
            let media_type = media_type.unwrap_or(MANIFEST).to_owned();
            let image = Image::new(name.clone(), arch.to_owned(), media_type, bytes)
                .with_context(|| name.clone())?;
            let files = image
                .blobs()
                .map(|it| (it.digest, path(&it.digest)))
                .collect();
            self.check(&image, &files, arch)
                .with_context(|| name.clone())?;
            found.push(Found { image, files });
        }
        Ok(found)
    }

    /// Docker's archives have no manifests; theirs is made here, and always the same.
    fn of_docker(&self, manifest: &Value, name: &str, arch: &str) -> Result<Found> {
        let config_file = manifest["Config"]
            .as_str()
            .context("it names no configuration")?;
        let mut files = BTreeMap::new();
        let config = self.json(config_file)?;
        let config_blob = blob_of(&config);
        files.insert(config_blob.digest, config_file.to_owned());
        let mut layers = Vec::new();
        for file in manifest["Layers"].as_array().into_iter().flatten() {
            let file = file.as_str().context("a layer has no name")?;
            let (blob, compression, _) = self.examine(file)?;
            files.insert(blob.digest, file.to_owned());
            layers.push(json!({
                "mediaType": compression.media_type(),
                "digest": blob.digest,
                "size": blob.size,
            }));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": config_blob.digest,
                "size": config_blob.size,
            },
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        let image = Image::new(name.to_owned(), arch.to_owned(), MANIFEST.to_owned(), bytes)?;
        self.check(&image, &files, arch)?;
        Ok(Found { image, files })
    }

    /// Sees that an image is whole, for the architecture, and made of the layers that its
    /// configuration says.
    fn check(&self, image: &Image, files: &BTreeMap<Digest, String>, arch: &str) -> Result<()> {
        let file = |blob: &Blob| files.get(&blob.digest).context("a blob has no file");
        let bytes = self.json(file(&image.config)?)?;
        ensure!(
            blob_of(&bytes) == image.config,
            "its configuration has other bytes than its digest says"
        );
        let unpacked = diff_ids(&bytes, arch)?;
        ensure!(
            unpacked.len() == image.layers.len(),
            "it has more or fewer layers than its configuration"
        );
        for (layer, unpacked) in image.layers.iter().zip(unpacked) {
            let (blob, _, found) = self.examine(file(&layer.blob)?)?;
            let digest = layer.blob.digest;
            ensure!(
                blob == layer.blob,
                "the layer {digest} has other bytes than its digest says"
            );
            ensure!(
                found == unpacked,
                "the layer {digest} is not the one of its configuration"
            );
        }
        Ok(())
    }

    fn examine(&self, file: &str) -> Result<(Blob, super::layer::Compression, Digest)> {
        let size = self.size(file)?;
        let mut examined = Examined {
            hasher: Hasher::default(),
            layer: Layer::new(size),
        };
        self.copy(file, &mut examined)
            .with_context(|| format!("the layer {file}"))?;
        let digest = examined.hasher.finish();
        let (compression, unpacked) = examined.layer.finish()?;
        Ok((Blob { digest, size }, compression, unpacked))
    }
}

struct Examined {
    hasher: Hasher,
    layer: Layer,
}

impl Write for Examined {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.layer.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

/// The digests of an image's unpacked layers, by its configuration.
pub fn diff_ids(config: &[u8], arch: &str) -> Result<Vec<Digest>> {
    let config: Value = serde_json::from_slice(config)?;
    let found = config["architecture"].as_str().unwrap_or_default();
    ensure!(found == arch, "it is for {found:?}, not for {arch}");
    let unpacked = config["rootfs"]["diff_ids"]
        .as_array()
        .into_iter()
        .flatten();
    let unpacked = unpacked.map(|it| it.as_str().unwrap_or_default().parse());
    unpacked
        .collect::<Result<_, String>>()
        .map_err(anyhow::Error::msg)
}

/// Where each file of a tar is. Names are only looked up, never made files of.
fn names(file: &File) -> Result<Names> {
    let mut names = BTreeMap::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = normal(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            names.insert(path, (entry.raw_file_position(), entry.size()));
        } else if let Some(target) = entry.link_name()? {
            // `docker save` links layers that images share.
            let below = Path::new(&path)
                .parent()
                .unwrap_or(Path::new(""))
                .join(&target);
            let target = if kind.is_hard_link() {
                normal(&target)
            } else {
                normal(&below)
            };
            links.push((path, target));
        }
    }
    for (path, target) in links {
        if let Some(place) = names.get(&target).copied() {
            names.entry(path).or_insert(place);
        }
    }
    let end = names
        .values()
        .map(|(at, size)| at.saturating_add(*size))
        .max()
        .unwrap_or(0);
    ensure!(end <= file.metadata()?.len(), "it ends in the middle");
    Ok(names)
}

fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.join("/")
}
