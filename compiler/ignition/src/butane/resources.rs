//! Contents that are written in the document or in a local file.

use super::local::LocalFiles;
use super::version::Version;
use crate::spec::{CONFIG, Item, Kind, Object};
use crate::tree::{self, entry, pair, text};
use crate::{encode, encode_as_is, plain};
use nkd_document::yaml::{Entry, Node, Value};
use nkd_document::{Code, Diagnostics, Span};

/// Replaces `inline`, `local` and `…_local` with data URLs, with the texts of units and with keys.
pub fn resolve(config: &mut Node, version: Version, local: &LocalFiles<'_>, to: &mut Diagnostics) {
    Resolver { version, local, to }.object(config, &CONFIG);
}

struct Resolver<'a> {
    version: Version,
    local: &'a LocalFiles<'a>,
    to: &'a mut Diagnostics,
}

impl Resolver<'_> {
    fn object(&mut self, node: &mut Node, object: &'static Object) {
        match object.name {
            "resource" | "reference" => self.resource(node),
            "unit" | "dropin" => self.unit(node),
            "user" => self.keys(node),
            _ => {}
        }
        for field in object.fields {
            match (field.kind, tree::child_mut(node, field.name)) {
                (Kind::Object(inner), Some(child)) => self.object(child, inner),
                (Kind::List(Item::Object(inner), _), Some(child)) => {
                    if let Value::List(items) = &mut child.value {
                        for item in items {
                            self.object(item, inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn resource(&mut self, node: &mut Node) {
        if !self.no_two(node, ["inline", "local", "source"]) {
            return;
        }
        let inline = tree::take(node, "inline");
        let local = tree::take(node, "local");
        let Some((content, place)) = self.content(inline, local) else {
            return;
        };
        let given = text(node, "compression").is_some_and(|text| !text.is_empty());
        let (source, compression) = if self.version.minor == 0 {
            (plain(&content), None)
        } else if given {
            // The user says that it is compressed already.
            (encode_as_is(&content), None)
        } else {
            // Always given, so that nothing is inherited when configs are merged.
            let (source, compression) = encode(&content);
            (source, Some(compression))
        };
        tree::set(node, pair(place, "source", source));
        if let Some(compression) = compression {
            tree::set(node, pair(place, "compression", compression));
        }
    }

    fn unit(&mut self, node: &mut Node) {
        if !self.no_two(node, ["contents", "contents_local"]) {
            return;
        }
        let local = tree::take(node, "contents_local");
        // Butane takes an empty name for none.
        let Some(local) = local.filter(|entry| entry.node.as_text() != Some("")) else {
            return;
        };
        let Some((content, place)) = self.content(None, Some(local)) else {
            return;
        };
        if let Some(text) = self.utf8(content, place) {
            tree::set(node, pair(place, "contents", text));
        }
    }

    fn keys(&mut self, node: &mut Node) {
        let Some(files) = tree::take(node, "ssh_authorized_keys_local") else {
            return;
        };
        for file in files.node.items() {
            let name = file.as_text().unwrap_or_default();
            let Some(content) = self.local.read(name, file.span, self.to) else {
                continue;
            };
            let Some(text) = self.utf8(content, file.span) else {
                continue;
            };
            let lines = text.lines().filter(|line| !line.is_empty());
            if let Some(keys) = tree::items_mut(node, "sshAuthorizedKeys", file.span) {
                keys.extend(lines.map(|line| tree::node(file.span, line)));
            }
        }
    }

    /// The inline text, or the content of the local file.
    fn content(&mut self, inline: Option<Entry>, local: Option<Entry>) -> Option<(Vec<u8>, Span)> {
        if let Some(inline) = inline {
            let text = inline.node.as_text()?;
            return Some((text.as_bytes().to_vec(), inline.node.span));
        }
        let local = local?.node;
        let content = self.local.read(local.as_text()?, local.span, self.to)?;
        Some((content, local.span))
    }

    fn utf8(&mut self, content: Vec<u8>, place: Span) -> Option<String> {
        let text = String::from_utf8(content).ok();
        if text.is_none() {
            let message = "the file is not UTF-8 text";
            self.to.report(Code::LocalFile, place, message);
        }
        text
    }

    fn no_two<const N: usize>(&mut self, node: &Node, keys: [&str; N]) -> bool {
        let given: Vec<&Entry> = keys.iter().filter_map(|key| entry(node, key)).collect();
        let [first, second, ..] = given.as_slice() else {
            return true;
        };
        let message = format!(
            "`{}` and `{}` cannot be used together",
            first.key, second.key
        );
        self.to
            .report(Code::ButaneConflict, second.key_span, message);
        false
    }
}
