//! The JSON schema of the cluster file, from the table of its [keys](super::keys).

use serde_json::{Map, Value, json};

use super::keys;
use nkd_document::yaml::{Key, Kind, Mapping, Needed};

/// The schema.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    define(&keys::CLUSTER, &mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nkd's cluster file",
        "$ref": reference(&keys::CLUSTER),
        "$defs": definitions,
    })
}

fn reference(mapping: &Mapping) -> String {
    format!("#/$defs/{}", mapping.name)
}

fn define(mapping: &'static Mapping, into: &mut Map<String, Value>) {
    if into.contains_key(mapping.name) {
        return;
    }
    let all = mapping.keys();
    let properties: Map<_, _> = all
        .clone()
        .map(|key| (key.name.into(), value(key)))
        .collect();
    let needed = all.clone().filter(|key| key.needed == Needed::Yes);
    let needed: Vec<_> = needed.map(|key| key.name).collect();
    let mut definition = json!({
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": false,
    });
    let either = all.clone().filter_map(|key| match key.needed {
        Needed::Without(other) => Some([key.name, other]),
        _ => None,
    });
    for [one, other] in either {
        definition["anyOf"] = json!([{ "required": [one] }, { "required": [other] }]);
    }
    into.insert(mapping.name.into(), definition);
    for key in all {
        if let Kind::Map(inner) | Kind::Maps(inner) = key.kind {
            define(inner, into);
        }
    }
}

fn value(key: &Key) -> Value {
    let mut value = match &key.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Number(range) => {
            json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
        }
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Pairs => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Map(mapping) => json!({ "$ref": reference(mapping) }),
        Kind::Maps(mapping) => json!({ "type": "array", "items": { "$ref": reference(mapping) } }),
    };
    if key.needed == Needed::No {
        // A key with nothing behind it is the same as none.
        value = json!({ "anyOf": [value, { "type": "null" }] });
    }
    value["description"] = key.meaning.into();
    if let Some(default) = key.default {
        value["default"] = default.into();
    }
    value
}
