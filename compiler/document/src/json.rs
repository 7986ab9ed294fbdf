//! JSON that keeps the position of every value.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::yaml::{Entry, Node, Value};
use crate::{Code, Diagnostics, Reported, SourceId, Span};

/// Reads a JSON source.
///
/// # Errors
/// When it is not JSON. Keys that occur twice are reported, too.
pub fn parse(source: SourceId, to: &mut Diagnostics) -> Result<Node, Reported> {
    let text = to.text(source).to_owned();
    let node = read(&text, source).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().max(1) - 1);
        let line: usize = lines.map(str::len).sum();
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        // The library's text, which never repeats the input, without the position that follows it.
        let explanation = error.to_string();
        let reason = explanation.split(" at line ").next().unwrap_or_default();
        not_json(source, at..(at + 1).min(text.len()), reason, to)
    })?;
    refuse_duplicates(&node, to);
    Ok(node)
}

fn not_json(source: SourceId, range: Range<usize>, reason: &str, to: &mut Diagnostics) -> Reported {
    let message = format!("invalid JSON: {reason}");
    to.report(Code::IgnitionInvalid, Span::new(source, range), message)
}

fn read(text: &str, source: SourceId) -> serde_json::Result<Node> {
    // This finds every error, with its position in the whole text, and limits how deep values are nested.
    serde_json::from_str::<serde_json::Value>(text)?;
    Reader { text, source }.node(serde_json::from_str(text)?)
}

/// Ignition uses the last of several equal keys without a warning, so the others would have no effect.
fn refuse_duplicates(node: &Node, to: &mut Diagnostics) {
    if let Value::Map(entries) = &node.value {
        let mut keys = HashSet::new();
        for entry in entries {
            if !keys.insert(&entry.key) {
                let message = format!("duplicate key `{}`", entry.key);
                to.report(Code::DuplicateKey, entry.key_span, message);
            }
            refuse_duplicates(&entry.node, to);
        }
    }
    for item in node.items() {
        refuse_duplicates(item, to);
    }
}

struct Reader<'a> {
    text: &'a str,
    source: SourceId,
}

impl<'a> Reader<'a> {
    fn node(&self, raw: &'a RawValue) -> serde_json::Result<Node> {
        let text = raw.get();
        let value = match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text)?;
                let entries = members.into_iter().map(|member| self.entry(member));
                Value::Map(entries.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let nodes = items.into_iter().map(|item| self.node(item));
                Value::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Value::Bool(serde_json::from_str(text)?),
            Some(b'n') => Value::Null,
            _ => Value::Number(serde_json::from_str(text)?),
        };
        Ok(Node {
            span: self.span(text),
            value,
        })
    }

    fn entry(&self, (key, value): (&'a RawValue, &'a RawValue)) -> serde_json::Result<Entry> {
        Ok(Entry {
            key: serde_json::from_str(key.get())?,
            key_span: self.span(key.get()),
            node: self.node(value)?,
        })
    }

    /// The position of a part of the text. A raw value borrows its part.
    fn span(&self, part: &str) -> Span {
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        Span::new(self.source, start..start + part.len())
    }
}

/// The members of an object, in the order written, also those with equal keys.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::parse;
    use crate::Diagnostics;

    fn read(text: &str) -> (Option<crate::yaml::Node>, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.ign"), text.to_owned());
        (parse(source, &mut diagnostics).ok(), diagnostics)
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    #[test]
    fn values_know_their_bytes() {
        let text = "{ \"ä\\\"\" : [1, {\"b\": \"\\u00e9}\"}] }";
        let (node, _) = read(text);
        let node = node.unwrap();
        let inner = &node.get("ä\"").unwrap().items()[1];
        assert_eq!(
            &text[inner.span.start..inner.span.end],
            "{\"b\": \"\\u00e9}\"}"
        );
        assert_eq!(inner.get("b").and_then(super::Node::as_text), Some("é}"));
    }

    #[test]
    fn duplicate_keys_are_errors() {
        let (_, diagnostics) = read("{\"a\": {\"b\": 1, \"b\": 2}}");
        assert!(diagnostics.to_string().contains("NKD0005"), "{diagnostics}");
    }

    #[test]
    fn errors_have_a_position_also_inside_text_and_numbers() {
        for (text, what, column) in [
            ("{\"a\": \"\\ud800\"}", "hex escape", "1:14"),
            ("[1, 1e999]", "number out of range", "1:9"),
        ] {
            let (node, diagnostics) = read(text);
            let shown = diagnostics.to_string();
            assert!(node.is_none() && shown.contains(what), "{shown}");
            assert!(shown.contains(column), "{shown}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let depth = 100_000;
        let (node, diagnostics) = read(&("[".repeat(depth) + &"]".repeat(depth)));
        assert!(node.is_none());
        let shown = diagnostics.to_string();
        assert!(shown.contains("recursion limit exceeded"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_json_is_read_as_it_is(value in value()) {
            for text in [value.to_string(), format!("{value:#}")] {
                let (node, diagnostics) = read(&text);
                prop_assert!(diagnostics.is_empty());
                prop_assert_eq!(node.unwrap().to_json(), value.clone());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}:,\"\\\\a1 ]*") {
            let _ = read(&text);
        }
    }
}
