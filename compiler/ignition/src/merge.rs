//! Merges a parent and a child config as Ignition does, by the rules of its "Operator Notes": objects
//! field by field, where the child's value takes precedence; lists by key, or appended. Each value keeps
//! its position, so that an error in the result is shown where it was written.

use std::collections::{HashMap, HashSet};

use super::spec::{CONFIG, Field, HEADER, Item, Joining, Kind, Object};
use super::tree::{entry, key, list};
use nkd_document::yaml::{Entry, Node, Value};

/// Merges two valid configs of one version.
pub fn merge(parent: &Node, child: &Node) -> Node {
    objects(parent, child, &CONFIG)
}

fn objects(parent: &Node, child: &Node, object: &Object) -> Node {
    let fields = object.fields.iter();
    let entries = fields.filter_map(|field| fields_of(parent, child, field, object));
    Node {
        span: child.span,
        value: Value::Map(entries.collect()),
    }
}

fn fields_of(parent: &Node, child: &Node, field: &Field, object: &Object) -> Option<Entry> {
    let (old, new) = (entry(parent, field.name), entry(child, field.name));
    let winner = new.or(old)?;
    let node = match (field.kind, old, new) {
        (Kind::Object(inner), Some(old), Some(new)) => objects(&old.node, &new.node, inner),
        (Kind::List(item, Joining::ByKey), ..) => Node {
            span: winner.node.span,
            value: Value::List(by_key(parent, child, field, object, item)),
        },
        (Kind::List(_, Joining::Append), Some(old), Some(new)) => {
            let all = old.node.items().iter().chain(new.node.items());
            Node {
                span: new.node.span,
                value: Value::List(all.cloned().collect()),
            }
        }
        _ => winner.node.clone(),
    };
    Some(Entry {
        key: winner.key.clone(),
        key_span: winner.key_span,
        node,
    })
}

/// Merges lists by the keys of their items, in the parent's order first. If the child has the same key in
/// another list of the same key space, the parent's item is removed.
fn by_key(parent: &Node, child: &Node, field: &Field, object: &Object, item: Item) -> Vec<Node> {
    let (old, new) = (list(parent, &[field.name]), list(child, &[field.name]));
    let index = |nodes: &[Node]| -> HashMap<String, usize> {
        let keys = nodes.iter().enumerate();
        keys.map(|(at, node)| (key(node, item), at)).collect()
    };
    let (in_old, in_new) = (index(old), index(new));
    let shares = object.shared.contains(&field.name);
    let elsewhere: HashSet<String> = object
        .shared
        .iter()
        .filter(|name| shares && **name != field.name)
        .flat_map(|name| list(child, &[name]))
        .map(|node| key(node, item))
        .collect();
    let mut joined = Vec::with_capacity(old.len() + new.len());
    for node in old {
        let name = key(node, item);
        match (in_new.get(&name), item) {
            (Some(at), Item::Object(inner)) if !is_removal(&new[*at], inner) => {
                joined.push(objects(node, &new[*at], inner));
            }
            (Some(at), Item::Text) => joined.push(new[*at].clone()),
            (None, _) if !elsewhere.contains(&name) => joined.push(node.clone()),
            _ => {}
        }
    }
    let fresh = new
        .iter()
        .filter(|node| !in_old.contains_key(&key(node, item)));
    joined.extend(fresh.cloned());
    joined
}

/// A header without a value removes the parent's header.
fn is_removal(node: &Node, object: &Object) -> bool {
    object.name == HEADER.name && entry(node, "value").is_none()
}
