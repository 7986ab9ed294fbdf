use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::explain;
use super::node::{Entry, Node, Value};
use crate::{Code, Diagnostics, Reported, SourceId, Span};

/// The most values of a text: a cluster of 10,000 nodes with labels and interfaces has 300,000. Each takes some 200
/// bytes of memory.
pub const VALUES: usize = 1_000_000;

/// The documents of a YAML source.
///
/// # Errors
/// When it is not valid YAML.
pub fn documents(source: SourceId, diagnostics: &mut Diagnostics) -> Result<Vec<Node>, Reported> {
    let trees = trees::<Tree>(source, diagnostics)?;
    Ok(trees.into_iter().map(|tree| node(tree, source)).collect())
}

/// The documents of a YAML source, each read into a value of a type that has no positions, with the position of the
/// document. The type decides what of the document is kept in memory.
///
/// # Errors
/// When it is not valid YAML.
pub fn values<T: DeserializeOwned>(
    source: SourceId,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<(T, Span)>, Reported> {
    let trees = trees::<T>(source, diagnostics)?.into_iter();
    Ok(trees
        .map(|tree| (tree.value, span(tree.referenced, source)))
        .collect())
}

fn trees<T: DeserializeOwned>(
    source: SourceId,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<Spanned<T>>, Reported> {
    let text = diagnostics.text(source);
    if let Some(at) = text.find(|c: char| c.is_control() && !"\n\r\t".contains(c)) {
        let message = "the file contains a control character";
        let help = "remove it, or write it as an escape in double quotes, such as \"\\x07\"";
        let span = Span::new(source, at..at + 1);
        return Err(diagnostics.report_with_help(Code::Syntax, span, message, help));
    }
    let error = match serde_saphyr::from_multiple_with_options(text, options()) {
        Ok(trees) => return Ok(trees),
        Err(error) => error,
    };
    // Positions in errors count characters, not bytes.
    let byte = |character: u64| {
        let character = usize::try_from(character).unwrap_or(usize::MAX);
        let found = text.char_indices().nth(character);
        found.map_or(text.len(), |(at, _)| at)
    };
    let range = error.location().map_or(0..0, |location| {
        let span = location.span();
        byte(span.offset())..byte(span.offset() + span.len())
    });
    let span = Span::new(source, range);
    Err(explain::report(error.without_snippet(), span, diagnostics))
}

/// YAML 1.1 readers, such as Butane, read `0644` as octal, and YAML 1.2 readers as 644. Such a number is kept as
/// text here, and interpreted where the meaning of the key is known.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        leading_zero_numbers_as_strings: true,
        budget: serde_saphyr::budget! { max_nodes: VALUES, max_events: 3 * VALUES },
    }
}

fn span(location: Location, source: SourceId) -> Span {
    let of = |value: Option<u64>| usize::try_from(value.unwrap_or(0)).unwrap_or(0);
    let start = of(location.span().byte_offset());
    Span::new(source, start..start + of(location.span().byte_len()))
}

enum Tree {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn node(tree: Spanned<Tree>, source: SourceId) -> Node {
    let value = match tree.value {
        Tree::Null => Value::Null,
        Tree::Bool(bool) => Value::Bool(bool),
        Tree::Number(number) => Value::Number(number),
        Tree::Text(text) => Value::Text(text),
        Tree::List(trees) => {
            Value::List(trees.into_iter().map(|tree| node(tree, source)).collect())
        }
        Tree::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, tree)| Entry {
                    key_span: span(key.referenced, source),
                    key: key.value,
                    node: node(tree, source),
                })
                .collect(),
        ),
    };
    Node {
        span: span(tree.referenced, source),
        value,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        // JSON, and so Kubernetes, has no infinities.
        let number = serde_json::Number::from_f64(number);
        Ok(number.map_or_else(|| Tree::Text(".inf".into()), Tree::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut trees = Vec::new();
        while let Some(tree) = list.next_element()? {
            trees.push(tree);
        }
        Ok(Tree::List(trees))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::documents;
    use crate::Diagnostics;
    use crate::yaml::{Node, Value};

    fn parse(text: &str) -> (Vec<Node>, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        (
            documents(source, &mut diagnostics).unwrap_or_default(),
            diagnostics,
        )
    }

    #[test]
    fn values_keys_and_documents_know_their_bytes() {
        let text = "ä: {b: [1, no, 'x']}\n---\n{}\n";
        let (documents, diagnostics) = parse(text);
        assert!(diagnostics.is_empty());
        assert_eq!(documents.len(), 2);
        let list = documents[0].get("ä").unwrap().get("b").unwrap();
        let Value::List(items) = &list.value else {
            panic!("{list:?}")
        };
        let bytes = |node: &Node| text[node.span.start..node.span.end].to_owned();
        assert_eq!(bytes(&items[0]), "1");
        assert_eq!(bytes(&items[2]), "'x'");
        assert!(matches!(documents[1].value, Value::Map(_)));
    }

    #[test]
    fn duplicate_keys_are_errors() {
        let (documents, diagnostics) = parse("a: 1\na: 2\n");
        assert!(documents.is_empty());
        assert!(diagnostics.to_string().contains("NKD0005"), "{diagnostics}");
    }
}
