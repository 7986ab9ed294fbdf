//! The arguments of a component in kubeadm's documents: a mapping before v1beta4, then a list of names and values.

use nkd_document::Span;
use nkd_document::yaml::{Node, Value};

/// An argument.
pub(super) struct Arg<'a> {
    /// Its name.
    pub name: &'a str,
    /// The place of its name.
    pub span: Span,
    /// Its value, unless it is missing.
    pub value: Option<&'a Node>,
}

impl<'a> Arg<'a> {
    /// Its value, if that is text.
    pub fn text(&self) -> Option<&'a str> {
        self.value.and_then(Node::as_text)
    }
}

/// The arguments that have names.
pub(super) fn all(args: &Node) -> Vec<Arg<'_>> {
    match &args.value {
        Value::Map(entries) => entries
            .iter()
            .map(|entry| Arg {
                name: &entry.key,
                span: entry.key_span,
                value: Some(&entry.node),
            })
            .collect(),
        Value::List(items) => items
            .iter()
            .filter_map(|item| {
                let name = item.get("name")?;
                Some(Arg {
                    name: name.as_text()?,
                    span: name.span,
                    value: item.get("value"),
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}
