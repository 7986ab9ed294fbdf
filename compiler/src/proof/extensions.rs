//! The rule about system extensions.

use std::collections::HashSet;

use anyhow::{Context as _, Result, bail, ensure};

use super::nodes::{DecodedCluster, DecodedNode};
use crate::node::EXTENSIONS;

/// The directory of the images.
const IMAGES: &str = "/var/lib/extensions/";

/// Every image that Ignition fetches has the hash in the list of extensions, and the list has every image.
pub(super) fn verified(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let list = node.files.get(EXTENSIONS);
    let mut fetched = HashSet::new();
    for line in list.into_iter().flat_map(|list| list.lines()) {
        let fields: Vec<_> = line.split(' ').collect();
        let [name, _, sha256, source] = fields[..] else {
            bail!("{EXTENSIONS} on {} has the line {line}", node.name);
        };
        let path = format!("{IMAGES}{name}.raw");
        if source == "ignition" {
            let hash = node.hashes.get(&path);
            let hash = hash.with_context(|| format!("{} does not fetch {path}", node.name))?;
            ensure!(
                *hash == format!("sha256-{sha256}"),
                "{} fetches {path} with another hash",
                node.name
            );
            fetched.insert(path);
        }
    }
    for (path, _) in node.own_files() {
        ensure!(
            !path.starts_with(IMAGES) || fetched.contains(path),
            "{path} on {} is in no list of extensions",
            node.name
        );
    }
    Ok(())
}
