//! Creates bundles.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nkd_bundle::{Digest, Image, Layout};
use tempfile::NamedTempFile;

use super::input::{self, Input};
use super::parts;
use super::progress::{ProgressMonitor, Watched};
use super::read::{file_name, read};
use super::search::{FoundImage, Search};
use crate::failure::Failure;
use nkd_document::{Code, Diagnostics};
use nkd_model::Bundle;

/// The compression level of zstd. With a higher level, image layers hardly get smaller.
const LEVEL: i32 = 9;

/// What to create.
pub struct Request<'a> {
    /// The full names of the images.
    pub names: &'a BTreeSet<&'a str>,
    /// The architecture of the images.
    pub arch: &'a str,
    /// Archives, layouts, and directories of these.
    pub from: &'a [PathBuf],
    /// Whether skopeo fetches missing images.
    pub pull: bool,
    /// The bundle to write.
    pub out: &'a Path,
    /// Whether the bundle is compressed.
    pub zstd: bool,
    /// The maximum size of a part, in bytes.
    pub split: Option<u64>,
    /// The receiver of progress.
    pub progress: &'a dyn ProgressMonitor,
}

/// The result.
pub struct Made {
    /// The bundle, or its parts.
    pub bundles: Vec<Bundle>,
    /// Files of an earlier bundle that do not belong to the new one.
    pub left_over: Vec<PathBuf>,
}

/// The images that were found, and the places of their blobs.
struct Gathered<'a> {
    request: &'a Request<'a>,
    inputs: Vec<Input>,
    /// The images by their names, each with the number of an input that has it.
    images: BTreeMap<String, (Image, usize)>,
    /// The places of images for other platforms.
    others: BTreeMap<String, BTreeSet<String>>,
    places: HashMap<Digest, (usize, String)>,
}

/// Creates a bundle, or several bundles of a maximum size.
///
/// # Errors
/// An image is missing or cannot be used, the user interrupts the command, or the bundle cannot
/// be written. In all these cases no bundle is written.
pub fn create(request: &Request<'_>, to: &mut Diagnostics) -> Result<Made, Failure> {
    file_name(request.out).map_err(|reason| {
        let message = format!("{}: {reason:#}", request.out.display());
        to.report_nowhere(Code::BundleUnusable, message)
    })?;
    // Fetched images are in it until they are in the bundle.
    let scratch = tempfile::tempdir()?;
    let mut gathered = Gathered {
        request,
        inputs: Vec::new(),
        images: BTreeMap::new(),
        others: BTreeMap::new(),
        places: HashMap::new(),
    };
    for path in request.from {
        gathered.look_in(path, to)?;
    }
    if request.pull && to.is_empty() {
        gathered.pull(scratch.path(), to)?;
    }
    if to.is_empty() {
        gathered.report_missing(to);
    }
    let parts = gathered.parts(to);
    to.as_result()?;
    Ok(gathered.write_all(&parts)?)
}

impl<'a> Gathered<'a> {
    /// Adds all inputs below a path. The only error is an interruption by the user.
    fn look_in(&mut self, path: &Path, to: &mut Diagnostics) -> Result<()> {
        // The bundle of an earlier run would hide newer archives.
        let left_out = |path: &Path| parts::is_one(self.request.out, path);
        let place = path.display();
        match input::below(path, &left_out) {
            Ok(paths) if paths.is_empty() && !self.request.pull => {
                let message = format!("{place}: the directory contains no archive");
                to.report_nowhere(Code::BundleInput, message);
                Ok(())
            }
            Ok(paths) => paths.iter().try_for_each(|path| self.input(path, to)),
            Err(error) => {
                to.report_nowhere(Code::BundleInput, format!("{place}: {error:#}"));
                Ok(())
            }
        }
    }

