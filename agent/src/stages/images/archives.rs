//! Images from a directory of archives.

use std::io;
use std::path::PathBuf;

use nkd_contract::{Cause, Image, Progress, Unit};

use super::{Fault, Node, import_failed, listed};
use crate::runtimes::ImageStore;

pub(super) fn import<'a>(
    node: &mut Node<'a>,
    store: &dyn ImageStore,
    directory: &str,
    mut missing: Vec<&'a Image>,
) -> Result<(), Fault> {
    if missing.is_empty() {
        return Ok(());
    }
    let archives = archives(node, directory)?;
    let total = archives.len() as u64;
    if !archives.is_empty() {
        store.forget_cut_off_loads().map_err(import_failed)?;
    }
    for (done, archive) in (0..).zip(&archives) {
        if missing.is_empty() {
            break;
        }
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        let unit = Unit::Archives;
        node.progress(
            format!("importing {name}"),
            Some(Progress::new(done, total, unit)),
        );
        let names: Vec<_> = missing.iter().map(|image| image.name.as_str()).collect();
        store.import(archive, &names).map_err(import_failed)?;
        missing = super::missing(node, store)?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = listed(&missing);
    let message = format!("none of the {total} archives in {directory} has {missing}");
    Err(Fault::new(Cause::ImagesMissing, message))
}

/// The archives of the directory, in the order of their names.
fn archives(node: &Node<'_>, directory: &str) -> Result<Vec<PathBuf>, Fault> {
    let unreadable =
        |error: io::Error| Fault::of(Cause::ImagesMissing, error).context(directory.to_owned());
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
