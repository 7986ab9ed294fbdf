//! A document is read into types with everything wrong in it reported at once, at its place.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use nkd_document::yaml::{self, Both, Pairs};
use nkd_document::{Diagnostics, Spanned};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[schemars(required)]
    name: Option<Spanned<String>>,
    #[schemars(extend("default" = "small"))]
    size: Size,
    #[schemars(extend("default" = "7d"))]
    life_time: Spanned<String>,
    #[schemars(range(min = 2, max = 4))]
    count: Option<Spanned<u64>>,
    #[serde(default)]
    labels: Pairs,
    #[serde(default)]
    items: Vec<Spanned<Item>>,
    #[schemars(extend("default" = {}))]
    inner: Inner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

type Item = Both<Own, Shared>;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Item", extend("anyOf" = [{"required": ["a"]}, {"required": ["b"]}]))]
struct Own {
    a: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Shared {
    b: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Inner {
    #[schemars(extend("default" = "deep"))]
    text: Spanned<String>,
}

/// What is read, and the messages.
fn read(text: &str) -> (Option<Document>, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
    let documents = yaml::documents(source, &mut diagnostics).unwrap_or_default();
    let document = documents
        .first()
        .and_then(|document| yaml::read(document, &mut diagnostics).ok());
    let errors = diagnostics.to_json();
    let messages = errors
        .iter()
        .map(|error| error["message"].as_str().unwrap().to_owned());
    (document, messages.collect())
}

fn at<'a, T>(text: &'a str, value: &Spanned<T>) -> &'a str {
    &text[value.span.start..value.span.end]
}

#[test]
fn every_value_has_its_place_and_every_default_that_of_its_mapping() {
    let text = "name: web\nlabels: {z: '1', a: '2'}\nitems: [{a: x}, {b: v}]\n";
    let (document, messages) = read(text);
    assert_eq!(messages, Vec::<String>::new());
    let document = document.unwrap();
    assert_eq!(at(text, document.name.as_ref().unwrap()), "web");
    assert_eq!(document.size, Size::Small);
    assert_eq!(document.life_time.value, "7d");
    assert_eq!(document.life_time.span.start, 0);
    assert_eq!(document.inner.text.value, "deep");
    let labels = document.labels.0.iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| (at(text, key), at(text, value)))
        .collect();
    assert_eq!(labels, [("a", "'2'"), ("z", "'1'")]);
    let [first, second] = &document.items[..] else {
        panic!("{:?}", document.items)
    };
    assert!(text[first.span.start..].starts_with("{a: x}"));
    assert_eq!(at(text, first.value.own.a.as_ref().unwrap()), "x");
    assert_eq!(at(text, second.value.shared.b.as_ref().unwrap()), "v");
    assert!(second.value.own.a.is_none());
}

#[test]
fn everything_wrong_is_reported_and_read_as_absent() {
    let text = "size: huge\nlifeTime: 7\ncount: 5\nlabels: {a: 1}\nitems: [{}, {c: x}, 3]\ninner: {txt: a}\n";
    let (document, messages) = read(text);
    let wrong = [
        "`huge`",
        "`lifeTime`",
        "`count`",
        "`labels.a`",
        "`items[0].a`",
        "`items[1].c`",
        "`items[1].a`",
        "`items[2]`",
        "`inner.txt`",
        "`name`",
    ];
    assert_eq!(messages.len(), wrong.len(), "{messages:#?}");
    for place in wrong {
        let is_named = messages.iter().any(|message| message.contains(place));
        assert!(is_named, "{place}: {messages:#?}");
    }
    // The checks that follow see the rest, with defaults in place of what is wrong.
    let document = document.unwrap();
    assert!(document.name.is_none() && document.count.is_none());
    assert_eq!((document.size, document.items.len()), (Size::Small, 2));
}

proptest! {
    /// What the comparison with the schema leaves of a document can be deserialized, whatever the document
    /// holds: the debug assertion in `yaml::read` holds.
    #[test]
    fn what_the_schema_accepts_the_types_accept(
        values in proptest::collection::btree_map(
            "name|size|lifeTime|count|labels|items|inner|other",
            r"[a-z]{1,5}|small|3|-1|1\.5|true|null|\[\]|\{\}|\[a\]|\{a: b\}|\[\{a: b\}\]",
            1..8,
        )
    ) {
        let text = values.iter().map(|(key, value)| format!("{key}: {value}\n"));
        let (document, messages) = read(&text.collect::<String>());
        prop_assert!(document.is_some() || !messages.is_empty());
    }
}
