//! A record of the images that a power cut would damage.
//!
//! A runtime records an image as unpacked before the files of its layers are on the disk. After a power
//! cut, the runtime still lists the image, but the programs in it are empty, and the runtime never
//! unpacks it again. So the agent records the images that are about to be loaded, and deletes the record
//! after it has synced the file systems. If the record still exists on another boot, the agent removes
//! these images and loads them again. It does not touch images that others have loaded.

use std::collections::BTreeSet;
use std::io;

use nkd_contract::{Cause, Image, paths};
use serde::{Deserialize, Serialize};

use super::{Fault, Node, import_failed, missing};
use crate::runtimes::ImageStore;
use crate::system::files::{read_if_exists, remove, write_atomic};
use crate::system::{Root, boot_id};

/// `/var/lib/nkd/unsynced.json`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Unsynced {
    /// The boot on which the agent began to load them.
    boot: String,
    images: BTreeSet<String>,
}

/// Records the images that are about to be loaded. If images of an earlier boot have not been removed
/// yet, the record keeps that boot, so that the new images are removed with them.
pub(super) fn begin(node: &Node<'_>, images: &[&Image]) -> Result<(), Fault> {
    let mut unsynced = load(node.root)?;
    if unsynced.images.is_empty() {
        unsynced.boot = boot_id();
    }
    let names = images.iter().map(|image| image.name.clone());
    unsynced.images.extend(names);
    save(node.root, &unsynced)
}

/// Removes the images that are in the runtime from the record, after the file systems were synced.
/// kubeadm or kubelet may still pull the others.
pub(super) fn settle(node: &Node<'_>, store: &dyn ImageStore) -> Result<(), Fault> {
    let mut unsynced = load(node.root)?;
    if unsynced.images.is_empty() || unsynced.boot != boot_id() {
        return Ok(());
    }
    let missing = missing(node, store)?;
    unsynced
        .images
        .retain(|name| missing.iter().any(|image| image.name == *name));
    save(node.root, &unsynced)
}

/// Removes the images that were not synced before the last power cut. This can be repeated, because they
/// are removed from the record last.
pub(super) fn discard(node: &mut Node<'_>, store: &dyn ImageStore) -> Result<(), Fault> {
    let unsynced = load(node.root)?;
    if unsynced.images.is_empty() || unsynced.boot == boot_id() {
        return Ok(());
    }
    store.forget_cut_off_loads().map_err(import_failed)?;
    let names: Vec<_> = unsynced.images.iter().map(String::as_str).collect();
    let present = store.present(&names).map_err(import_failed)?;
    for name in present.keys() {
        store.discard(name).map_err(import_failed)?;
    }
    match present.len() {
        0 => {}
        1 => node.progress(
            "loading an image again, because a power cut may have damaged it",
            None,
        ),
        count => {
            let message =
                format!("loading {count} images again, because a power cut may have damaged them");
            node.progress(message, None);
        }
    }
    save(node.root, &Unsynced::default())
}

/// Reads the record. A record that cannot be read was never used, because it is always replaced as a
/// whole.
fn load(root: &Root) -> Result<Unsynced, Fault> {
    let json = read_if_exists(&root.path(paths::UNSYNCED)).map_err(fault)?;
    let unsynced = json.map(|json| serde_json::from_slice(&json));
    Ok(unsynced.and_then(Result::ok).unwrap_or_default())
}

fn save(root: &Root, unsynced: &Unsynced) -> Result<(), Fault> {
    let path = root.path(paths::UNSYNCED);
    let saved = if unsynced.images.is_empty() {
        remove(&path)
    } else {
        serde_json::to_vec(unsynced)
            .map_err(io::Error::from)
            .and_then(|json| write_atomic(&path, &json, 0o600))
    };
    saved.map_err(fault)
}

fn fault(error: io::Error) -> Fault {
    Fault::of(Cause::AgentState, error).context(paths::UNSYNCED)
}
