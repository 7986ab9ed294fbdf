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
/// The file with containerd's own id. containerd writes it without syncing it, and answers no request while it
/// is empty (containerd, `services/introspection`). If the file is missing, containerd makes another id.
const ID: &str = "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid";

/// The label that keeps an image from garbage collection (containerd, CRI plugin, "Image
/// pinning").
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// Leases that expire, as those of imports do (containerd, docs/garbage-collection.md, "Garbage Collection
/// Labels"). The CRI plugin of containerd 2 has one for each pod, which doesn't.
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

/// Whether the CRI plugin has made a name by itself, for an image that has another: by its id, or by
/// its digest in a repository.
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

    /// An import that was cut off leaves half-written blobs, held by its lease for a day and named
    /// as in its archive, such as `layer.tar`. containerd would go on writing them from another
    /// archive with the same names, and fail for good. Without their lease they are collected.
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

    /// Through CRI: with the mirrors, credentials and proxy that the runtime's own pulls have.
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

    /// What was unpacked stays for as long as the image has any name.
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