    fn input(&mut self, path: &Path, to: &mut Diagnostics) -> Result<()> {
        let request = self.request;
        let place = path.display();
        let found = Input::open(path).and_then(|input| {
            let search = Search {
                input: &input,
                arch: request.arch,
                wanted: &|name| request.names.contains(name),
                progress: request.progress,
            };
            let findings = search.run()?;
            Ok((input, findings))
        });
        request.progress.advance(0)?;
        let (input, findings) = match found {
            Ok(found) => found,
            Err(error) => {
                to.report_nowhere(Code::BundleInput, format!("{place}: {error:#}"));
                return Ok(());
            }
        };
        let number = self.inputs.len();
        self.inputs.push(input);
        if findings.images.is_empty() && findings.others.is_empty() {
            // Often a name without its registry.
            let names: Vec<_> = findings.unwanted.iter().map(String::as_str).collect();
            let names = names.join(", ");
            let line =
                format!("ignoring {place}, because the cluster needs none of its images: {names}");
            request.progress.say(&line);
        }
        for (name, platform) in findings.others {
            let others = self.others.entry(name).or_default();
            others.insert(format!("for {platform} in {place}"));
        }
        for found in findings.images {
            let name = &found.image.name;
            // Of what was fetched that was said.
            if request.from.iter().any(|given| path.starts_with(given)) {
                request.progress.say(&format!("found {name} in {place}"));
            }
            self.add(found, number, to);
        }
        Ok(())
    }

    fn add(
        &mut self,
        FoundImage { image, files }: FoundImage,
        number: usize,
        to: &mut Diagnostics,
    ) {
        let name = image.name.clone();
        let digest = image.manifest.digest;
        let named = name.split_once('@').map(|(_, digest)| digest);
        if named.is_some_and(|named| named != digest.to_string()) {
            let message = format!("{name} has the digest {digest} for {}", self.request.arch);
            let help = "use this digest in the image name; do not use the digest of the index for several architectures";
            to.report_with_help_nowhere(Code::BundleInput, message, help);
            return;
        }
        for (digest, file) in files {
            self.places.entry(digest).or_insert((number, file));
        }
        let Some((known, at)) = self.images.get(&name) else {
            self.images.insert(name, (image, number));
            return;
        };
        if known.config != image.config {
            let place = |number: usize| self.inputs[number].path.display();
            let message = format!(
                "{name} is not the same image in {} and in {}",
                place(number),
                place(*at)
            );
            to.report_with_help_nowhere(
                Code::BundleInput,
                message,
                "remove one of the two archives",
            );
        } else if rank(&image) < rank(known) {
            self.images.insert(name, (image, number));
        }
    }

    /// Fetches missing images. The only error is an interruption by the user, as in [`Self::look_in`].
    fn pull(&mut self, scratch: &Path, to: &mut Diagnostics) -> Result<()> {
        for name in self.missing() {
            self.request.progress.say(&format!("fetching {name}"));
            let fetched = fetch(name, self.request.arch, scratch);
            self.request.progress.advance(0)?;
            match fetched {
                Ok(layout) => self.look_in(&layout, to)?,
                Err(reason) => {
                    to.report_nowhere(Code::BundleFetch, format!("{reason:#}"));
                }
            }
        }
        Ok(())
    }

    /// The images of each bundle to write. Images that are too large for one are reported.
    fn parts(&self, to: &mut Diagnostics) -> Vec<Vec<Image>> {
        let images = self.ordered();
        let Some(most) = self.request.split else {
            return vec![images];
        };
        parts::divide(images, most).unwrap_or_else(|large| {
            for (name, size) in large {
                let message = format!("a bundle with only {name} has {size} bytes");
                to.report_nowhere(Code::BundleLarge, message);
            }
            Vec::new()
        })
    }

