//! Ignition configs as trees with positions. A generated value has the position of the key that led to
//! it, so the tree also maps an output back to its input.

use super::spec::{Item, Key};
use nkd_document::Span;
use nkd_document::yaml::{Entry, Node, Value};

/// The entry of a key. A value of `null` counts as absent, as in Ignition.
pub fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let found = entries.iter().find(|entry| entry.key == key)?;
    (found.node.value != Value::Null).then_some(found)
}

/// The value at a path of keys.
pub fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter()
        .try_fold(node, |node, key| Some(&entry(node, key)?.node))
}

/// The text value of a key.
pub fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    entry(node, key)?.node.as_text()
}

/// Whether the value of a key is `true`.
pub fn is_true(node: &Node, key: &str) -> bool {
    entry(node, key).is_some_and(|entry| entry.node.value == Value::Bool(true))
}

/// The whole number of a key.
pub fn whole(node: &Node, key: &str) -> Option<i64> {
    match &entry(node, key)?.node.value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// The items of the list at a path.
pub fn list<'a>(node: &'a Node, path: &[&str]) -> &'a [Node] {
    at(node, path).map_or(&[], Node::items)
}

/// The key of an item in its list.
pub fn key(node: &Node, item: Item) -> String {
    let Item::Object(object) = item else {
        return node.as_text().unwrap_or_default().to_owned();
    };
    match object.key {
        Key::None => String::new(),
        Key::Field(name) => text(node, name).unwrap_or_default().to_owned(),
        Key::NumberOrLabel => match whole(node, "number").unwrap_or(0) {
            0 => format!("label:{}", text(node, "label").unwrap_or_default()),
            number => format!("number:{number}"),
        },
    }
}

/// A value.
pub fn node(span: Span, value: impl Into<Value>) -> Node {
    Node {
        span,
        value: value.into(),
    }
}

/// A key and its value, both with one position.
pub fn pair(span: Span, key: &str, value: impl Into<Value>) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: span,
        node: node(span, value),
    }
}

/// Sets the value of a key in a mapping.
pub fn set(target: &mut Node, entry: Entry) {
    if let Value::Map(entries) = &mut target.value {
        entries.retain(|old| old.key != entry.key);
        entries.push(entry);
    }
}

/// Removes a key and its value from a mapping.
pub fn take(target: &mut Node, key: &str) -> Option<Entry> {
    let Value::Map(entries) = &mut target.value else {
        return None;
    };
    let found = entries.iter().position(|entry| entry.key == key)?;
    let entry = entries.remove(found);
    (entry.node.value != Value::Null).then_some(entry)
}

/// The value at a path of keys. Missing mappings are created.
pub fn mappings<'a>(root: &'a mut Node, path: &[&str], span: Span) -> Option<&'a mut Node> {
    let mut target = root;
    for key in path {
        if entry(target, key).is_none() {
            set(target, pair(span, key, Value::Map(Vec::new())));
        }
        target = child_mut(target, key)?;
    }
    Some(target)
}

/// The value of a key.
pub fn child_mut<'a>(target: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut target.value else {
        return None;
    };
    let found = entries.iter_mut().find(|entry| entry.key == key)?;
    Some(&mut found.node)
}

/// The items of a key's list. A missing list is created.
pub fn items_mut<'a>(target: &'a mut Node, key: &str, span: Span) -> Option<&'a mut Vec<Node>> {
    if entry(target, key).is_none() {
        set(target, pair(span, key, Value::List(Vec::new())));
    }
    match &mut child_mut(target, key)?.value {
        Value::List(nodes) => Some(nodes),
        _ => None,
    }
}

/// The tree as JSON without empty values, as Butane and Ignition write it.
pub fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::List(nodes) => Json::Array(nodes.iter().map(to_json).collect()),
        Value::Map(entries) => {
            let fields = entries
                .iter()
                .map(|entry| (entry.key.clone(), to_json(&entry.node)));
            Json::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
        }
        _ => node.to_json(),
    }
}

/// JSON as a tree in which every value has the same position.
pub fn from_json(value: &serde_json::Value, span: Span) -> Node {
    use serde_json::Value as Json;
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| from_json(item, span)).collect()),
        Json::Object(fields) => {
            let entries = fields.iter().map(|(key, value)| Entry {
                key: key.clone(),
                key_span: span,
                node: from_json(value, span),
            });
            Value::Map(entries.collect())
        }
    };
    Node { span, value }
}

fn is_empty(value: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
