//! Images, made here: layers are real archives, and as small as can be.
#![allow(dead_code)] // Not every test uses all of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nkd::bundle::create::{Made, Request, create};
use nkd::bundle::{ProgressMonitor, verify};
use nkd::failure::Failure;
use nkd_bundle::Digest;
use nkd_document::Diagnostics;
use serde_json::{Value, json};

/// An image.
#[derive(Clone)]
pub struct Image {
    pub name: String,
    pub os: &'static str,
    pub arch: String,
    /// The layers, uncompressed.
    pub layers: Vec<Vec<u8>>,
}

/// A layer with a file of this text.
pub fn layer(text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, "file", text.as_bytes());
    builder.into_inner().unwrap()
}

/// Adds a file to an archive.
pub fn add(to: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    // Not `set_path`, which refuses what no archive should have.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    to.append(&header, bytes).unwrap();
}

/// An image of two layers: one that all have, and one of its own.
pub fn image(name: &str) -> Image {
    Image {
        name: name.to_owned(),
        os: "linux",
        arch: "amd64".to_owned(),
        layers: vec![layer("for all"), layer(name)],
    }
}

impl Image {
    pub fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "architecture": self.arch,
            "os": self.os,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        config.to_string().into_bytes()
    }
}

/// gzip's bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image layout in a directory.
pub struct Layout {
    pub path: PathBuf,
    pub index: Vec<Value>,
}

impl Layout {
    /// An empty one.
    pub fn new(path: &Path) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self {
            path: path.to_owned(),
            index: Vec::new(),
        }
    }

    /// One of images, by their names.
    pub fn of(path: &Path, images: &[Image]) -> Self {
        let mut layout = Self::new(path);
        for image in images {
            let manifest = layout.image(image);
            layout.name(manifest, &image.name);
        }
        layout
    }

    pub fn blob_path(&self, digest: &Value) -> PathBuf {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.path.join("blobs/sha256").join(hex)
    }

    /// Adds a blob; its descriptor.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        let kind = format!("application/vnd.oci.image.{media_type}");
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    /// Adds an image without a name; its manifest's descriptor.
    pub fn image(&self, image: &Image) -> Value {
        let layers = image.layers.iter();
        let layers = layers.map(|layer| self.blob("layer.v1.tar+gzip", &gzip(layer)));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob("config.v1+json", &image.config()),
            "layers": layers.collect::<Vec<_>>(),
        });
        self.blob("manifest.v1+json", manifest.to_string().as_bytes())
    }

    /// Gives a descriptor a name.
    pub fn name(&mut self, mut descriptor: Value, name: &str) {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.index.push(descriptor);
        self.write();
    }

    pub fn write(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.index});
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// The same as an archive, with this `manifest.json` too if there is one.
    pub fn archive(&self, to: &Path, list: Option<&Value>) {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_dir_all(".", &self.path).unwrap();
        if let Some(list) = list {
            add(&mut builder, "manifest.json", list.to_string().as_bytes());
        }
        fs::write(to, builder.into_inner().unwrap()).unwrap();
    }
}

/// An archive as docker writes it, with these names of files in it.
pub fn docker_archive(to: &Path, image: &Image, config: &str, layers: &[&str]) {
    let list = json!([{"Config": config, "RepoTags": [image.name], "Layers": layers}]);
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, config, &image.config());
    for (layer, name) in image.layers.iter().zip(layers) {
        add(&mut builder, name, layer);
    }
    add(&mut builder, "manifest.json", list.to_string().as_bytes());
    fs::write(to, builder.into_inner().unwrap()).unwrap();
}

