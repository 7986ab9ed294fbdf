//! `images`: every image the plan names is in the runtime, and the kubelet's garbage collector
//! leaves it there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use nkd_contract::{Cause, ImageSource, Progress, Runtime, Unit};

use super::{Fault, Node, runtime};
use crate::system::Command;

/// The containerd namespace that CRI uses.
const NAMESPACE: &str = "k8s.io";
/// The label that keeps an image from garbage collection (containerd, CRI plugin, "Image
/// pinning").
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// A single archive may be several gigabytes on a slow disk.
const IMPORT: Duration = Duration::from_secs(20 * 60);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let ImageSource::Directory(directory) = &node.plan.images.source else {
        // kubeadm and kubelet pull what they need, and say what they can't.
        return Ok(());
    };
    let directory = directory.clone();
    match node.plan.runtime {
        Runtime::Containerd => into_containerd(node, &directory),
        // The compiler refuses such a cluster file.
        runtime => Err(Fault::new(
            Cause::ImagesMissing,
            format!("this agent can't load archives of {directory} into {runtime}"),
        )),
    }
}

fn into_containerd(node: &mut Node<'_>, directory: &str) -> Result<(), Fault> {
    let mut missing = missing(node)?;
    let archives = if missing.is_empty() {
        Vec::new()
    } else {
        archives(node, directory)?
    };
    let total = archives.len() as u64;
    if !archives.is_empty() {
        forget_cut_off_imports(node)?;
    }
    for (done, archive) in (0..).zip(&archives) {
        if missing.is_empty() {
            break;
        }
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        let unit = Unit::Archives;
        node.progress(
            format!("importing {name}"),
            Some(Progress { done, total, unit }),
        );
        ctr(node)
            .args(["images", "import"])
            .args([archive])
            .timeout(IMPORT)
            .run()
            .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))?;
        missing = self::missing(node)?;
    }
    if missing.is_empty() {
        return pin(node);
    }
    let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("in none of the {total} archives of {directory}: {missing}");
    Err(Fault::new(Cause::ImagesMissing, message))
}

fn ctr(node: &Node<'_>) -> Command {
    runtime::client(node.root, node.plan.runtime).args(["--namespace", NAMESPACE])
}

/// An import that was cut off leaves half-written blobs, held by its lease for a day and named as
/// in its archive, such as `layer.tar`. containerd would go on writing them from another archive
/// with the same names, and fail for good. Without their lease they are collected.
fn forget_cut_off_imports(node: &Node<'_>) -> Result<(), Fault> {
    let failed = |error| Fault::of_command(Cause::ImagesImport, &error);
    let leases = ctr(node)
        .args(["leases", "list", "--quiet"])
        .read()
        .map_err(failed)?;
    for lease in leases
        .lines()
        .map(str::trim)
        .filter(|lease| !lease.is_empty())
    {
        ctr(node)
            .args(["leases", "delete", "--sync", lease])
            .read()
            .map_err(failed)?;
    }
    Ok(())
}

/// The plan's images that the runtime doesn't have.
fn missing(node: &Node<'_>) -> Result<BTreeSet<String>, Fault> {
    let present = ctr(node)
        .args(["images", "list", "--quiet"])
        .read()
        .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))?;
    let present: BTreeSet<_> = present.lines().map(str::trim).collect();
    let required = node
        .plan
        .images
        .required
        .iter()
        .map(|image| image.name.clone());
    Ok(required
        .filter(|name| !present.contains(name.as_str()))
        .collect())
}

/// The archives of the directory, in the order of their names.
fn archives(node: &Node<'_>, directory: &str) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |error| Fault::new(Cause::ImagesMissing, format!("{directory}: {error}"));
    let mut archives = Vec::new();
    for entry in node.root.path(directory).read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            archives.push(path);
        }
    }
    archives.sort();
    Ok(archives)
}

fn pin(node: &Node<'_>) -> Result<(), Fault> {
    for image in &node.plan.images.required {
        ctr(node)
            .args(["images", "label", &image.name, PINNED])
            .read()
            .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))?;
    }
    Ok(())
}
