//! The fields of an overlay document, checked for the cluster's version.

use std::collections::BTreeMap;

use super::unknown;
use crate::releases::{self, Field, Type};
use nkd_document::yaml::{self, Entry, Node, Value};
use nkd_document::{Code, Diagnostics};
use nkd_model::version::{KubeadmApi, Version};

/// Reports the fields of a document that the version does not have or that are of another type. `api` is the version
/// of kubeadm's API that the document is written in, if it is one of kubeadm's.
pub fn check(
    kind: &str,
    document: &Node,
    version: Version,
    api: Option<KubeadmApi>,
    to: &mut Diagnostics,
) {
    let checker = Checker { version, api };
    checker.object(kind, document, "", to);
}

struct Checker {
    version: Version,
    api: Option<KubeadmApi>,
}

impl Checker {
    fn object(&self, kind: &str, node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::Map(entries) = &node.value else {
            return wrong_type(node, path, "a mapping", to);
        };
        let fields = releases::fields(kind);
        for entry in entries {
            let path_of_entry = if path.is_empty() {
                entry.key.clone()
            } else {
                format!("{path}.{}", entry.key)
            };
            if path_of_entry == "apiVersion" || path_of_entry == "kind" {
                continue;
            }
            match fields.and_then(|fields| fields.get(&entry.key)) {
                Some(field) if field.is_in(self.version.minor) => {
                    self.value(&field.kind, &entry.node, &path_of_entry, to);
                }
                Some(field) => self.not_in_version(field, entry, &path_of_entry, to),
                None => self.unknown_field(fields, entry, &path_of_entry, to),
            }
        }
    }

    fn not_in_version(&self, field: &Field, entry: &Entry, path: &str, to: &mut Diagnostics) {
        let message = if self.version.minor < field.since {
            format!("`{path}` requires Kubernetes 1.{} or later", field.since)
        } else {
            format!(
                "`{path}` does not exist in Kubernetes 1.{} and later",
                field.until + 1
            )
        };
        to.report(Code::OverlayField, entry.key_span, message);
    }

    fn unknown_field(
        &self,
        fields: Option<&BTreeMap<String, Field>>,
        entry: &Entry,
        path: &str,
        to: &mut Diagnostics,
    ) {
        let known = fields.into_iter().flatten();
        let names = known
            .filter(|(_, field)| field.is_in(self.version.minor))
            .map(|(name, _)| name.as_str());
        let message = format!("unknown field `{path}`");
        let help = yaml::suggest(&entry.key, names);
        let (code, span) = (Code::OverlayField, entry.key_span);
        unknown::report(self.version, code, span, &message, &help, to);
    }

    fn value(&self, kind: &Type, node: &Node, path: &str, to: &mut Diagnostics) {
        if node.value == Value::Null {
            return;
        }
        match (kind, &node.value) {
            (Type::Any, _)
            | (Type::Text | Type::Quantity, Value::Text(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::Number | Type::Quantity, Value::Number(_)) => {}
            (Type::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {}
            (Type::Text | Type::Quantity, _) => wrong_type(node, path, "text", to),
            (Type::Boolean, _) => wrong_type(node, path, "a boolean", to),
            (Type::Number, _) => wrong_type(node, path, "a number", to),
            (Type::Integer, _) => wrong_type(node, path, "a whole number", to),
            (Type::Arguments, _) if self.api < Some(KubeadmApi::V1Beta4) => {
                self.map(&Type::Text, node, path, to);
            }
            (Type::Arguments, _) => self.list(&Type::Object("Arg".to_owned()), node, path, to),
            (Type::Words(words), _) => self.one_of(words, node, path, to),
            (Type::List(item), _) => self.list(item, node, path, to),
            (Type::Map(item), _) => self.map(item, node, path, to),
            (Type::Object(name), _) => self.object(name, node, path, to),
        }
    }

    fn list(&self, item: &Type, node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::List(items) = &node.value else {
            return wrong_type(node, path, "a list", to);
        };
        for (index, value) in items.iter().enumerate() {
            self.value(item, value, &format!("{path}[{index}]"), to);
        }
    }

    fn map(&self, item: &Type, node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::Map(entries) = &node.value else {
            return wrong_type(node, path, "a mapping", to);
        };
        for entry in entries {
            self.value(item, &entry.node, &format!("{path}.{}", entry.key), to);
        }
    }

    /// Reports a word that is not one of several. To Kubernetes, an empty word is the default.
    fn one_of(&self, words: &[String], node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::Text(text) = &node.value else {
            return wrong_type(node, path, "text", to);
        };
        if !text.is_empty() && !words.contains(text) {
            let message = format!("`{path}` does not allow the value `{text}`");
            let help = yaml::suggest(text, words.iter().map(String::as_str));
            let code = Code::OverlayType;
            unknown::report(self.version, code, node.span, &message, &help, to);
        }
    }
}

fn wrong_type(node: &Node, path: &str, wanted: &str, to: &mut Diagnostics) {
    let subject = if path.is_empty() {
        "the document"
    } else {
        &format!("`{path}`")
    };
    let message = format!("{subject} must be {wanted}, but this is {}", node.kind());
    to.report(Code::OverlayType, node.span, message);
}
