//! System extensions for machines whose image has neither Kubernetes nor the product.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use packages::sysext::Compression;
use packages::{Architecture, KubernetesExtension, Release, command};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::image::install;
use crate::{Cache, Kubernetes, Programs, node};

/// The image of an extension.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The file, whose name is that on nodes.
    pub file: PathBuf,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Extension {
    /// The extension of the agent, as its packages have it.
    pub fn of_agent(programs: &Programs, directory: &Path) -> Result<Self> {
        let file = directory.join("nkd.raw");
        programs.extension(&file)?;
        Self::at(file)
    }

    /// The extension of the Kubernetes under test, with Debian's CNI plugins.
    pub fn of_kubernetes(cache: &Cache, kubernetes: &Kubernetes, directory: &Path) -> Result<Self> {
        let programs = directory.join("kubernetes");
        install(kubernetes, &programs)?;
        // The stand-in for crictl runs it.
        let pull = programs.join("cri-pull");
        let file = directory.join("kubernetes.raw");
        let extension = KubernetesExtension {
            version: kubernetes.version().to_owned(),
            architecture: Architecture::X86_64,
            programs,
            cni_plugins: node::root(cache)?.join("usr/lib/cni"),
            others: pull.exists().then_some(pull).into_iter().collect(),
        };
        extension.build(&Release::with_changes()?, Compression::Fast, &file)?;
        Self::at(file)
    }

    /// A small extension with this extension-release file, or without one.
    pub fn with_release(release: Option<&str>, file: PathBuf) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let releases = directory.path().join("usr/lib/extension-release.d");
        fs::create_dir_all(&releases)?;
        if let Some(release) = release {
            fs::write(releases.join(format!("extension-release.{name}")), release)?;
        }
        let mut mksquashfs = Command::new("mksquashfs");
        let options = ["-noappend", "-no-progress", "-quiet"];
        command::check(mksquashfs.args([directory.path(), &*file]).args(options))?;
        Self::at(file)
    }

    /// An extension in a file that exists.
    pub fn at(file: PathBuf) -> Result<Self> {
        let sha256 = base16ct::lower::encode_string(&Sha256::digest(fs::read(&file)?));
        Ok(Self { file, sha256 })
    }

    /// An item of `os.extensions`, with its source: `disk` or `directory` and their values, or `url` and a server.
    pub fn item(&self, source: &str, place: &str) -> Value {
        let file = self.file.file_name().unwrap_or_default();
        let place = match source {
            "url" => format!("{place}/{}", file.to_string_lossy()),
            _ => place.to_owned(),
        };
        json!({ "file": self.file, "sha256": self.sha256, source: place })
    }
}
