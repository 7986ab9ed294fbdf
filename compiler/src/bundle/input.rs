//! The inputs of bundles: archives from skopeo, docker, podman and containerd, and OCI image layouts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nkd_bundle::JSON_LIMIT;

/// An archive or a layout, as a set of named files.
pub struct Input {
    /// The path, for messages.
    pub path: PathBuf,
    files: Files,
}

enum Files {
    Tar(File, TarIndex),
    /// A directory, by its path with all links resolved.
    Directory(PathBuf),
}

/// The position of each file in a tar: first byte and size.
type TarIndex = BTreeMap<String, (u64, u64)>;

/// The paths of inputs below a path. A directory that is not a layout is searched, except for the paths
/// to leave out.
pub fn below(path: &Path, left_out: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    if !path.is_dir() || path.join("oci-layout").exists() {
        return Ok(vec![path.to_owned()]);
    }
    let mut inputs = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let suffixes = [".tar", ".oci", ".tgz", ".tar.gz", ".tar.zst"];
        let is_archive = suffixes.iter().any(|suffix| name.ends_with(suffix));
        if (is_archive || entry.join("oci-layout").exists()) && !left_out(&entry) {
            inputs.push(entry);
        }
    }
    inputs.sort();
    Ok(inputs)
}

impl Input {
    /// Opens an input.
    pub fn open(path: &Path) -> Result<Self> {
        let files = if path.is_dir() {
            Files::Directory(path.canonicalize()?)
        } else {
            let mut file = nkd_document::input::open(path)?;
            let mut magic = Vec::new();
            (&mut file).take(4).read_to_end(&mut magic)?;
            file.rewind()?;
            let compressed = magic.starts_with(&[0x1f, 0x8b]) || magic == nkd_bundle::ZSTD_MAGIC;
            ensure!(!compressed, "the file is compressed; decompress it first");
            let names = tar_index(&file).context("the tar archive is incomplete")?;
            Files::Tar(file, names)
        };
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    /// Whether the input contains a file.
    pub fn has(&self, name: &str) -> bool {
        self.file(name).is_ok()
    }

    /// A file and its size. No file outside of the input is ever opened, whatever the name is.
    pub fn file(&self, name: &str) -> Result<(Box<dyn Read + '_>, u64)> {
        match &self.files {
            Files::Tar(file, names) => {
                let found = names.get(&normal(Path::new(name)));
                let (at, size) = *found.with_context(|| format!("`{name}` is missing"))?;
                let mut file = file;
                file.seek(SeekFrom::Start(at))?;
                Ok((Box::new(file.take(size)), size))
            }
            Files::Directory(root) => {
                let path = root.join(name);
                let path = path.canonicalize().with_context(|| name.to_owned())?;
                ensure!(path.starts_with(root), "`{name}` is outside the directory");
                let file = nkd_document::input::open(&path).with_context(|| name.to_owned())?;
                let size = file.metadata()?.len();
                Ok((Box::new(file), size))
            }
        }
    }

    /// The content of a JSON file.
    pub fn json(&self, name: &str) -> Result<Vec<u8>> {
        let (file, size) = self.file(name)?;
        ensure!(size <= JSON_LIMIT, "`{name}` is too large");
        let mut bytes = Vec::new();
        file.take(JSON_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The position of each file in a tar. The names are only used to find files, and never to create them.
fn tar_index(file: &File) -> Result<TarIndex> {
    let mut names = BTreeMap::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(file);
    let mut end = 0;
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = normal(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let (at, size) = (entry.raw_file_position(), entry.size());
            end = end.max(at.saturating_add(size));
            names.insert(path, (at, size));
        } else if let Some(target) = entry.link_name()? {
            // `docker save` links layers that images share.
            let target = if kind.is_hard_link() {
                normal(&target)
            } else {
                let directory = Path::new(&path).parent().unwrap_or(Path::new(""));
                normal(&directory.join(&target))
            };
            links.push((path, target));
        }
    }
    ensure!(end <= file.metadata()?.len(), "the archive is truncated");
    for (path, target) in links {
        if let Some(place) = names.get(&target).copied() {
            names.entry(path).or_insert(place);
        }
    }
    Ok(names)
}

/// A path that cannot lead out of the top directory of an archive.
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
