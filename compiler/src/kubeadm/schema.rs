//! Which fields kubeadm, kubelet and kube-proxy know in which version.

use std::collections::HashMap;

use nkd_document::yaml::{self, Node, Value};
use nkd_document::{Code, Diagnostics};
use nkd_model::version::{KubeadmApi, Version};

/// One file per API group; see their first lines for the format.
const TABLES: [&str; 3] = [
    include_str!("fields/kubeadm.txt"),
    include_str!("fields/kubelet.txt"),
    include_str!("fields/kube-proxy.txt"),
];

struct Field {
    kind: &'static str,
    since: u32,
    until: u32,
}

type Types = HashMap<&'static str, HashMap<&'static str, Field>>;

/// Reports the fields of a document that the version doesn't know or that are of another type.
pub fn check(kind: &str, document: &Node, version: Version, to: &mut Diagnostics) {
    let checker = Checker {
        types: types(),
        version,
    };
    checker.object(kind, document, "", to);
}

/// The tables: a line without indent begins a type, an indented one is `field type [1.x-1.y]`.
fn types() -> Types {
    let mut types = Types::new();
    let mut current = "";
    for line in TABLES.iter().flat_map(|table| table.lines()) {
        let words: Vec<_> = line.split_whitespace().collect();
        if line.starts_with('#') {
            continue;
        }
        match (line.starts_with(' '), words.as_slice()) {
            (false, [name, ..]) => current = name,
            (true, [name, kind, rest @ ..]) => {
                let (since, until) = rest.first().map_or((0, u32::MAX), |range| minors(range));
                let field = Field { kind, since, until };
                types.entry(current).or_default().insert(name, field);
            }
            _ => {}
        }
    }
    types
}

/// `20-23`, `24-` or `-23`.
fn minors(range: &str) -> (u32, u32) {
    let (since, until) = range.split_once('-').unwrap_or((range, range));
    (
        since.parse().unwrap_or(0),
        until.parse().unwrap_or(u32::MAX),
    )
}

struct Checker {
    types: Types,
    version: Version,
}

impl Checker {
    fn object(&self, kind: &str, node: &Node, path: &str, to: &mut Diagnostics) {
        let Value::Map(entries) = &node.value else {
            return wrong_type(node, path, "a mapping", to);
        };
        let fields = self.types.get(kind);
        for entry in entries {
            let field = fields.and_then(|fields| fields.get(entry.key.as_str()));
            let path = if path.is_empty() {
                entry.key.clone()
            } else {
                format!("{path}.{}", entry.key)
            };
            let minor = self.version.minor;
            match field {
                _ if path == "apiVersion" || path == "kind" => {}
                Some(field) if (field.since..=field.until).contains(&minor) => {
                    self.value(field.kind, &entry.node, &path, to);
                }
                Some(field) => {
                    let message = if minor < field.since {
                        format!("`{path}` requires Kubernetes 1.{} or later", field.since)
                    } else {
                        format!(
                            "`{path}` does not exist in Kubernetes 1.{} and later",
                            field.until + 1
                        )
                    };
                    to.report(Code::OverlayField, entry.key_span, message);
                }
                None => {
                    let message = format!("unknown field `{path}`");
                    let known = fields.into_iter().flatten();
                    let known =
                        known.filter(|(_, field)| (field.since..=field.until).contains(&minor));
                    let mut names: Vec<_> = known.map(|(name, _)| *name).collect();
                    names.sort_unstable();
                    let help = yaml::suggest(&entry.key, names.iter().copied());
                    to.report_with_help(Code::OverlayField, entry.key_span, message, help);
                }
            }
        }
    }

    fn value(&self, kind: &str, node: &Node, path: &str, to: &mut Diagnostics) {
        if node.value == Value::Null {
            return;
        }
        if let Some(item) = kind.strip_prefix("[]") {
            let Value::List(items) = &node.value else {
                return wrong_type(node, path, "a list", to);
            };
            for (index, node) in items.iter().enumerate() {
                self.value(item, node, &format!("{path}[{index}]"), to);
            }
            return;
        }
        if let Some(item) = kind.strip_prefix("map:") {
            let Value::Map(entries) = &node.value else {
                return wrong_type(node, path, "a mapping", to);
            };
            for entry in entries {
                self.value(item, &entry.node, &format!("{path}.{}", entry.key), to);
            }
            return;
        }
        if kind.contains('|') {
            return one_of(kind, node, path, to);
        }
        let good = match (kind, &node.value) {
            ("any", _)
            | ("string" | "duration" | "quantity", Value::Text(_))
            | ("bool", Value::Bool(_))
            | ("number" | "quantity", Value::Number(_)) => true,
            ("int", Value::Number(number)) => number.is_i64() || number.is_u64(),
            ("args", _) if self.version.kubeadm_api() < KubeadmApi::V1Beta4 => {
                return self.value("map:string", node, path, to);
            }
            ("args", _) => return self.value("[]Arg", node, path, to),
            ("string" | "duration" | "quantity" | "bool" | "number" | "int", _) => false,
            (object, _) => return self.object(object, node, path, to),
        };
        if !good {
            let wanted = match kind {
                "bool" => "a boolean",
                "number" => "a number",
                "int" => "a whole number",
                _ => "text",
            };
            wrong_type(node, path, wanted, to);
        }
    }
}

/// A word that isn't one of several; to Kubernetes, none at all is the default.
fn one_of(words: &str, node: &Node, path: &str, to: &mut Diagnostics) {
    let Value::Text(text) = &node.value else {
        return wrong_type(node, path, "text", to);
    };
    let words = words.split('|');
    if !text.is_empty() && !words.clone().any(|word| word == text) {
        let message = format!("`{path}` does not allow the value `{text}`");
        let help = yaml::suggest(text, words);
        to.report_with_help(Code::OverlayType, node.span, message, help);
    }
}

fn wrong_type(node: &Node, path: &str, wanted: &str, to: &mut Diagnostics) {
    let path = if path.is_empty() {
        "the document"
    } else {
        &format!("`{path}`")
    };
    let message = format!("{path} must be {wanted}, but this is {}", node.kind());
    to.report(Code::OverlayType, node.span, message);
}

#[cfg(test)]
mod tests {
    use super::types;

    #[test]
    fn every_type_a_field_names_is_in_the_tables() {
        const SCALARS: [&str; 8] = [
            "any", "args", "bool", "duration", "int", "number", "quantity", "string",
        ];
        let types = types();
        for (name, fields) in &types {
            for (field, it) in fields {
                let kind = it.kind.trim_start_matches("[]").trim_start_matches("map:");
                let kind = kind.trim_start_matches("[]");
                assert!(
                    SCALARS.contains(&kind) || kind.contains('|') || types.contains_key(kind),
                    "{name}.{field} is of the unknown type {kind}"
                );
                assert!(it.since <= it.until, "{name}.{field}");
            }
        }
    }
}
