//! Directory trees from the local disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::local::{self, LocalFiles};
use crate::tree::{self, entry, list, pair, text};
use crate::{encode, encode_as_is};
use nkd_document::yaml::{Entry, Node, Value};
use nkd_document::{Code, Diagnostics, Span};

/// Adds the files and links of trees to a config. If the config already has an entry for a path, the
/// entry gets its content from the tree and keeps all its other fields.
pub fn embed(config: &mut Node, trees: &Node, files: &LocalFiles<'_>, to: &mut Diagnostics) {
    for tree in trees.items() {
        let Some(local) = entry(tree, "local") else {
            continue;
        };
        let place = local.node.span;
        let name = local.node.as_text().unwrap_or_default();
        let Some(root) = files.path(name, place, to) else {
            continue;
        };
        if !root.is_dir() {
            let message = format!("`{}` is not a directory", root.display());
            to.report(Code::LocalFile, place, message);
            continue;
        }
        let base = text(tree, "path")
            .filter(|text| !text.is_empty())
            .unwrap_or("/");
        let mut walk = Walk {
            config,
            tree,
            place,
            to,
        };
        walk.directory(&root, &simplest(base));
    }
}

/// An absolute path in its shortest form, to which `/` and a name can be added. Any other path is
/// returned unchanged, and refused later.
fn simplest(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
}

struct Walk<'a> {
    config: &'a mut Node,
    /// The tree's item in the config.
    tree: &'a Node,
    place: Span,
    to: &'a mut Diagnostics,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, base: &str) {
        let read = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<PathBuf> = match read {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => return self.refuse(directory, &error.to_string()),
        };
        entries.sort();
        self.attributes(directory, base);
        for path in entries {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                self.refuse(&path, "the file name is not UTF-8 text");
                continue;
            };
            let target = format!("{base}/{name}");
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.directory(&path, &target),
                Ok(metadata) if metadata.is_symlink() => self.link(&path, &target),
                Ok(metadata) if metadata.is_file() => {
                    self.file(&path, &target, metadata.permissions().mode());
                }
                Ok(_) => self.refuse(&path, "not a regular file, directory or symbolic link"),
                Err(error) => self.refuse(&path, &error.to_string()),
            }
        }
    }

    fn file(&mut self, path: &Path, target: &str, mode: u32) {
        let place = self.place;
        let Some(content) = local::read(path, place, self.to) else {
            return;
        };
        let own_mode = self.mode("file_mode");
        let Some(file) = self.node("files", target) else {
            return self.refuse(path, &format!("the config already contains `{target}`"));
        };
        let source = tree::at(file, &["contents", "source"]);
        if source
            .and_then(Node::as_text)
            .is_some_and(|text| !text.is_empty())
        {
            return self.refuse(path, &format!("the config already contains `{target}`"));
        }
        let compressed = tree::at(file, &["contents", "compression"])
            .and_then(Node::as_text)
            .is_some_and(|text| !text.is_empty());
        if let Some(contents) = tree::mappings(file, &["contents"], place) {
            if compressed {
                tree::set(contents, pair(place, "source", encode_as_is(&content)));
            } else {
                let (source, compression) = encode(&content);
                tree::set(contents, pair(place, "source", source));
                tree::set(contents, pair(place, "compression", compression));
            }
        }
        if entry(file, "mode").is_none() {
            let mode: u32 = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
            tree::set(file, own_mode.unwrap_or_else(|| pair(place, "mode", mode)));
        }
    }

    fn link(&mut self, path: &Path, target: &str) {
        let place = self.place;
        let to = match fs::read_link(path) {
            Ok(to) => to.to_string_lossy().into_owned(),
            Err(error) => return self.refuse(path, &error.to_string()),
        };
        match self.node("links", target) {
            Some(link) if entry(link, "target").is_none() => {
                tree::set(link, pair(place, "target", to));
            }
            _ => self.refuse(path, &format!("the config already contains `{target}`")),
        }
    }

    /// Adds an entry for a directory if the tree has a mode for directories, or an owner.
    fn attributes(&mut self, directory: &Path, base: &str) {
        let mode = self.mode("dir_mode");
        if mode.is_none() && self.owner().next().is_none() {
            return;
        }
        let place = self.place;
        let path = if base.is_empty() { "/" } else { base };
        let mut kinds = ["files", "directories", "links"].into_iter();
        let is_it = |node: &Node| text(node, "path") == Some(path);
        if kinds.any(|kind| list(self.config, &["storage", kind]).iter().any(is_it)) {
            return self.refuse(directory, &format!("the config already contains `{path}`"));
        }
        if let Some(entry) = self.node("directories", path) {
            tree::set(
                entry,
                mode.unwrap_or_else(|| pair(place, "mode", 0o755_u32)),
            );
        }
    }

    /// The mode in a field of the tree.
    fn mode(&self, field: &str) -> Option<Entry> {
        let own = entry(self.tree, field)?;
        Some(Entry {
            key: "mode".to_owned(),
            ..own.clone()
        })
    }

    /// The owner of everything in the tree.
    fn owner(&self) -> impl Iterator<Item = Entry> {
        let fields = ["user", "group"].into_iter();
        fields.filter_map(|field| entry(self.tree, field).cloned())
    }

    /// The entry for a path, which is created if there is none; `None` if another kind of entry has this
    /// path.
    fn node(&mut self, kind: &str, path: &str) -> Option<&mut Node> {
        let place = self.place;
        let is_it = |node: &Node| text(node, "path") == Some(path);
        let mut others = ["files", "directories", "links"].into_iter();
        if others
            .any(|other| other != kind && list(self.config, &["storage", other]).iter().any(is_it))
        {
            return None;
        }
        let path_and_owner = [pair(place, "path", path)].into_iter().chain(self.owner());
        let path_and_owner = path_and_owner.collect::<Vec<_>>();
        let storage = tree::mappings(self.config, &["storage"], place)?;
        let nodes = tree::items_mut(storage, kind, place)?;
        let at = nodes.iter().position(is_it).unwrap_or_else(|| {
            nodes.push(Node {
                span: place,
                value: Value::Map(path_and_owner),
            });
            nodes.len() - 1
        });
        nodes.get_mut(at)
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        let message = format!("cannot embed `{}`: {why}", path.display());
        self.to.report(Code::LocalFile, self.place, message);
    }
}
