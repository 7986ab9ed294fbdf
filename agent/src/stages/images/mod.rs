//! `images`: every image the plan names is in the runtime, is the one the plan pins, and is left
//! there by the kubelet's garbage collector.

mod archives;
mod batch;
mod bundle;
mod pull;
mod source;
mod store;

use std::collections::BTreeMap;

use nkd_contract::{Cause, Image, ImageSource};

use super::{Fault, Node};
use store::Store;

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let store = store::of(node);
    let store = store.as_ref();
    let plan = node.plan;
    match &plan.images.source {
        ImageSource::Registry => pull::pull(node, store)?,
        ImageSource::Directory(directory) => archives::import(node, store, directory)?,
        ImageSource::Bundles(bundles) => bundle::load(node, store, bundles)?,
    }
    for image in &plan.images.required {
        store.pin(&image.name)?;
    }
    Ok(())
}

/// The plan's images that the runtime doesn't have, or under whose name it has another.
fn missing<'a>(node: &Node<'a>, store: &dyn Store) -> Result<Vec<&'a Image>, Fault> {
    let required = &node.plan.images.required;
    if required.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = required.iter().map(|it| it.name.as_str()).collect();
    let present = store.present(&names)?;
    let lacks = |image: &&Image| !is_there(image, &present);
    Ok(required.iter().filter(lacks).collect())
}

fn is_there(image: &Image, present: &BTreeMap<String, String>) -> bool {
    let found = present.get(&image.name);
    found.is_some_and(|found| image.digest.as_ref().is_none_or(|digest| digest == found))
}

/// Names for a person.
fn listed(images: &[&Image]) -> String {
    let names: Vec<_> = images.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}

/// The fault of a command that puts an image into the runtime.
fn refused(cause: Cause, error: &crate::system::CommandError) -> Fault {
    let full = |line: &String| line.to_lowercase().contains("no space left on device");
    let cause = if error.tail().iter().any(full) {
        Cause::ImagesDisk
    } else {
        cause
    };
    Fault::of_command(cause, error)
}
