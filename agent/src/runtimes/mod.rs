//! The differences between the container runtimes, in one file for each. All other modules use these
//! traits.
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

/// The time limit for loading one image. The image may have several gigabytes, and the disk may be slow.
const LOAD: Duration = Duration::from_secs(20 * 60);

/// A container runtime.
pub(crate) trait ContainerRuntime {
    /// The client program of the runtime. kubeadm requires crictl anyway for every runtime except Docker.
    fn client_program(&self) -> &'static str;

    /// The client program with the socket of the runtime. Its command `version` gets the answer from the
    /// runtime.
    fn client(&self, root: &Root) -> Command;

    /// Arguments of the client that show what the runtime has and does.
    fn inspections(&self) -> &'static [&'static [&'static str]];

    /// The CRI socket, as in kubeadm's configuration.
    fn cri_socket(&self) -> String;

    /// The cgroup driver with which the runtime is configured for a minor version of Kubernetes.
    fn cgroup_driver(&self, _kubernetes_minor: u32) -> &'static str {
        "systemd"
    }

    /// Removes a file that a power cut has left empty and that would prevent the runtime from answering.
    /// Returns the path of the file.
    ///
    /// # Errors
    /// The file cannot be removed.
    fn repair(&self, _root: &Root) -> anyhow::Result<Option<&'static str>> {
        Ok(None)
    }

    /// The images of the runtime.
    fn images(&self, root: &Root) -> Box<dyn ImageStore>;
}

/// The runtime with this name in a plan.
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
    /// The images of the runtime among these, with the digest by which the runtime identifies each.
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError>;

    /// The digest by which the runtime identifies an image of a bundle.
    fn digest(&self, image: &Image) -> Digest {
        image.config.digest
    }

    /// The tar format in which the runtime reads images.
    fn archive_format(&self) -> ArchiveFormat {
        ArchiveFormat::Docker
    }

    /// Whether a blob that was loaded with one image is also available for the next image.
    fn keeps_blobs(&self) -> bool {
        false
    }

    /// The content store into which large blobs among these can be written directly, if there is one.
    fn content_store(&self, _blobs: &[Blob]) -> Option<ContentStore> {
        None
    }

    /// Removes what interrupted loads have left and what would make the next load fail.
    fn forget_cut_off_loads(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Begins to load images from a tar in the runtime's [format](Self::form).
    fn load(&self, names: &[&str]) -> Result<Load, RuntimeError>;

    /// Imports the images of an archive. `wanted` are the images for which the archive may be needed.
    fn import(&self, archive: &Path, wanted: &[&str]) -> Result<(), RuntimeError>;

    /// The command that pulls an image, or `None` if only kubeadm and kubelet pull images.
    fn pull(&self, name: &str) -> Option<Command>;

    /// Pins an image, if the runtime supports that.
    fn pin(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Removes a name of an image.
    fn remove(&self, name: &str) -> Result<(), RuntimeError>;

    /// Removes an image with its unpacked files.
    fn discard(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove(name)
    }
}
