//! Reads a document into types that derive serde's `Deserialize` and schemars' `JsonSchema`.
//!
//! Serde stops at the first error, and cannot tell a key that is missing from one that is wrong.
//! So the document is first compared with the schema of the types: everything wrong is reported
//! with its place and left out, defaults are filled in, and what remains is deserialized.

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::node::{Entry, Node, Value};
use crate::{Code, Diagnostics, Reported, Span};

const WHOLE: &str = "a whole number that is not negative";

/// Reads a document. Keys that are unknown, missing, of the wrong type or outside of their range are
/// reported. A key whose value is wrong is read as absent, so that the checks after this see all the rest.
/// Where a default is, it has the place of its mapping.
///
/// # Errors
/// When nothing can be read, because the document or a value that is always needed is wrong.
pub fn read<T: DeserializeOwned + JsonSchema>(
    document: &Node,
    diagnostics: &mut Diagnostics,
) -> Result<T, Reported> {
    let before = diagnostics.len();
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let schema = schema.as_value();
    let mut comparison = Comparison {
        definitions: &schema["$defs"],
        diagnostics,
    };
    let fitting = comparison.value(document, schema, "");
    let read = match &fitting {
        Some(fitting) => T::deserialize(fitting).map_err(|error| error.to_string()),
        None => Err("the document has the wrong type".to_owned()),
    };
    read.map_err(|problem| {
        if let Err(reported) = diagnostics.as_result_since(before) {
            return reported;
        }
        debug_assert!(false, "the schema accepts what the type refuses: {problem}");
        diagnostics.report(Code::WrongType, document.span, problem)
    })
}

/// The words a schema allows, if it is one of words.
pub fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    let all = schema
        .get("enum")
        .or_else(|| schema.get("oneOf"))?
        .as_array()?;
    all.iter()
        .map(|word| word.as_str().or_else(|| word.get("const")?.as_str()))
        .collect()
}

/// A schema without the `null` of an optional value, and whether it had one.
pub fn without_null<'a>(schema: &'a Json, definitions: &'a Json) -> (&'a Json, bool) {
    let is_null = |schema: &Json| schema.get("type").is_some_and(|kind| kind == "null");
    let alternatives = schema.get("anyOf").and_then(Json::as_array);
    let alternatives = alternatives.filter(|all| all.iter().any(is_null));
    let value = alternatives.and_then(|all| all.iter().find(|schema| !is_null(schema)));
    let nullable = value.is_some() || schema.get("type").is_some_and(Json::is_array);
    let value = value.unwrap_or(schema);
    let reference = value.get("$ref").and_then(Json::as_str);
    let definition = reference.and_then(|name| definitions.get(name.rsplit('/').next()?));
    (definition.unwrap_or(value), nullable)
}

struct Comparison<'a> {
    definitions: &'a Json,
    diagnostics: &'a mut Diagnostics,
}

