//! The OS image under test: a node's system, Kubernetes, and the product.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::stat::{Mode, SFlag, mknod};

use crate::cache::Cache;
use crate::containerd::ContainerdSeries;
use crate::disk::FileSystem;
use crate::kubernetes::Kubernetes;
use crate::node;
use crate::programs::Programs;
use crate::teardown::Scope;
use packages::command;

/// An OS image, as overlayfs layers.
#[derive(Debug, Clone)]
pub struct OsImage {
    layer: Arc<Scope>,
    containerd: Option<PathBuf>,
    node: PathBuf,
    file_system: FileSystem,
}

impl OsImage {
    /// Where the image keeps the archives of Kubernetes' images: a cluster's `airgap.images`.
    pub const ARCHIVES: &str = "/usr/share/nkd/images";

    /// The image that the product is used with.
    pub fn build(cache: &Cache, kubernetes: &Kubernetes, programs: &Programs) -> Result<Self> {
        let image = Self::without_product(cache, kubernetes)?;
        let layer = image.layer.directory();
        let tree = [&programs.agent_tree().join("."), &layer.join("root")];
        command::run(
            "cp",
            ["--recursive", "--no-dereference", "--preserve=mode,links"]
                .iter()
                .map(AsRef::as_ref)
                .chain(tree.map(|path| path.as_os_str())),
        )?;
        image.update_catalog()?;
        Ok(image)
    }

    /// Compiles the journal's message catalog, as building an image does.
    fn update_catalog(&self) -> Result<()> {
        let whole = self.layer.directory().join("catalog");
        let sources = whole.join("usr/lib/systemd");
        fs::create_dir_all(&sources)?;
        for layer in self.layers().iter().rev() {
            let catalogs = layer.join("usr/lib/systemd/catalog");
            command::run("cp", [Path::new("-r"), &catalogs, &sources])?;
        }
        let database = "var/lib/systemd/catalog";
        fs::create_dir_all(whole.join(database))?;
        let root = format!("--root={}", whole.display());
        command::run("journalctl", [root.as_str(), "--update-catalog"])?;
        let target = self.layer.directory().join("root").join(database);
        fs::create_dir_all(&target)?;
        fs::rename(
            whole.join(database).join("database"),
            target.join("database"),
        )?;
        Ok(())
    }

    /// The same without the product, to prove the testbed itself.
    pub fn without_product(cache: &Cache, kubernetes: &Kubernetes) -> Result<Self> {
        let node = node::root(cache)?;
        let layer = Scope::new(cache)?;
        let root = layer.directory().join("root");
        let programs = root.join("usr/bin");
        // Debian's directory of CNI plugins is not everybody's.
        let plugins = root.join("opt/cni");
        fs::create_dir_all(&plugins)?;
        symlink("/usr/lib/cni", plugins.join("bin"))?;
        install(kubernetes, &programs)?;
        for archive in kubernetes.image_archives() {
            link(archive, &root.join(&Self::ARCHIVES[1..]))?;
        }
        Ok(Self::of(layer, node))
    }

    /// An image of somebody else's: a container runtime, but neither Kubernetes nor the product.
    pub fn stock(cache: &Cache) -> Result<Self> {
        let node = node::root(cache)?;
        let layer = Scope::new(cache)?;
        for path in [
            "etc/kubernetes",
            "usr/lib/cni",
            "usr/lib/systemd/system/kubelet.service",
            "usr/lib/systemd/system/kubelet.service.d",
        ] {
            let whiteout = layer.directory().join("root").join(path);
            fs::create_dir_all(whiteout.parent().unwrap_or(&whiteout))?;
            mknod(&whiteout, SFlag::S_IFCHR, Mode::empty(), 0)
                .with_context(|| format!("can't hide {path}"))?;
        }
        Ok(Self::of(layer, node))
    }

    fn of(layer: Scope, node: PathBuf) -> Self {
        Self {
            layer: Arc::new(layer),
            containerd: None,
            node,
            file_system: FileSystem::default(),
        }
    }

    /// The same for machines whose disks have another file system.
    #[must_use]
    pub fn on(self, file_system: FileSystem) -> Self {
        Self {
            file_system,
            ..self
        }
    }

    /// The same with another containerd than the node's own.
    pub fn with_containerd(self, cache: &Cache, containerd: ContainerdSeries) -> Result<Self> {
        Ok(Self {
            containerd: Some(containerd.layer(cache)?),
            ..self
        })
    }

    /// Runs a program of this machine with the image's files below a directory, whose path is the program's
    /// last argument. An exit status other than 0 is an error.
    pub fn inspect<S: AsRef<std::ffi::OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let directory = self.layer.directory().join("inspected");
        fs::create_dir_all(&directory)?;
        let layers = self.layers().into_iter();
        let layers: Vec<_> = layers.map(|layer| layer.display().to_string()).collect();
        // The mount ends with the process, which has a mount namespace of its own.
        let script = "mount -t overlay -o lowerdir=$1 overlay \"$2\" && root=$2 && shift 2 && exec \"$@\" \"$root\"";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", &layers.join(":")]);
        command.arg(directory).arg(program).args(arguments);
        command::check(&mut command)
    }

    pub(crate) fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// The image's layers, topmost first.
    pub(crate) fn layers(&self) -> Vec<PathBuf> {
        let top = self.layer.directory().join("root");
        let containerd = self.containerd.clone();
        [Some(top), containerd, Some(self.node.clone())]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Puts the programs of Kubernetes into a directory, with the stand-in for crictl if there is no real one.
pub(crate) fn install(kubernetes: &Kubernetes, directory: &Path) -> Result<()> {
    for program in kubernetes.binaries()? {
        link(&program, directory)?;
    }
    let crictl = directory.join("crictl");
    if !crictl.exists() {
        fs::write(&crictl, include_str!("../recipes/standins/crictl"))?;
        fs::set_permissions(&crictl, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Puts a file into a directory, without copying its bytes where that is possible.
pub(crate) fn link(file: &Path, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let target = directory.join(file.file_name().context("a file without a name")?);
    fs::hard_link(file, &target)
        .or_else(|_| fs::copy(file, &target).map(drop))
        .with_context(|| format!("can't put {} into the image", file.display()))
}
