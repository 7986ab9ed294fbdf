//! The Kubernetes release under test: its programs and its images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, Recipe};
use crate::node;
use packages::command;

/// The environment variable with the directory of a release to test instead of the built-in one.
pub const DIRECTORY: &str = "NKD_TESTBED_KUBERNETES";

/// The release Debian's archive has the complete source of.
const BUILT_IN: &str = "1.20.2";

/// A Kubernetes release.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    version: String,
    binaries: PathBuf,
    images: Vec<PathBuf>,
    names: Vec<String>,
}

impl Kubernetes {
    /// The release in the directory that [`DIRECTORY`] names, else the built-in one.
    pub fn chosen(cache: &Cache) -> Result<Self> {
        match std::env::var_os(DIRECTORY) {
            Some(directory) => Self::from_directory(Path::new(&directory)),
            None => Self::built_in(cache),
        }
    }

    /// Kubernetes 1.20.2, built from Debian's source package when it isn't in the cache yet.
    pub fn built_in(cache: &Cache) -> Result<Self> {
        let programs = cache.entry(&Recipe {
            name: "kubernetes",
            script: include_str!("../recipes/kubernetes.sh"),
            variables: &[("KUBERNETES_VERSION", BUILT_IN)],
            files: &[(
                "cri-pull.go",
                include_str!("../recipes/standins/cri-pull.go"),
            )],
            ..Recipe::default()
        })?;
        let node = node::root(cache)?;
        let images = cache.entry(&Recipe {
            name: "images",
            script: include_str!("../recipes/images.sh"),
            inputs: &[("BINARIES", &programs.join("bin")), ("NODE_ROOT", &node)],
            files: &[
                ("pause.c", include_str!("../recipes/standins/pause.c")),
                ("coredns.c", include_str!("../recipes/standins/coredns.c")),
            ],
            ..Recipe::default()
        })?;
        Self::new(&programs.join("bin"), &images.join("images"))
    }

    /// A release from a directory of the user's: programs (kubeadm, kubelet, kubectl, crictl) in
    /// `bin/`, image archives as `images/*.tar`.
    pub fn from_directory(directory: &Path) -> Result<Self> {
        Self::new(&directory.join("bin"), &directory.join("images"))
    }

    fn new(binaries: &Path, images: &Path) -> Result<Self> {
        let kubeadm = binaries.join("kubeadm");
        let kubeadm = |words: &[&str]| command::run(&kubeadm.to_string_lossy(), words);
        let version = kubeadm(&["version", "-o", "short"])?.trim().to_owned();
        let list = ["config", "images", "list", "--kubernetes-version", &version];
        let names = kubeadm(&list)?;
        let images = files(images)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "tar"))
            .collect::<Vec<_>>();
        ensure!(
            !images.is_empty(),
            "there are no image archives for Kubernetes {version}"
        );
        Ok(Self {
            version,
            binaries: binaries.to_owned(),
            images,
            names: names.lines().map(str::to_owned).collect(),
        })
    }

    /// Its version with a `v`, as kubeadm says it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The programs that nodes have in `/usr/bin`. The control plane's own are in the images.
    pub fn binaries(&self) -> Result<Vec<PathBuf>> {
        let in_images = [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
        ];
        let mut programs = files(&self.binaries)?;
        programs.retain(|path| !in_images.iter().any(|name| path.ends_with(name)));
        Ok(programs)
    }

    /// The host's directory of its programs.
    pub(crate) fn directory(&self) -> &Path {
        &self.binaries
    }

    /// The host's path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The name of one of its images, by the last part of its repository, such as `pause`.
    pub fn image(&self, component: &str) -> Result<String> {
        let mut names = self.names.iter();
        let end = format!("/{component}:");
        let name = names.find(|name| name.contains(&end));
        let version = &self.version;
        name.cloned()
            .with_context(|| format!("Kubernetes {version} has no image {component}"))
    }

    /// The names of its images, as its kubeadm lists them.
    pub fn image_names(&self) -> &[String] {
        &self.names
    }

    /// The host whose images these are, such as `registry.k8s.io`.
    pub fn registry(&self) -> Result<String> {
        let name = self.image("pause")?;
        let (host, _) = name.split_once('/').context("an image without a host")?;
        Ok(host.to_owned())
    }

    /// The `apiVersion` that its kubeadm writes.
    pub fn kubeadm_api(&self) -> Result<String> {
        let kubeadm = self.program("kubeadm");
        let words = ["config", "print", "init-defaults"];
        let defaults = command::run(&kubeadm.to_string_lossy(), words)?;
        let mut lines = defaults.lines();
        let api = lines.find_map(|line| line.strip_prefix("apiVersion: "));
        Ok(api.context("kubeadm prints no apiVersion")?.to_owned())
    }

    /// Docker or OCI archives of the images.
    pub fn image_archives(&self) -> &[PathBuf] {
        &self.images
    }
}

/// The files in a directory, in order.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(|| format!("can't read {}", directory.display()))?;
    files.sort();
    Ok(files)
}
