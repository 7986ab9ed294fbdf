//! The documentation of the cluster file, from the table of its [keys](super::keys).

use std::fmt::Write as _;

use super::keys;
use nkd_document::yaml::{Key, Kind, Mapping, Needed};

const HEAD: &str = "\
<!-- Written by nkd's tests from compiler/src/cluster_file/keys/. -->
# The cluster file

One YAML document describes one cluster. `nkd new` prints a commented one to start from, `nkd
validate` says what is wrong with one and where, and `nkd schema` prints the JSON schema, by which
editors complete and check it as you write:

    # yaml-language-server: $schema=cluster.schema.json

Files are named relative to the cluster file. A key with nothing behind it is the same as none.
Text that YAML takes for something else, such as `1.31` or `yes`, needs quotes. What the schema
can't say, such as that two networks don't overlap, is checked by `nkd validate` and `nkd compile`.
";

/// A mapping and all the places it may be at.
struct Section {
    mapping: &'static Mapping,
    paths: Vec<String>,
}

/// The documentation, as Markdown.
pub fn manual() -> String {
    let mut sections = Vec::new();
    collect(&keys::CLUSTER, "", &mut sections);
    let mut text = HEAD.to_owned();
    for Section { mapping, paths } in &sections {
        let (first, more) = paths.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
        match first {
            "" => text.push_str("\n## The document\n\n"),
            path => {
                let _ = write!(text, "\n## `{path}`\n\n");
            }
        }
        if !more.is_empty() {
            let more: Vec<_> = more.iter().map(|path| format!("`{path}`")).collect();
            let _ = write!(text, "The same under {}.\n\n", more.join(", "));
        }
        text.push_str("| Key | Takes | Default | Meaning |\n|---|---|---|---|\n");
        for key in mapping.keys() {
            let (takes, default) = (takes(key), default(key));
            let _ = writeln!(
                text,
                "| `{}` | {takes} | {default} | {} |",
                key.name, key.meaning
            );
        }
    }
    text
}

fn collect(mapping: &'static Mapping, path: &str, into: &mut Vec<Section>) {
    let known = into.iter_mut().find(|it| it.mapping.name == mapping.name);
    if let Some(known) = known {
        return known.paths.push(path.to_owned());
    }
    into.push(Section {
        mapping,
        paths: vec![path.to_owned()],
    });
    for key in mapping.keys() {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", key.name);
        match key.kind {
            Kind::Map(inner) => collect(inner, &path, into),
            Kind::Maps(inner) => collect(inner, &format!("{path}[]"), into),
            _ => {}
        }
    }
}

fn takes(key: &Key) -> String {
    match &key.kind {
        Kind::Text => "text".into(),
        Kind::Word(words) => {
            let words: Vec<_> = words.iter().map(|it| format!("`{it}`")).collect();
            words.join(" or ")
        }
        Kind::Number(range) => format!("{} to {}", range.start(), range.end()),
        Kind::Texts => "list of text".into(),
        Kind::Pairs => "mapping of text".into(),
        Kind::Map(_) => "mapping".into(),
        Kind::Maps(_) => "list of mappings".into(),
    }
}

fn default(key: &Key) -> String {
    match (key.needed, key.default) {
        (Needed::Yes, _) => "**needed**".into(),
        (Needed::Without(other), _) => format!("**needed** without `{other}`"),
        (Needed::No, Some(default)) => format!("`{default}`"),
        (Needed::No, None) => String::new(),
    }
}
