//! The image that is checked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nkd_contract::Plan;

use super::release::Release;
use super::tree::Tree;
use crate::requirements::{Component, Version};
use crate::system::{Command, Root};

/// How the programs of the image are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Execution {
    /// The image is the root directory of this process.
    Here,
    /// In a root directory of their own, with chroot(8).
    Chroot,
    /// Only root may change the root directory.
    Forbidden,
}

/// The version of a program, `None` if it prints none, or why the program could not be run.
type Answer = Result<Option<Version>, String>;

/// The image that is checked.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) tree: Tree,
    /// The plan for which it is checked.
    pub(super) plan: Option<Plan>,
    /// The version of Kubernetes that a person gave, in a plan or as an option.
    pub(super) wanted: Option<Version>,
    /// Whether the image is the running system of a machine. A container is not one.
    pub(super) is_booted: bool,
    execution: Execution,
    root: Root,
    versions: BTreeMap<&'static str, Answer>,
}

impl Image {
    /// Opens an image, and runs its programs to find out their versions.
    pub(super) fn open(root: &Root, plan: Option<Plan>, kubernetes: Option<Version>) -> Self {
        let is_here = root.path("/") == Path::new("/");
        let execution = if is_here {
            Execution::Here
        } else if nix::unistd::geteuid().is_root() {
            Execution::Chroot
        } else {
            Execution::Forbidden
        };
        // sd_booted(3)
        let is_booted = is_here && Path::new("/run/systemd/system").is_dir();
        Self::with(root, execution, is_booted, plan, kubernetes)
    }

    pub(super) fn with(
        root: &Root,
        execution: Execution,
        is_booted: bool,
        plan: Option<Plan>,
        kubernetes: Option<Version>,
    ) -> Self {
        let planned = plan
            .as_ref()
            .and_then(|plan| Version::find(&plan.kubernetes_version));
        let mut image = Self {
            tree: Tree::new(root),
            plan,
            wanted: planned.or(kubernetes),
            is_booted,
            execution,
            root: root.clone(),
            versions: BTreeMap::new(),
        };
        for component in Component::ALL {
            let answer = image.ask(component);
            image.versions.insert(component.name(), answer);
        }
        image
    }

    /// The version of a program of Kubernetes in the image.
    ///
    /// # Errors
    /// The program could not be run; the error is the reason.
    pub(super) fn version(&self, component: Component) -> &Answer {
        self.versions.get(component.name()).unwrap_or(&Ok(None))
    }

    /// The minor version of Kubernetes that the image is checked for.
    pub(super) fn minor(&self) -> Option<u32> {
        let kubeadm = self.version(Component::Kubeadm).as_ref().ok();
        let version = self.wanted.or(kubeadm.copied().flatten());
        version.map(|version| version.minor)
    }

    fn ask(&self, component: Component) -> Answer {
        if self.tree.program(component.name()).is_none() {
            return Ok(None);
        }
        let command = self.command(component.name())?;
        let version = component.version(command);
        version.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    /// The version that a program of the image, given by its name or path, prints; `None` if it prints none.
    ///
    /// # Errors
    /// The program could not be run; the error is the reason.
    pub(super) fn release(&self, program: &str) -> Result<Option<Release>, String> {
        let text = self.command(program)?.args(["--version"]).read();
        let text = text.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        Ok(Release::find(&text))
    }

    /// A command that runs a program of the image, given by its name or path.
    ///
    /// # Errors
    /// The program cannot be run on this machine; the error is the reason.
    fn command(&self, program: &str) -> Result<Command, String> {
        let path = if program.starts_with('/') {
            Some(program.to_owned())
        } else {
            self.tree.program(program)
        };
        let path = path.ok_or_else(|| format!("there is no program {program}"))?;
        if self.is_foreign(&path) {
            return Err(format!(
                "{path} is for another architecture than this machine"
            ));
        }
        match self.execution {
            Execution::Here => Ok(self.root.executable(&path)),
            Execution::Chroot => {
                let machine = Root::new(PathBuf::from("/"));
                let command = machine.command("chroot").args([self.tree.root()]);
                Ok(command.args([path]))
            }
            Execution::Forbidden => {
                Err("only root can run programs of another root directory".to_owned())
            }
        }
    }

    /// Whether a path is on a read-only file system of the running machine.
    pub(super) fn is_read_only(&self, path: &str) -> bool {
        let path = self.tree.path(path);
        let mut existing = path.ancestors().filter(|ancestor| ancestor.exists());
        let status = existing.next().and_then(|nearest| statvfs(nearest).ok());
        status.is_some_and(|status| status.flags().contains(FsFlags::ST_RDONLY))
    }

    /// Whether a file is an executable of another architecture than this process.
    fn is_foreign(&self, path: &str) -> bool {
        let this = machine_of(Path::new("/proc/self/exe"));
        let other = machine_of(&self.tree.path(path));
        matches!((this, other), (Some(this), Some(other)) if this != other)
    }
}

/// The architecture of an executable, `e_machine` in elf(5), or `None` if it is no executable in this format.
fn machine_of(path: &Path) -> Option<[u8; 2]> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    let is_elf = header.starts_with(b"\x7fELF");
    is_elf.then(|| [header[18], header[19]])
}
