//! JSON that keeps the position of every value.

use std::collections::HashSet;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::yaml::{Entry, Node, Value};
use crate::{Code, Diagnostics, Reported, SourceId, Span};

/// Reads a JSON source.
///
/// # Errors
/// When it is not JSON. Keys that occur twice are reported, too.
pub fn parse(source: SourceId, to: &mut Diagnostics) -> Result<Node, Reported> {
    let text = to.text(source).to_owned();
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&text) {
        let lines = text.split_inclusive('\n').take(error.line().max(1) - 1);
        let line: usize = lines.map(str::len).sum();
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        // The library's text, which never repeats the input, without the position that follows it.
        let explanation = error.to_string();
        let reason = explanation.split(" at line ").next().unwrap_or_default();
        return Err(not_json(source, at..(at + 1).min(text.len()), reason, to));
    }
    let mut reader = Reader {
        text: &text,
        at: 0,
        source,
    };
    let node = reader.value();
    let node = node.ok_or_else(|| not_json(source, 0..text.len(), "unsupported value", to))?;
    refuse_duplicates(&node, to);
    Ok(node)
}

fn not_json(source: SourceId, range: Range<usize>, reason: &str, to: &mut Diagnostics) -> Reported {
    let message = format!("invalid JSON: {reason}");
    to.report(Code::IgnitionInvalid, Span::new(source, range), message)
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

/// Reads text that is known to be JSON and is not nested deeper than `serde_json` allows.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    source: SourceId,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads a byte if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.source, start..self.at)
    }

    fn value(&mut self) -> Option<Node> {
        let start = {
            self.peek()?;
            self.at
        };
        let value = match self.peek()? {
            b'{' => Value::Map(self.entries()?),
            b'[' => Value::List(self.items()?),
            b'"' => Value::Text(self.string()?),
            _ => self.word()?,
        };
        Some(Node {
            span: self.span(start),
            value,
        })
    }

    fn entries(&mut self) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        self.eat(b'{');
        while !self.eat(b'}') {
            self.peek()?;
            let start = self.at;
            let key = self.string()?;
            let key_span = self.span(start);
            self.eat(b':');
            let node = self.value()?;
            entries.push(Entry {
                key,
                key_span,
                node,
            });
            self.eat(b',');
        }
        Some(entries)
    }

    fn items(&mut self) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        self.eat(b'[');
        while !self.eat(b']') {
            nodes.push(self.value()?);
            self.eat(b',');
        }
        Some(nodes)
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while *bytes.get(self.at)? != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn word(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| c.is_whitespace() || ",]}".contains(c))
            .unwrap_or(rest.len());
        self.at += end;
        Some(match &rest[..end] {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => Value::Number(serde_json::from_str(number).ok()?),
        })
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