impl Comparison<'_> {
    /// The part of a node that fits a schema.
    fn value(&mut self, node: &Node, schema: &Json, path: &str) -> Option<Node> {
        let (schema, _) = without_null(schema, self.definitions);
        if let Some(words) = words(schema) {
            return self.word(node, &words, schema, path);
        }
        let kind = schema
            .get("type")
            .and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
        let value = match (kind?, &node.value) {
            ("object", Value::Map(entries)) => {
                Value::Map(self.entries(node.span, entries, schema, path))
            }
            ("array", Value::List(nodes)) => {
                let item =
                    |(index, node)| self.value(node, &schema["items"], &format!("{path}[{index}]"));
                Value::List(nodes.iter().enumerate().filter_map(item).collect())
            }
            ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) => node.value.clone(),
            ("integer", Value::Number(number)) if number.as_u64().is_some() => self
                .in_range(number.as_u64()?, node, schema, path)
                .then(|| node.value.clone())?,
            (kind, _) => {
                self.wrong_type(node, path, kind, schema);
                return None;
            }
        };
        Some(Node {
            span: node.span,
            value,
        })
    }

    fn entries(&mut self, span: Span, entries: &[Entry], schema: &Json, path: &str) -> Vec<Entry> {
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .unwrap_or(&none);
        let further = schema
            .get("additionalProperties")
            .filter(|further| further.is_object());
        let mut fitting = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = join(path, &entry.key);
            let Some(property) = properties.get(&entry.key).or(further) else {
                let help = suggest(&entry.key, properties.keys().map(String::as_str));
                let message = format!("unknown key `{name}`");
                self.diagnostics
                    .report_with_help(Code::UnknownKey, entry.key_span, message, help);
                continue;
            };
            // A known key without a value is the same as none.
            let is_absent = entry.node.value == Value::Null && properties.contains_key(&entry.key);
            if !is_absent && let Some(node) = self.value(&entry.node, property, &name) {
                fitting.push(Entry {
                    node,
                    ..entry.clone()
                });
            }
        }
        let written = |key: &str| {
            entries
                .iter()
                .any(|entry| entry.key == key && entry.node.value != Value::Null)
        };
        for (key, property) in required(schema, properties) {
            if fitting.iter().any(|entry| entry.key == *key) {
                continue;
            }
            let name = join(path, key);
            let default = self.absent(property, span, &name, written(key));
            fitting.extend(default.map(|node| Entry {
                key: key.clone(),
                key_span: span,
                node,
            }));
        }
        self.alternatives(schema, span, path, written);
        fitting
    }

    /// What stands for a key that is absent or wrong: its default, or an empty mapping, so that what is missing
    /// in it is reported.
    fn absent(
        &mut self,
        property: &Json,
        span: Span,
        name: &str,
        is_written: bool,
    ) -> Option<Node> {
        let (value, _) = without_null(property, self.definitions);
        let is_mapping = value.get("type").is_some_and(|kind| kind == "object");
        if let Some(default) = property.get("default").filter(|_| !is_mapping) {
            return Some(text(default, span));
        }
        if is_written {
            return None;
        }
        if is_mapping {
            let empty = Node {
                span,
                value: Value::Map(Vec::new()),
            };
            return self.value(&empty, property, name);
        }
        self.diagnostics
            .report(Code::MissingKey, span, format!("`{name}` is missing"));
        None
    }

    /// Reports a mapping that has none of several keys of which it needs one.
    fn alternatives(
        &mut self,
        schema: &Json,
        span: Span,
        path: &str,
        written: impl Fn(&str) -> bool,
    ) {
        let alternatives = schema.get("anyOf").and_then(Json::as_array);
        let mut keys = alternatives
            .into_iter()
            .flatten()
            .filter_map(|one| one["required"][0].as_str());
        if let Some(first) = keys.clone().next()
            && !keys.any(written)
        {
            let message = format!("`{}` is missing", join(path, first));
            self.diagnostics.report(Code::MissingKey, span, message);
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], schema: &Json, path: &str) -> Option<Node> {
        let Some(text) = node.as_text() else {
            self.wrong_type(node, path, "string", schema);
            return None;
        };
        if words.contains(&text) {
            return Some(node.clone());
        }
        if schema.get("const").is_some() {
            let message = format!("`{path}` is not `{}`", words.concat());
            self.diagnostics
                .report(Code::ApiVersion, node.span, message);
            return None;
        }
        let message = format!("`{path}` does not allow the value `{text}`");
        let help = suggest(text, words.iter().copied());
        self.diagnostics
            .report_with_help(Code::Choice, node.span, message, help);
        None
    }

    fn in_range(&mut self, number: u64, node: &Node, schema: &Json, path: &str) -> bool {
        let limit = |name| schema.get(name).and_then(Json::as_u64);
        let (least, most) = (
            limit("minimum").unwrap_or(0),
            limit("maximum").unwrap_or(u64::MAX),
        );
        let fits = (least..=most).contains(&number);
        if !fits {
            let message = format!("`{path}` must be from {least} to {most}, but this is {number}");
            self.diagnostics.report(Code::Number, node.span, message);
        }
        fits
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str, schema: &Json) {
        let help = instead(node, wanted, schema);
        let wanted = match wanted {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "text",
            "integer" => WHOLE,
            "boolean" => "true or false",
            other => other,
        };
        let name = match path {
            "" => "the document".to_owned(),
            path => format!("`{path}`"),
        };
        let message = match node.value {
            // A negative number or a fraction.
            Value::Number(_) if wanted == WHOLE => format!("{name} must be {wanted}"),
            _ => format!("{name} must be {wanted}, but this is {}", node.kind()),
        };
        self.diagnostics
            .report_with_help(Code::WrongType, node.span, message, help);
    }
}

/// The help for a value of the wrong type: what to write instead.
fn instead(node: &Node, wanted: &str, schema: &Json) -> String {
    let is_plain = |text: &str| match wanted {
        "integer" => text.parse::<u64>().is_ok(),
        "boolean" => ["true", "false"].contains(&text),
        _ => false,
    };
    if node.as_text().is_some_and(is_plain) {
        return "remove the quotes".to_owned();
    }
    // Only durations have examples.
    if let Some(example) = schema["examples"][0].as_str() {
        return format!("write a number and a unit, such as {example}");
    }
    if let Some(words) = words(schema) {
        return suggest("", words.into_iter());
    }
    let help = match (wanted, &node.value) {
        ("object", _) => "write keys and their values, indented below this key",
        ("array", _) => "write a list, with `- ` before each item",
        ("string", Value::Bool(_) | Value::Number(_)) => "put it in quotes to make it text",
        ("string", _) => "write one text",
        ("integer", _) => "write a number without quotes, unit and fraction, such as 100",
        ("boolean", _) => "write true or false",
        _ => Code::WrongType.help(),
    };
    help.to_owned()
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// The properties that a mapping must have.
fn required<'a>(
    schema: &'a Json,
    properties: &'a Map<String, Json>,
) -> impl Iterator<Item = (&'a String, &'a Json)> {
    let names = schema
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten();
    names.filter_map(|name| properties.get_key_value(name.as_str()?))
}

/// A default of the schema, as text.
fn text(default: &Json, span: Span) -> Node {
    let value = Value::Text(default.as_str().unwrap_or_default().to_owned());
    Node { span, value }
}

/// The help for an unknown word: the known word that is most similar to it, or else all known words.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let distance =
        |other: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    let nearest = known.clone().map(|other| (distance(other), other)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + nearest.len() / 4 => {
            format!("did you mean `{nearest}`?")
        }
        _ => {
            let quoted: Vec<_> = known.map(|word| format!("`{word}`")).collect();
            match quoted.as_slice() {
                [] => "remove it".to_owned(),
                [only] => format!("use {only}"),
                _ => format!("use one of {}", quoted.join(", ")),
            }
        }
    }
}
