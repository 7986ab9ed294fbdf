//! Making bundles.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use nkd_bundle::{Digest, Image, Layout};

use super::Bundle;
use super::input::{self, Input};
use crate::diagnostics::{Code, Diagnostics};

/// How hard zstd tries: beyond this, image layers hardly get smaller.
const LEVEL: i32 = 9;

/// What to make.
pub struct Request<'a> {
    /// The full names of the images.
    pub names: &'a BTreeSet<&'a str>,
    /// What they are for.
    pub arch: &'a str,
    /// Archives, layouts, and directories of them.
    pub from: &'a [PathBuf],
    /// Whether skopeo fetches what isn't there.
    pub pull: bool,
    /// The file to make.
    pub out: &'a Path,
    /// Whether it is compressed.
    pub zstd: bool,
    /// The size of a part at most.
    pub split: Option<u64>,
}

/// Images and where their blobs are.
struct Gathered {
    inputs: Vec<Input>,
    images: BTreeMap<String, Image>,
    places: HashMap<Digest, (usize, String)>,
}

/// Makes a bundle, or several of a size. Nothing is written when an image is missing.
pub fn create(
    request: &Request<'_>,
    told: &mut dyn FnMut(&str),
    to: &mut Diagnostics,
) -> Result<Vec<Bundle>> {
    let scratch = tempfile::tempdir()?;
    let mut gathered = Gathered {
        inputs: Vec::new(),
        images: BTreeMap::new(),
        places: HashMap::new(),
    };
    match input::all(request.from) {
        Ok(inputs) => gathered.add(inputs, request, told, to),
        Err(error) => to.report_nowhere(Code::BundleInput, format!("{error:#}")),
    }
    let missing = |it: &Gathered| {
        let missing = request
            .names
            .iter()
            .filter(|name| !it.images.contains_key(**name));
        missing.map(|it| (*it).to_owned()).collect::<Vec<_>>()
    };
    if request.pull && to.is_empty() {
        for name in missing(&gathered) {
            told(&format!("fetching {name}"));
            let layout = fetch(&name, request.arch, scratch.path())?;
            gathered.add(input::all(&[layout])?, request, told, to);
        }
    }
    for name in missing(&gathered) {
        let message = format!("{name} is in none of the archives");
        to.report_nowhere(Code::BundleIncomplete, message);
    }
    let parts = parts(gathered.ordered(), request.split, to);
    if !to.is_empty() {
        return Ok(Vec::new());
    }
    let mut bundles = Vec::new();
    for (number, images) in parts.iter().enumerate() {
        let out = match parts.len() {
            1 => request.out.to_owned(),
            _ => numbered(request.out, number + 1),
        };
        gathered
            .write(images, &out, request.zstd, told)
            .with_context(|| format!("can't make {}", out.display()))?;
        let bundle = Bundle::read(&out).map_err(|error| anyhow!("{}: {error}", out.display()))?;
        bundles.push(bundle);
    }
    Ok(bundles)
}

impl Gathered {
    fn add(
        &mut self,
        inputs: Vec<Input>,
        request: &Request<'_>,
        told: &mut dyn FnMut(&str),
        to: &mut Diagnostics,
    ) {
        for input in inputs {
            let known = &self.images;
            let wanted = |name: &str| request.names.contains(name) && !known.contains_key(name);
            let place = input.path.display().to_string();
            let found = match input.images(request.arch, &wanted) {
                Ok(found) => found,
                Err(error) => {
                    to.report_nowhere(Code::BundleInput, format!("{place}: {error:#}"));
                    continue;
                }
            };
            let number = self.inputs.len();
            for found in found {
                told(&format!("found {} in {place}", found.image.name));
                for (digest, file) in found.files {
                    self.places.entry(digest).or_insert((number, file));
                }
                self.images
                    .entry(found.image.name.clone())
                    .or_insert(found.image);
            }
            self.inputs.push(input);
        }
    }

