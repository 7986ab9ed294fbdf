//! containerd, through `ctr`.

mod content;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use nkd_bundle::{Blob, Digest, Image};
use nkd_contract::Runtime;

use super::{ArchiveFormat, ContainerRuntime, ImageStore, LOAD, Load, RuntimeError, cri};
use crate::system::files::remove;
use crate::system::{Command, Root};
pub(crate) use content::ContentStore;

/// The namespace that CRI uses.
const NAMESPACE: &str = "k8s.io";
/// The file with containerd's own id. containerd does not sync this file, and answers no request if it is
/// empty (containerd, `services/introspection`). If the file is missing, containerd creates another id.
const ID: &str = "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid";

/// The label that protects an image from garbage collection (containerd, CRI plugin, "Image pinning").
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// The filter for leases with an expiry time, which the leases of imports have (containerd,
/// docs/garbage-collection.md, "Garbage Collection Labels"). The CRI plugin of containerd 2 has a lease
/// without an expiry time for each pod.
const EXPIRE: &str = r#"labels."containerd.io/gc.expire""#;

pub(super) struct Containerd;

impl ContainerRuntime for Containerd {
    fn client_program(&self) -> &'static str {
        "ctr"
    }

    fn client(&self, root: &Root) -> Command {
        let socket = Runtime::Containerd.answers_at();
        root.command(self.client_program())
            .args(["--address", socket])
    }

    fn inspections(&self) -> &'static [&'static [&'static str]] {
        &[
            &["--namespace", NAMESPACE, "images", "list"],
            &["--namespace", NAMESPACE, "containers", "list"],
            &["--namespace", NAMESPACE, "tasks", "list"],
            &["--namespace", NAMESPACE, "leases", "list"],
        ]
    }

    fn cri_socket(&self) -> String {
        Runtime::Containerd.cri_endpoint(true)
    }

    fn repair(&self, root: &Root) -> anyhow::Result<Option<&'static str>> {
        let path = root.path(ID);
        let id = fs::read(&path);
        // Some file systems keep the length of a file whose contents they have lost.
        if !id.is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
            return Ok(None);
        }
        remove(&path).context(ID)?;
        Ok(Some(ID))
    }

    fn images(&self, root: &Root) -> Box<dyn ImageStore> {
        Box::new(ContainerdImages { root: root.clone() })
    }
}

/// containerd's client, in the namespace of CRI's images.
fn ctr(root: &Root) -> Command {
    Containerd.client(root).args(["--namespace", NAMESPACE])
}

#[derive(Debug)]
struct ContainerdImages {
    root: Root,
}

impl ContainerdImages {
    fn ctr(&self) -> Command {
        ctr(&self.root)
    }

    /// The names of all images, each with its digest.
    fn list(&self) -> Result<Vec<(String, String)>, RuntimeError> {
        let list = self.ctr().args(["images", "list"]).read()?;
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let rows = list.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            let digest = columns.nth(1).unwrap_or_default();
            Some((name.to_owned(), digest.to_owned()))
        });
        Ok(rows.collect())
    }

    fn remove_all(&self, names: &[&str]) -> Result<(), RuntimeError> {
        self.ctr()
            .args(["images", "remove", "--sync"])
            .args(names)
            .read()?;
        Ok(())
    }
}

/// Whether a name was created by the CRI plugin in addition to an image's own name: the id of the image,
/// or its digest in a repository.
fn is_made_by_cri(name: &str) -> bool {
    name.starts_with("sha256:") || name.contains("@sha256:")
}

impl ImageStore for ContainerdImages {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError> {
        let mut images = self.list()?;
        images.retain(|(name, _)| names.contains(&name.as_str()));
        Ok(images.into_iter().collect())
    }

    fn digest(&self, image: &Image) -> Digest {
        image.manifest.digest
    }

    fn archive_format(&self) -> ArchiveFormat {
        ArchiveFormat::Oci
    }

    fn keeps_blobs(&self) -> bool {
        true
    }

    fn content_store(&self, blobs: &[Blob]) -> Option<ContentStore> {
        ContentStore::open(&self.root, blobs)
    }

    /// An interrupted import leaves incomplete blobs with the names of its archive, such as `layer.tar`,
    /// which its lease keeps for a day. An import of another archive with the same names would continue
    /// these blobs, and then every import would fail. Without the lease, the garbage collector removes
    /// them.
    fn forget_cut_off_loads(&self) -> Result<(), RuntimeError> {
        content::forget_cut_off_loads(&self.root)?;
        let leases = ["leases", "list", "--quiet", EXPIRE];
        let leases = self.ctr().args(leases).read()?;
        let leases = leases.lines().map(str::trim);
        for lease in leases.filter(|lease| !lease.is_empty()) {
            self.ctr()
                .args(["leases", "delete", "--sync", lease])
                .read()?;
        }
        Ok(())
    }

    fn load(&self, _names: &[&str]) -> Result<Load, RuntimeError> {
        Load::piped(self.ctr().args(["images", "import", "-"]).timeout(LOAD))
    }

    fn import(&self, archive: &Path, _wanted: &[&str]) -> Result<(), RuntimeError> {
        self.ctr()
            .args(["images", "import"])
            .args([archive])
            .timeout(LOAD)
            .run()?;
        Ok(())
    }

    /// Pulls through CRI, so that the mirrors, credentials and proxy of the runtime are used.
    fn pull(&self, name: &str) -> Option<Command> {
        cri::pull(&self.root, Runtime::Containerd, name)
    }

    fn pin(&self, name: &str) -> Result<(), RuntimeError> {
        self.ctr().args(["images", "label", name, PINNED]).read()?;
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove_all(&[name])
    }

    /// Removes all names of the image, because its unpacked files stay as long as it has any name.
    fn discard(&self, name: &str) -> Result<(), RuntimeError> {
        let images = self.list()?;
        let digest = images.iter().find(|(listed, _)| listed == name);
        let Some((_, digest)) = digest else {
            return Ok(());
        };
        let names = images
            .iter()
            .filter(|(listed, of)| listed == name || of == digest && is_made_by_cri(listed));
        let names: Vec<_> = names.map(|(listed, _)| listed.as_str()).collect();
        self.remove_all(&names)
    }
}
