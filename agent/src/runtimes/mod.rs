//! What is particular to each container runtime, one file each. Everything else asks through these traits.
//!
//! Units, sockets and directories are in [`Runtime`] itself, because the compiler needs them too.

mod archive_format;
mod containerd;
mod cri;
mod crio;
mod docker;
mod error;
mod isulad;
mod load;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nkd_bundle::{Blob, Digest, Image};
use nkd_contract::Runtime;

use crate::system::{Command, Root};
pub(crate) use archive_format::ArchiveFormat;
pub(crate) use containerd::ContentStore;
pub(crate) use error::RuntimeError;
pub(crate) use load::{Load, clear_spool};

/// How long one image may take to load. It may have several gigabytes, and the disk may be slow.
const LOAD: Duration = Duration::from_secs(20 * 60);

/// A container runtime.
pub(crate) trait ContainerRuntime {
    /// The program that asks the runtime. kubeadm needs crictl for every runtime but Docker anyway.
    fn client_program(&self) -> &'static str;

    /// That program, with the socket of the runtime. Its command `version` is answered by the runtime itself.
    fn client(&self, root: &Root) -> Command;

    /// Arguments of the client that show what the runtime has and does.
    fn inspections(&self) -> &'static [&'static [&'static str]];

    /// The CRI socket as kubeadm's configuration names it.
    fn cri_socket(&self) -> String;

    /// The cgroup driver that the runtime is configured with, by the minor version of Kubernetes.
    fn cgroup_driver(&self, _kubernetes_minor: u32) -> &'static str {
        "systemd"
    }

    /// Removes a file that a power cut has left empty and that would keep the runtime from answering; returns
    /// its path.
    ///
    /// # Errors
    /// The file can't be removed.
    fn repair(&self, _root: &Root) -> anyhow::Result<Option<&'static str>> {
        Ok(None)
    }

    /// The images of the runtime.
    fn images(&self, root: &Root) -> Box<dyn ImageStore>;
}

/// A plan's runtime.
pub(crate) fn of(runtime: Runtime) -> &'static dyn ContainerRuntime {
    match runtime {
        Runtime::Containerd => &containerd::Containerd,
        Runtime::Crio => &crio::Crio,
        Runtime::Isulad => &isulad::Isulad,
        Runtime::Docker => &docker::Docker,
        Runtime::CriDockerd => &docker::CriDockerd,
    }
}

/// The images of a container runtime.
pub(crate) trait ImageStore {
    /// Which of these images the runtime has, and by which digest it names each.
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError>;

    /// The digest by which the runtime names an image of a bundle.
    fn digest(&self, image: &Image) -> Digest {
        image.config.digest
    }

    /// The format of an archive from which the runtime loads images.
    fn archive_format(&self) -> ArchiveFormat {
        ArchiveFormat::Docker
    }

    /// Whether a blob that came with one image is there for the next.
    fn keeps_blobs(&self) -> bool {
        false
    }

    /// Where large ones of these blobs can be written to directly, if anywhere.
    fn content_store(&self, _blobs: &[Blob]) -> Option<ContentStore> {
        None
    }

    /// Removes what loads that were cut off have left and what would harm the next load.
    fn forget_cut_off_loads(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Begins to load images from a tar in the runtime's [form](Self::form).
    fn load(&self, names: &[&str]) -> Result<Load, RuntimeError>;

    /// Imports the images of an archive; `wanted` are those it may be needed for.
    fn import(&self, archive: &Path, wanted: &[&str]) -> Result<(), RuntimeError>;

    /// The command that pulls an image; `None` where kubeadm and kubelet are left to do so.
    fn pull(&self, name: &str) -> Option<Command>;

    /// Keeps an image from kubelet's garbage collector, where the runtime can.
    fn pin(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Removes a name of an image.
    fn remove(&self, name: &str) -> Result<(), RuntimeError>;

    /// Removes an image with everything that was unpacked for it.
    fn discard(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove(name)
    }
}
