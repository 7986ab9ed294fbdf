//! containerd, through `ctr`.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_bundle::{Blob, Digest, Image};
use nkd_contract::{Cause, Runtime};

use super::super::refused;
use super::ctr::ctr;
use super::{ContentStore, Fault, Form, LOAD, Load, Store, content, crictl};
use crate::system::{Command, Root};

/// The label that keeps an image from garbage collection (containerd, CRI plugin, "Image
/// pinning").
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// Leases that expire, as those of imports do (containerd, docs/garbage-collection.md, "Garbage Collection
/// Labels"). The CRI plugin of containerd 2 has one for each pod, which doesn't.
const EXPIRE: &str = r#"labels."containerd.io/gc.expire""#;

#[derive(Debug)]
pub(super) struct Containerd {
    pub(super) root: Root,
}

impl Containerd {
    fn ctr(&self) -> Command {
        ctr(&self.root)
    }

    /// The names of all images, each with its digest.
    fn list(&self) -> Result<Vec<(String, String)>, Fault> {
        let list = self.ctr().args(["images", "list"]).read();
        let list = list.map_err(|error| Fault::of_command(Cause::ImagesImport, &error))?;
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let rows = list.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            let digest = columns.nth(1).unwrap_or_default();
            Some((name.to_owned(), digest.to_owned()))
        });
        Ok(rows.collect())
    }

    fn remove_all(&self, names: &[&str]) -> Result<(), Fault> {
        self.ctr()
            .args(["images", "remove", "--sync"])
            .args(names)
            .read()
            .map(drop)
            .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))
    }
}

/// Whether the CRI plugin has made a name by itself, for an image that has another: by its id, or by
/// its digest in a repository.
fn is_made_by_cri(name: &str) -> bool {
    name.starts_with("sha256:") || name.contains("@sha256:")
}

impl Store for Containerd {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
        let mut images = self.list()?;
        images.retain(|(name, _)| names.contains(&name.as_str()));
        Ok(images.into_iter().collect())
    }

    fn digest(&self, image: &Image) -> Digest {
        image.manifest.digest
    }

    fn form(&self) -> Form {
        Form::Oci
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
    fn forget_cut_off_loads(&self) -> Result<(), Fault> {
        content::forget_cut_off_loads(&self.root)?;
        let failed = |error| Fault::of_command(Cause::ImagesImport, &error);
        let leases = ["leases", "list", "--quiet", EXPIRE];
        let leases = self.ctr().args(leases).read();
        let leases = leases.map_err(failed)?;
        let leases = leases.lines().map(str::trim);
        for lease in leases.filter(|lease| !lease.is_empty()) {
            self.ctr()
                .args(["leases", "delete", "--sync", lease])
                .read()
                .map_err(failed)?;
        }
        Ok(())
    }

    fn load(&self, _names: &[&str]) -> Result<Load, Fault> {
        Load::piped(self.ctr().args(["images", "import", "-"]).timeout(LOAD))
    }

    fn import(&self, archive: &Path, _wanted: &[&nkd_contract::Image]) -> Result<(), Fault> {
        self.ctr()
            .args(["images", "import"])
            .args([archive])
            .timeout(LOAD)
            .run()
            .map_err(|error| refused(Cause::ImagesImport, &error))
    }

    /// Through CRI: with the mirrors, credentials and proxy that the runtime's own pulls have.
    fn pull(&self, name: &str) -> Option<Command> {
        crictl::pull(&self.root, Runtime::Containerd, name)
    }

    fn pin(&self, name: &str) -> Result<(), Fault> {
        self.ctr()
            .args(["images", "label", name, PINNED])
            .read()
            .map(drop)
            .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.remove_all(&[name])
    }

    /// What was unpacked stays for as long as the image has any name.
    fn discard(&self, name: &str) -> Result<(), Fault> {
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
