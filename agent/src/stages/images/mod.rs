//! `images`: the runtime has every image in the plan, with the digest in the plan, and kubelet's garbage
//! collector does not remove it.

mod archives;
mod batch;
mod bundle;
mod pull;
mod source;
mod unsynced;

use std::collections::BTreeMap;

use nkd_contract::{Cause, Class, Image, ImageSource};

use super::{Fault, Node, kubeadm, sync};
use crate::runtimes::{self, ImageStore, RuntimeError};

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let store = store_of(node);
    let store = store.as_ref();
    let plan = node.plan;
    // Once kubeadm has begun, containers may have these images: a reset comes first.
    if !kubeadm::has_begun(node) {
        unsynced::discard(node, store)?;
    }
    let lacking = missing(node, store)?;
    node.count_left(lacking.len() as u64);
    if !lacking.is_empty() {
        unsynced::begin(node, &lacking)?;
    }
    let loaded = match &plan.images.source {
        ImageSource::Registry => pull::pull(node, store, lacking),
        ImageSource::Directory(directory) => archives::import(node, store, directory, lacking),
        ImageSource::Bundles(bundles) => bundle::load(node, store, bundles, lacking),
    };
    if let Err(fault) = loaded {
        // Some may have been loaded before it failed.
        if let Ok(left) = missing(node, store) {
            node.count_left(left.len() as u64);
        }
        return Err(fault);
    }
    // Images that kubeadm and kubelet pull later can't be pinned yet.
    for name in present(node, store)?.keys() {
        store.pin(name).map_err(import_failed)?;
    }
    sync(node.root, plan)?;
    unsynced::settle(node, store)
}

/// Removes the images that an attempt at `kubeadm` pulled before a power cut, when no container uses them
/// any more.
pub(super) fn discard_unsynced(node: &mut Node<'_>) -> Result<(), Fault> {
    let store = store_of(node);
    unsynced::discard(node, store.as_ref())
}

/// Removes the images that kubeadm has pulled from the record of unsynced images. Must be called after a
/// sync.
pub(super) fn settle_unsynced(node: &Node<'_>) -> Result<(), Fault> {
    let store = store_of(node);
    unsynced::settle(node, store.as_ref())
}

fn store_of(node: &Node<'_>) -> Box<dyn ImageStore> {
    runtimes::of(node.plan.runtime).images(node.root)
}

/// The images of the plan that the runtime has, each with the digest that the runtime reports.
fn present(node: &Node<'_>, store: &dyn ImageStore) -> Result<BTreeMap<String, String>, Fault> {
    let required = node.plan.images.required.iter();
    let names: Vec<_> = required.map(|image| image.name.as_str()).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    store.present(&names).map_err(import_failed)
}

/// The images of the plan that the runtime does not have, or that have another digest there.
fn missing<'a>(node: &Node<'a>, store: &dyn ImageStore) -> Result<Vec<&'a Image>, Fault> {
    let present = present(node, store)?;
    let lacks = |image: &&Image| !is_there(image, &present);
    Ok(node.plan.images.required.iter().filter(lacks).collect())
}

fn is_there(image: &Image, present: &BTreeMap<String, String>) -> bool {
    let present = present.get(&image.name);
    present.is_some_and(|present| image.digest.as_ref().is_none_or(|pinned| pinned == present))
}

/// The names, for messages.
fn listed(images: &[&Image]) -> String {
    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    names.join(", ")
}

/// The fault that determines what happens next: a transient one if there is any, and preferably not a
/// missing source. Its message contains all faults.
fn worst(faults: &[Fault]) -> Option<Fault> {
    let rank = |fault: &Fault| {
        let passes = fault.cause.class() == Class::Transient;
        (!passes, fault.cause == Cause::ImagesSource)
    };
    let cause = faults.iter().min_by_key(|fault| rank(fault))?.cause;
    let messages: Vec<_> = faults.iter().map(Fault::message).collect();
    Some(Fault::new(cause, messages.join("; ")))
}

/// The fault of a runtime that does not accept images.
fn import_failed(error: RuntimeError) -> Fault {
    runtime_failed(Cause::ImagesImport, error)
}

/// The fault of a runtime with this cause, unless the disk is full or the error is one of the agent.
fn runtime_failed(cause: Cause, error: RuntimeError) -> Fault {
    let cause = if error.is_disk_full() {
        Cause::ImagesDisk
    } else {
        cause
    };
    match error {
        RuntimeError::Command(error) => Fault::of_command(cause, error),
        RuntimeError::Write { directory, source } => Fault::of(cause, source).context(directory),
        RuntimeError::Answer(error) => Fault::of(cause, error),
        RuntimeError::Internal(error) => Fault::of(Cause::AgentInternal, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_acted_on_first_and_a_source_that_is_not_there_only_after_that() {
        let (passes, absent, stays) = (Cause::ImagesDisk, Cause::ImagesSource, Cause::ImagesDigest);
        let worst = |causes: &[Cause]| {
            let faults = causes
                .iter()
                .map(|cause| Fault::new(*cause, cause.to_string()));
            worst(&faults.collect::<Vec<_>>()).map(|fault| fault.cause)
        };
        assert_eq!(worst(&[stays, absent, passes]), Some(passes));
        assert_eq!(worst(&[stays, absent]), Some(absent));
        assert_eq!(worst(&[stays]), Some(stays));
        assert_eq!(worst(&[]), None);
    }
}
