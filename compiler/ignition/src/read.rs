//! Reads a config by the table of Ignition's fields. Unknown keys, wrong types and fields of another
//! version are reported by their full names, and reading continues.

use super::spec::{CONFIG, Field, Item, Kind, Object};
use super::tree;
use nkd_document::yaml::{self, Entry, Node, Value};
use nkd_document::{Code, Diagnostics, Reported};

/// A format in which a config is written.
pub trait Format {
    /// All fields of an object in any version, with their names in this format.
    fn fields(&self, object: &'static Object) -> Vec<(String, &'static Field)>;

    /// Whether a field is required.
    fn needs(&self, _: &'static Object, field: &Field) -> bool {
        field.needed
    }

    /// Why a field does not exist in this version.
    fn lacks(&self, object: &'static Object, field: &Field) -> Option<Lack>;

    /// The value that a node stands for, if the format has several ways to write it.
    fn value(&self, node: &Node, wanted: Kind, to: &Diagnostics) -> Option<Value>;
}

/// Why a field cannot be used, and what to do.
pub struct Lack {
    /// The rest of a sentence that begins with the field.
    pub why: String,
    /// An instruction.
    pub help: &'static str,
}

impl Lack {
    /// A later version of the config has the field.
    pub fn in_version(why: String) -> Self {
        Self {
            why,
            help: Code::IgnitionVersion.help(),
        }
    }
}

/// Reads a config. The result has Ignition's names of the fields. Parts with errors are reported and left
/// out.
///
/// # Errors
/// The config is not a mapping.
pub fn config(node: &Node, format: &dyn Format, to: &mut Diagnostics) -> Result<Node, Reported> {
    Reader { format, to }.object(node, &CONFIG, "")
}

struct Reader<'a> {
    format: &'a dyn Format,
    to: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn object(
        &mut self,
        node: &Node,
        object: &'static Object,
        path: &str,
    ) -> Result<Node, Reported> {
        let Value::Map(entries) = &node.value else {
            return Err(self.wrong_type(node, path, "a mapping"));
        };
        let fields = self.format.fields(object);
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = join(path, &entry.key);
            let Some((_, field)) = fields.iter().find(|(name, _)| *name == entry.key) else {
                let known = fields.iter().filter(|field| self.is_known(object, field.1));
                let help = yaml::suggest(&entry.key, known.map(|(name, _)| name.as_str()));
                let message = format!("unknown key `{name}`");
                self.to
                    .report_with_help(Code::UnknownKey, entry.key_span, message, help);
                continue;
            };
            if let Some(Lack { why, help }) = self.format.lacks(object, field) {
                let message = format!("`{name}` {why}");
                self.to
                    .report_with_help(Code::IgnitionVersion, entry.key_span, message, help);
            }
            if entry.node.value != Value::Null
                && let Ok(node) = self.value(&entry.node, field.kind, &name)
            {
                read.push(Entry {
                    key: field.name.to_owned(),
                    key_span: entry.key_span,
                    node,
                });
            }
        }
        let written = |name: &str| {
            let mut values = entries.iter().filter(|entry| entry.key == name);
            values.any(|entry| entry.node.value != Value::Null)
        };
        for (name, field) in fields {
            if self.format.needs(object, field) && !written(&name) {
                let message = format!("`{}` is missing", join(path, &name));
                let help = format!("add it: every {} must have one", object.name);
                self.to
                    .report_with_help(Code::MissingKey, node.span, message, help);
            }
        }
        Ok(tree::node(node.span, read))
    }

    fn is_known(&self, object: &'static Object, field: &Field) -> bool {
        self.format.lacks(object, field).is_none()
    }

    fn value(&mut self, node: &Node, kind: Kind, path: &str) -> Result<Node, Reported> {
        let value = self.format.value(node, kind, self.to);
        let value = value.unwrap_or_else(|| node.value.clone());
        match (kind, &value) {
            (Kind::Object(object), _) => self.object(node, object, path),
            (Kind::List(item, _), Value::List(nodes)) => {
                let nodes = nodes.iter().enumerate();
                let read = nodes.filter_map(|(index, node)| {
                    self.item(node, item, &format!("{path}[{index}]")).ok()
                });
                let read: Vec<Node> = read.collect();
                Ok(tree::node(node.span, read))
            }
            (Kind::Text, Value::Text(_)) | (Kind::Bool, Value::Bool(_)) => {
                Ok(tree::node(node.span, value))
            }
            (Kind::Whole, Value::Number(number)) if number.is_i64() => {
                Ok(tree::node(node.span, value))
            }
            (Kind::List(..), _) => Err(self.wrong_type(node, path, "a list")),
            (Kind::Text, _) => Err(self.wrong_type(node, path, "text")),
            (Kind::Bool, _) => Err(self.wrong_type(node, path, "`true` or `false`")),
            (Kind::Whole, _) => Err(self.wrong_type(node, path, "a whole number")),
        }
    }

    fn item(&mut self, node: &Node, item: Item, path: &str) -> Result<Node, Reported> {
        match item {
            Item::Text => self.value(node, Kind::Text, path),
            Item::Object(object) => self.object(node, object, path),
        }
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) -> Reported {
        let name = if path.is_empty() {
            "the document".to_owned()
        } else {
            format!("`{path}`")
        };
        let message = format!("{name} must be {wanted}, but this is {}", node.kind());
        let help = "see Ignition's or Butane's reference for this version";
        self.to
            .report_with_help(Code::WrongType, node.span, message, help)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The JSON format of Ignition.
pub struct Json {
    /// The minor version of the config.
    pub minor: u8,
    /// The minor version in which the config will be written.
    pub target: u8,
}

impl Format for Json {
    fn fields(&self, object: &'static Object) -> Vec<(String, &'static Field)> {
        let fields = object.fields.iter();
        fields.map(|field| (field.name.to_owned(), field)).collect()
    }

    fn lacks(&self, _: &'static Object, field: &Field) -> Option<Lack> {
        lacks(
            field.since,
            self.minor,
            "but this config is version",
            self.target,
        )
    }

    fn value(&self, _: &Node, _: Kind, _: &Diagnostics) -> Option<Value> {
        None
    }
}

/// Why a field does not exist in a version, or cannot be written in another version.
pub fn lacks(since: u8, minor: u8, what: &str, target: u8) -> Option<Lack> {
    if since > target {
        let why =
            format!("requires Ignition 3.{since}.0, but nodes get configs of version 3.{target}.0");
        let help = "remove the field: nodes cannot read it, whatever the version of this config is";
        Some(Lack { why, help })
    } else if since > minor {
        let why = format!("requires Ignition 3.{since}.0, {what} 3.{minor}.0");
        Some(Lack::in_version(why))
    } else {
        None
    }
}