/// Has skopeo copy an image.
pub fn skopeo(from: &str, to: &str) {
    let insecure = "--dest-tls-verify=false";
    let arguments = ["--insecure-policy", "copy", "--quiet", insecure, from, to];
    let run = super::program("/usr/bin/skopeo", "skopeo", &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

/// What skopeo says of an image.
pub fn inspect(image: &str) -> Value {
    let arguments = ["--insecure-policy", "inspect", image];
    let run = super::program("/usr/bin/skopeo", "skopeo", &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// A directory with a cluster of a control plane and a worker.
pub struct Site {
    pub directory: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more lines below `spec`.
    pub fn with(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let site = Self { directory };
        site.cluster("v1.31.2", more);
        site
    }

    pub fn cluster(&self, version: &str, more: &str) {
        let text = format!(
            "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
             kubernetes: {{version: {version}}}\n{more}  nodes:\n    \
             - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n    \
             - {{name: w1, role: worker, address: 10.200.0.12}}\n"
        );
        fs::write(self.path("cluster.yaml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Names of all files beside the cluster file.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "cluster.yaml").collect();
        names.sort();
        names
    }

    pub fn nkd(&self, arguments: &[&str]) -> super::Run {
        super::nkd(self.directory.path(), arguments)
    }

    /// All images of the cluster.
    pub fn images(&self) -> Vec<Image> {
        let run = self.nkd(&["images", "cluster.yaml"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout.lines().map(image).collect()
    }

    /// Makes a bundle, which must succeed.
    pub fn create(&self, arguments: &[&str]) -> super::Run {
        let run = self.nkd(&[&["bundle", "create", "cluster.yaml"], arguments].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run
    }

    /// Doesn't make one, and leaves nothing.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let before = self.files();
        let run = self.nkd(&[&["bundle", "create", "cluster.yaml"], arguments].concat());
        assert_eq!(run.status, Some(3), "{}{}", run.stdout, run.stderr);
        assert_eq!(self.files(), before);
        run.stderr
    }

    /// The names in a bundle, in its order.
    pub fn listed(&self, bundle: &str) -> Vec<String> {
        let run = self.nkd(&["bundle", "list", bundle, "--format", "json"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        let images = json["bundles"][0]["images"].as_array().unwrap();
        let names = images
            .iter()
            .map(|image| image["name"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

/// The names of images, sorted.
pub fn names(images: &[Image]) -> Vec<String> {
    let mut names: Vec<_> = images.iter().map(|image| image.name.clone()).collect();
    names.sort();
    names
}

/// Runs `nkd` with another variable in its environment.
pub fn nkd_with(directory: &Path, name: &str, value: &str, arguments: &[&str]) -> super::Run {
    super::run(
        Command::new(env!("CARGO_BIN_EXE_nkd"))
            .args(arguments)
            .current_dir(directory)
            .env(name, value),
    )
}

/// A bundle of images of these names for an architecture, whose bytes never change.
pub fn tiny_bundle(names: &[&str], arch: &str) -> Vec<u8> {
    let mut blobs = std::collections::BTreeMap::new();
    let mut keep = |kind: &str, bytes: Vec<u8>| {
        let digest = Digest::of(&bytes);
        let descriptor = json!({"mediaType": kind, "digest": digest, "size": bytes.len()});
        blobs.insert(digest, bytes);
        descriptor
    };
    let images = names.iter().map(|name| {
        let image = Image {
            arch: arch.to_owned(),
            ..image(name.split('@').next().unwrap())
        };
        let config = keep("application/vnd.oci.image.config.v1+json", image.config());
        let layers = image.layers.iter();
        let layers =
            layers.map(|layer| keep("application/vnd.oci.image.layer.v1.tar", layer.clone()));
        let layers: Vec<_> = layers.collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        nkd_bundle::Image::new(
            (*name).to_owned(),
            arch.to_owned(),
            "application/vnd.oci.image.manifest.v1+json".to_owned(),
            manifest.to_string().into_bytes(),
        )
    });
    let images: Vec<_> = images.collect::<Result<_, _>>().unwrap();
    let mut bytes = Vec::new();
    let layout = nkd_bundle::Layout::of(&images);
    let written = layout.write(&mut bytes, |blob, out| out.write_all(&blobs[&blob.digest]));
    written.unwrap();
    bytes
}

/// The image that the tests of single archives and bundles are about.
pub const NAME: &str = "example.org/a:1";

/// What is made of inputs that shall have one image, or the diagnostics.
pub fn made(
    from: &[PathBuf],
    out: &Path,
    progress: &dyn ProgressMonitor,
) -> anyhow::Result<Result<Made, String>> {
    let request = Request {
        names: &BTreeSet::from([NAME]),
        arch: "amd64",
        from,
        pull: false,
        out,
        zstd: false,
        split: None,
        progress,
    };
    let mut diagnostics = Diagnostics::new();
    match create(&request, &mut diagnostics) {
        Ok(made) => Ok(Ok(made)),
        Err(Failure::Input(_)) => Ok(Err(diagnostics.to_string())),
        Err(Failure::Nkd(error)) => Err(error),
    }
}

/// A good bundle.
pub fn bundle(directory: &Path) -> PathBuf {
    let layout = directory.join("layout");
    Layout::of(&layout, &[image(NAME)]);
    let out = directory.join("bundle.tar");
    made(&[layout], &out, &()).unwrap().unwrap();
    out
}

/// What is wrong with a bundle.
pub fn verdict(path: &Path) -> Result<(), String> {
    let verified = verify::verify(path, &());
    verified.map(drop).map_err(|error| format!("{error:#}"))
}
