//! The lines of the keys in the cluster file.

use std::collections::BTreeMap;

use nkd_document::yaml::{self, Value};

/// The line of each key in the cluster file, by the full name of the key. An item of a list is identified
/// by its `name`, or by its text: `spec.nodes[cp1].os.kernelArguments[quiet]`.
pub type Lines = BTreeMap<String, usize>;

/// The maximum number of keys in a full name. No deeper key has a file or unit of its own on a node.
const DEPTH: u8 = 4;

/// The full name of an item of `spec.pools` or `spec.nodes`.
pub fn level(list: &str, name: &str) -> String {
    format!("spec.{list}[{name}]")
}

/// The lines of the keys in a document.
pub fn lines(document: &yaml::Node, text: &str) -> Lines {
    let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut lines = Lines::new();
    note(document, "", DEPTH, &mut |name, at| {
        lines.insert(name, starts.partition_point(|start| *start < at) + 1);
    });
    lines
}

fn note(node: &yaml::Node, name: &str, depth: u8, to: &mut impl FnMut(String, usize)) {
    match &node.value {
        Value::Map(entries) => {
            let Some(depth) = depth.checked_sub(1) else {
                return;
            };
            // Large clusters have many nodes, and only below `os` more than their first keys matter.
            let is_item = name.ends_with(']');
            for entry in entries {
                let dot = if name.is_empty() { "" } else { "." };
                let name = format!("{name}{dot}{}", entry.key);
                to(name.clone(), entry.key_span.start);
                if !is_item || entry.key == "os" {
                    note(&entry.node, &name, depth, to);
                }
            }
        }
        Value::List(items) => {
            for item in items {
                if let Some(own) = item.get("name").unwrap_or(item).as_text() {
                    let name = format!("{name}[{own}]");
                    to(name.clone(), item.span.start);
                    note(item, &name, depth, to);
                }
            }
        }
        _ => {}
    }
}
