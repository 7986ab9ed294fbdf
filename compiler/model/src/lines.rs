//! The lines of the keys in the cluster file.

use std::collections::BTreeMap;

use nkd_document::yaml::{Node, Value};

/// The line of each key in the cluster file, by the full name of the key. Nodes and pools have their
/// names in it: `spec.nodes[cp1]`.
pub type Lines = BTreeMap<String, usize>;

/// The depth to which keys are recorded. No deeper key has a file or unit of its own on a node.
const DEPTH: u8 = 5;

/// The lines of the keys in a document.
pub fn lines(document: &Node, text: &str) -> Lines {
    let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut lines = Lines::new();
    note(document, "", DEPTH, &mut |name, at| {
        lines.insert(name, starts.partition_point(|start| *start < at) + 1);
    });
    lines
}

fn note(node: &Node, name: &str, depth: u8, to: &mut impl FnMut(String, usize)) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let dot = if name.is_empty() { "" } else { "." };
                let name = format!("{name}{dot}{}", entry.key);
                to(name.clone(), entry.key_span.start);
                note(&entry.node, &name, depth, to);
            }
        }
        Value::List(items) => {
            for item in items {
                if let Some(own) = item.get("name").and_then(Node::as_text) {
                    to(format!("{name}[{own}]"), item.span.start);
                }
            }
        }
        _ => {}
    }
}
