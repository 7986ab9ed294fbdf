//! The fields of an overlay document, checked for the cluster's version.

use std::collections::BTreeMap;

use super::{formats, unknown};
use crate::releases::{self, Field, Type, Word};
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
            | (Type::Text, Value::Text(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::Number | Type::Quantity, Value::Number(_)) => {}
            (
                Type::Quantity
                | Type::TextQuantity
                | Type::Threshold
                | Type::Duration
                | Type::Address,
                Value::Text(text),
            ) => formatted(kind, text, node, path, to),
            (Type::Integer(least, most), Value::Number(number))
                if number.is_i64() || number.is_u64() =>
            {
                let value = number.as_i64().unwrap_or(i64::MAX);
                in_range(value, (*least, *most), node, path, to);
            }
            (
                Type::Text
                | Type::Quantity
                | Type::TextQuantity
                | Type::Threshold
                | Type::Duration
                | Type::Address,
                _,
            ) => wrong_type(node, path, "text", to),
            (Type::Boolean, _) => wrong_type(node, path, "a boolean", to),
            (Type::Number, _) => wrong_type(node, path, "a number", to),
            (Type::Integer(..), _) => wrong_type(node, path, "a whole number", to),
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

    /// Reports a word that the version does not have. To Kubernetes, an empty word is the default.
    fn one_of(&self, words: &[Word], node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::Text(text) = &node.value else {
            return wrong_type(node, path, "text", to);
        };
        let minor = self.version.minor;
        let is_in = |word: &&Word| (word.since..=word.until).contains(&minor);
        let known = words.iter().filter(is_in).map(|word| word.text.as_str());
        if text.is_empty() || known.clone().any(|word| word == text) {
            return;
        }
        let (code, span) = (Code::OverlayType, node.span);
        if let Some(word) = words.iter().find(|word| word.text == *text) {
            let message = if minor < word.since {
                format!(
                    "`{path}: {text}` requires Kubernetes 1.{} or later",
                    word.since
                )
            } else {
                let gone = word.until + 1;
                format!("`{path}: {text}` does not exist in Kubernetes 1.{gone} and later")
            };
            to.report_with_help(code, span, message, yaml::suggest("", known));
        } else {
            let message = format!("`{path}` does not allow the value `{text}`");
            let help = yaml::suggest(text, known);
            unknown::report(self.version, code, span, &message, &help, to);
        }
    }
}

/// Reports a text that its type does not allow.
fn formatted(kind: &Type, text: &str, node: &Node, path: &str, to: &mut Diagnostics) {
    let (good, what, example) = match kind {
        Type::Duration => (
            formats::duration(text).is_some(),
            "a duration",
            "write numbers with units, such as 90s, 1m30s or 24h",
        ),
        Type::Address => (
            text.parse::<std::net::IpAddr>().is_ok(),
            "an IP address",
            "write an address such as 10.96.0.10",
        ),
        Type::Threshold => (
            formats::is_threshold(text),
            "a quantity or a percentage",
            "write a quantity such as 100Mi, or a percentage such as 10%",
        ),
        _ => (
            formats::is_quantity(text),
            "a quantity",
            "write a quantity such as 500m, 2 or 1Gi",
        ),
    };
    if !good {
        let message = format!("`{path}` is not {what}: `{text}`");
        to.report_with_help(Code::OverlayValue, node.span, message, example);
    }
}

/// Reports a number that Kubernetes would refuse.
fn in_range(value: i64, (least, most): (i64, i64), node: &Node, path: &str, to: &mut Diagnostics) {
    let help = match (least, most) {
        _ if (least..=most).contains(&value) => return,
        (i64::MIN, most) => format!("use a number up to {most}"),
        (least, i64::MAX) => format!("use a number from {least}"),
        (least, most) => format!("use a number from {least} to {most}"),
    };
    let message = format!("`{path}` does not allow the number {value}");
    to.report_with_help(Code::OverlayValue, node.span, message, help);
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