    fn missing(&self) -> Vec<&'a str> {
        let names = self.request.names.iter().copied();
        names
            .filter(|name| !self.images.contains_key(*name))
            .collect()
    }

    fn report_missing(&self, to: &mut Diagnostics) {
        for name in self.missing() {
            let message = match self.others.get(name) {
                Some(others) => {
                    let others: Vec<_> = others.iter().map(String::as_str).collect();
                    format!(
                        "{name} is only available {}, not for {}",
                        others.join(" and "),
                        self.request.arch
                    )
                }
                None => format!("no archive contains {name}"),
            };
            to.report_nowhere(Code::BundleIncomplete, message);
        }
    }

    /// The images, the largest first, so that a node can unpack it while it reads the others. Images that
    /// have blobs in common are next to each other.
    fn ordered(&self) -> Vec<Image> {
        let mut images: Vec<_> = self
            .images
            .values()
            .map(|(image, _)| image.clone())
            .collect();
        images.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
        nkd_bundle::connected(images)
            .into_iter()
            .flatten()
            .collect()
    }

    /// Writes all parts to temporary files, and then renames them.
    fn write_all(&self, parts: &[Vec<Image>]) -> Result<Made> {
        let out = self.request.out;
        let paths = parts::paths(out, parts.len());
        let drafts: Result<Vec<_>> = paths
            .iter()
            .zip(parts)
            .map(|(path, images)| {
                let draft = self.write(images, path);
                draft.with_context(|| format!("cannot write {}", path.display()))
            })
            .collect();
        for (draft, path) in drafts?.into_iter().zip(&paths) {
            let named = draft.persist(path);
            named.with_context(|| format!("cannot write {}", path.display()))?;
        }
        let bundles = paths.iter().map(|path| {
            let bundle = read(path);
            bundle.with_context(|| path.display().to_string())
        });
        Ok(Made {
            bundles: bundles.collect::<Result<_>>()?,
            left_over: parts::left_over(out, &paths),
        })
    }

    fn write(&self, images: &[Image], path: &Path) -> Result<NamedTempFile> {
        let layout = Layout::of(images);
        let what = format!("writing {}", path.display());
        self.request.progress.begin(&what, layout.size());
        let mut file = tempfile::Builder::new()
            .prefix(".nkd-bundle-")
            .tempfile_in(parts::directory(path))?;
        let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
        if self.request.zstd {
            let mut encoder = zstd::Encoder::new(&mut writer, LEVEL)?;
            self.blobs(&layout, &mut encoder)?;
            encoder.finish()?;
        } else {
            self.blobs(&layout, &mut writer)?;
        }
        writer.flush()?;
        drop(writer);
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn blobs<W: Write>(&self, layout: &Layout, out: &mut W) -> io::Result<()> {
        layout.write(out, |blob, out| {
            let place = self.places.get(&blob.digest);
            let place = place.and_then(|(input, file)| Some((self.inputs.get(*input)?, file)));
            let (input, file) =
                place.ok_or_else(|| io::Error::other("a blob has no matching file"))?;
            let (mut file, _) = input.file(file).map_err(io::Error::other)?;
            let mut watched = Watched::new(out, self.request.progress);
            let copied = io::copy(&mut file, &mut watched)?;
            if copied == blob.size && watched.finish().0 == blob.digest {
                return Ok(());
            }
            let message = format!("{} changed while it was read", input.path.display());
            Err(io::Error::other(message))
        })
    }
}

fn size(image: &Image) -> u64 {
    image.blobs().map(|blob| blob.size).sum()
}

/// The rank of an image among archives of the same image: the smaller one is used, whatever their order.
fn rank(image: &Image) -> (u64, Digest) {
    (size(image), image.manifest.digest)
}

/// Runs skopeo to fetch an image into a layout. skopeo uses its own credentials.
fn fetch(name: &str, arch: &str, scratch: &Path) -> Result<PathBuf> {
    let layout = scratch.join(Digest::of(name.as_bytes()).hex());
    let output = Command::new("skopeo")
        .args(["copy", "--override-os", "linux", "--override-arch", arch])
        .arg(format!("docker://{name}"))
        .arg(format!("oci:{}:{name}", layout.display()))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(layout),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("skopeo failed to fetch {name}: {}", words.trim())
        }
        Err(error) => Err(error).context("cannot run skopeo"),
    }
}
