//! The JSON schema of the cluster file, from the types of its keys.

use nkd_document::yaml::without_null;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::keys;

/// The schema as schemars derives it. A key with a default is required in it, because the reader fills in
/// the default.
pub(super) fn derived() -> Value {
    let generator = SchemaGenerator::default();
    generator.into_root_schema_for::<keys::Cluster>().to_value()
}

/// The schema of the file that a person writes.
pub fn schema() -> Value {
    let mut schema = derived();
    let definitions = schema["$defs"].clone();
    for definition in schema["$defs"].as_object_mut().into_iter().flatten() {
        adapt(definition.1, &definitions);
    }
    adapt(&mut schema, &definitions);
    schema["title"] = "nkd cluster file".into();
    schema
}

/// Makes keys with a default optional, allows an empty value for each optional key, and forbids all other
/// keys.
fn adapt(definition: &mut Value, definitions: &Value) {
    one_line(definition);
    let required = definition
        .get("required")
        .and_then(Value::as_array)
        .cloned();
    let mut required = required.unwrap_or_default();
    let Some(properties) = definition
        .get_mut("properties")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    required.retain(|key| {
        key.as_str()
            .is_some_and(|key| properties[key].get("default").is_none())
    });
    for (key, property) in properties {
        one_line(property);
        if let Some(property) = property.as_object_mut() {
            property.remove("format");
            // The default of a mapping is that of each of its keys.
            property.retain(|word, value| word != "default" || !value.is_object());
        }
        let (_, nullable) = without_null(property, definitions);
        if !nullable && !required.iter().any(|required| required == key) {
            allow_null(property);
        }
    }
    definition["required"] = required.into();
    definition["additionalProperties"] = false.into();
}

fn allow_null(property: &mut Value) {
    if let Some(kind) = property.get("type") {
        property["type"] = json!([kind, "null"]);
    } else if let Some(reference) = property
        .as_object_mut()
        .and_then(|words| words.remove("$ref"))
    {
        property["anyOf"] = json!([{"$ref": reference}, {"type": "null"}]);
    }
}

/// Puts a description, wrapped in the source, into one line.
fn one_line(schema: &mut Value) {
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        schema["description"] = text.replace('\n', " ").into();
    }
}
