//! What images are put into: each container runtime by its own means.

mod containerd;
mod content;
mod crictl;
mod crio;
mod ctr;
mod docker;
mod form;
mod isulad;
mod load;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nkd_bundle::{Blob, Digest, Image};
use nkd_contract::Runtime;

use super::{Fault, Node};
use crate::system::{Command, Root};
pub(super) use content::ContentStore;
pub(super) use form::Form;
pub(super) use load::{Load, clear_spool};

/// A single image may be several gigabytes on a slow disk.
const LOAD: Duration = Duration::from_secs(20 * 60);

/// A container runtime, as far as images go.
pub(super) trait Store {
    /// Which of these images it has, and by which digest it knows each.
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, Fault>;

    /// The digest by which it knows an image of a bundle.
    fn digest(&self, image: &Image) -> Digest {
        image.config.digest
    }

    /// How it wants images.
    fn form(&self) -> Form {
        Form::Docker
    }

    /// Whether a blob that came with one image is there for the next.
    fn keeps_blobs(&self) -> bool {
        false
    }

    /// Where large ones of these blobs can be written to directly, if anywhere.
    fn content_store(&self, _blobs: &[Blob]) -> Option<ContentStore> {
        None
    }

    /// Clears away what loads that were cut off have left and what would harm the next.
    fn forget_cut_off_loads(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Begins to load images from a tar in its [form](Self::form).
    fn load(&self, names: &[&str]) -> Result<Load, Fault>;

    /// Imports the images of an archive; `wanted` are those it may be needed for.
    fn import(&self, archive: &Path, wanted: &[&nkd_contract::Image]) -> Result<(), Fault>;

    /// The command that pulls an image; `None` where kubeadm and kubelet are left to do so.
    fn pull(&self, name: &str) -> Option<Command>;

    /// Keeps an image from the kubelet's garbage collector, where the runtime can.
    fn pin(&self, _name: &str) -> Result<(), Fault> {
        Ok(())
    }

    /// Takes a name away.
    fn remove(&self, name: &str) -> Result<(), Fault>;

    /// Takes an image away with everything that was unpacked for it.
    fn discard(&self, name: &str) -> Result<(), Fault> {
        self.remove(name)
    }
}

/// The runtime of a node.
pub(super) fn of(node: &Node<'_>) -> Box<dyn Store> {
    let root: Root = node.root.clone();
    match node.plan.runtime {
        Runtime::Containerd => Box::new(containerd::Containerd { root }),
        Runtime::Crio => Box::new(crio::Crio { root }),
        Runtime::Isulad => Box::new(isulad::Isulad { root }),
        Runtime::Docker | Runtime::CriDockerd => Box::new(docker::Docker { root }),
    }
}