    /// The images, the largest first, so that a node has the most to do beside the rest; those
    /// that have blobs in common are next to each other.
    fn ordered(&self) -> Vec<Vec<Image>> {
        let size = |image: &Image| image.blobs().map(|it| it.size).sum::<u64>();
        let mut images: Vec<_> = self.images.values().cloned().collect();
        images.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
        nkd_bundle::connected(images)
    }

    fn write(
        &self,
        images: &[Image],
        out: &Path,
        compressed: bool,
        told: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let directory = out.parent().filter(|it| !it.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        let layout = Layout::of(images);
        told(&format!(
            "writing {}: {} MB",
            out.display(),
            layout.size() / 1_000_000
        ));
        let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
        if compressed {
            let mut encoder = zstd::Encoder::new(&mut writer, LEVEL)?;
            self.blobs(&layout, &mut encoder)?;
            encoder.finish()?;
        } else {
            self.blobs(&layout, &mut writer)?;
        }
        writer.flush()?;
        drop(writer);
        let file_mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(file_mode)?;
        file.as_file().sync_all()?;
        file.persist(out)?;
        Ok(())
    }

    fn blobs<W: Write>(&self, layout: &Layout, out: &mut W) -> Result<()> {
        let given = layout.write(out, |blob, out| {
            let place = self.places.get(&blob.digest);
            let place = place.and_then(|(input, file)| Some((self.inputs.get(*input)?, file)));
            let (input, file) = place.ok_or_else(|| io::Error::other("a blob has no file"))?;
            let copied = input.copy(file, out).map_err(io::Error::other)?;
            if copied == blob.size {
                return Ok(());
            }
            Err(io::Error::other(format!(
                "{} has changed",
                input.path.display()
            )))
        });
        Ok(given?)
    }
}

/// Divides images into parts of a size at most; a part is a bundle of its own.
fn parts(groups: Vec<Vec<Image>>, most: Option<u64>, to: &mut Diagnostics) -> Vec<Vec<Image>> {
    let images: Vec<_> = groups.into_iter().flatten().collect();
    let Some(most) = most else {
        return vec![images];
    };
    let mut parts: Vec<Vec<Image>> = Vec::new();
    for image in images {
        let size = Layout::of(std::slice::from_ref(&image)).size();
        if size > most {
            let message = format!("{} alone takes {size} bytes", image.name);
            to.report_nowhere(Code::BundleLarge, message);
        }
        let fits = |part: &&mut Vec<Image>| {
            let with: Vec<_> = part.iter().cloned().chain([image.clone()]).collect();
            Layout::of(&with).size() <= most
        };
        match parts.iter_mut().find(fits) {
            Some(part) => part.push(image),
            None => parts.push(vec![image]),
        }
    }
    parts
}

/// `bundle.tar` becomes `bundle-1.tar`.
fn numbered(out: &Path, number: usize) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, "tar"));
    out.with_file_name(format!("{stem}-{number}.{extension}"))
}

/// Has skopeo fetch an image into a layout, with whatever credentials it has itself.
fn fetch(name: &str, arch: &str, scratch: &Path) -> Result<PathBuf> {
    let layout = scratch.join(Digest::of(name.as_bytes()).hex());
    let status = Command::new("skopeo")
        .args([
            "copy",
            "--quiet",
            "--override-os",
            "linux",
            "--override-arch",
            arch,
        ])
        .arg(format!("docker://{name}"))
        .arg(format!("oci:{}:{name}", layout.display()))
        .stdin(std::process::Stdio::null())
        .stdout(File::options().write(true).open("/dev/null")?)
        .status();
    match status {
        Ok(status) if status.success() => Ok(layout),
        Ok(status) => bail!("skopeo can't fetch {name}: {status}"),
        Err(error) => Err(error).context("there is no skopeo to fetch images with"),
    }
}
