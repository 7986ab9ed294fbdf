//! The user's files in directories that `kubeadm reset` empties. After a failed attempt the agent resets
//! the node, and before each attempt it fills these directories from `/etc/nkd`. A copy in `/etc/nkd`
//! therefore keeps the user's files as well.

use nkd_contract::paths;
use nkd_document::yaml;
use nkd_ignition::tree::{self, entry, list, pair};
use nkd_model::UserConfig;

/// The directories that `kubeadm reset` empties, and the directories from which the agent fills them.
const DIRECTORIES: [(&str, &str); 2] = [
    (paths::KUBERNETES_PKI, paths::PKI),
    (paths::KUBERNETES_MANIFESTS, paths::MANIFESTS),
];

/// The path of the copy, if a file with this path needs one.
pub(crate) fn copy(path: &str) -> Option<String> {
    DIRECTORIES.iter().find_map(|(emptied, kept)| {
        let name = path.strip_prefix(emptied)?;
        name.starts_with('/').then(|| format!("{kept}{name}"))
    })
}

/// Adds the copies to a config.
pub(super) fn add_copies(config: &mut yaml::Node) {
    let files = list(config, &["storage", "files"]).iter();
    let copies = files.filter_map(|file| {
        let path = entry(file, "path")?;
        let copy = copy(path.node.as_text()?)?;
        let mut file = file.clone();
        tree::set(&mut file, pair(path.node.span, "path", copy));
        Some(file)
    });
    let copies: Vec<_> = copies.collect();
    let span = config.span;
    if !copies.is_empty()
        && let Some(storage) = tree::mappings(config, &["storage"], span)
        && let Some(files) = tree::items_mut(storage, "files", span)
    {
        files.extend(copies);
    }
}

/// Whether a config puts something into the directory of static pods.
pub(crate) fn has_static_pods(config: &UserConfig) -> bool {
    config.paths().any(|path| {
        let name = path.path.strip_prefix(paths::KUBERNETES_MANIFESTS);
        name.is_some_and(|name| name.starts_with('/'))
    })
}
