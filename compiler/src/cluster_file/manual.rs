//! The documentation of the cluster file, from the types of its keys.

use std::fmt::Write as _;

use nkd_document::yaml::{without_null, words};
use serde_json::Value;

use super::schema::derived;

const HEAD: &str = "\
<!-- Written by nkd's tests from compiler/src/cluster_file/. -->
# The cluster file

After reading this page you can describe a cluster in one file. One YAML document describes one
cluster. `nkd new` prints a commented file to start from. `nkd validate` reports the errors in a file,
with line and column. `nkd schema` prints a JSON schema, with which editors complete and check the
file as you write. To use it, start the file with this line:

    # yaml-language-server: $schema=cluster.schema.json

File names are relative to the cluster file. If the cluster file is standard input (`nkd validate -`) or a
process substitution of a shell (`nkd validate <(…)`), they are relative to the working directory. The
cluster file and the files that it names may be pipes; each may have at most 16 MiB. A key without a value is the same as an absent key.
Write text that YAML reads as a number or a boolean, such as `1.31` or `yes`, in quotes. `nkd validate`
and `nkd compile` also check what a schema cannot express, for example that networks do not overlap.
";

const RANGES: &str = "
## Ranges of nodes

An item of `spec.nodes` can stand for many nodes:

```yaml
  nodes:
    - {name: cp1, role: control-plane, address: 10.0.0.10}
    - name: w[01-20]
      role: worker
      address: 10.0.0.[11-30]
```

This is the same as 20 items: `w01` with the address 10.0.0.11, `w02` with 10.0.0.12, and so on, to `w20` with
10.0.0.30. All other keys of the item apply to each of the nodes.

- A range is two decimal numbers in brackets. If the numbers have leading zeros, they have the same number of digits,
  and so do all numbers of the range.
- Ranges can be in `name`, `address`, and the `addresses` of `interfaces`. In an item with a range, each of these texts
  has a range, and all ranges have the same number of values. A text can have several ranges, such as
  `10.0.0.[11-30],fd00::[11-30]` in a dual-stack cluster. In all other keys, brackets have no meaning.
- A MAC address belongs to one machine, so an item for several nodes has none. With `--target pxe`, the machines of the
  range find their scripts by the host names that DHCP gives them ([carriers.md](carriers.md)).
- The number after the last dot of an IPv4 address ends at 254, so a larger range needs several items. All ranges of a
  file together stand for at most 10,000 nodes.
- Inside of `{}`, YAML requires quotes: `{name: 'w[01-20]', address: '10.0.0.[11-30]'}`.

Commands such as `nkd explain` and `--node` take the names of the nodes: `w07`. To add nodes later, extend the range and
compile over the earlier output. A range is for machines that you can name. For machines that a cloud starts under names
of its own, use an [open pool](pools.md).
";

/// A mapping, and all paths at which it can be.
struct Section<'a> {
    mapping: &'a Value,
    paths: Vec<String>,
}

/// The documentation of the cluster file, as Markdown.
pub fn manual() -> String {
    let schema = derived();
    let definitions = &schema["$defs"];
    let mut sections = Vec::new();
    collect(&schema, definitions, "", &mut sections);
    let mut text = [HEAD, RANGES].concat();
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
            let _ = write!(text, "The same keys are in {}.\n\n", more.join(", "));
        }
        text.push_str("| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        for (key, property) in keys(mapping) {
            let (takes, default) = (takes(property, definitions), default(key, mapping));
            let meaning = property["description"]
                .as_str()
                .unwrap_or_default()
                .replace('\n', " ");
            let _ = writeln!(text, "| `{key}` | {takes} | {default} | {meaning} |");
        }
    }
    text
}

/// The keys of a mapping: first the required ones, then the others, each sorted by name.
fn keys(mapping: &Value) -> Vec<(&String, &Value)> {
    let properties = mapping["properties"].as_object();
    let mut keys: Vec<_> = properties.into_iter().flatten().collect();
    keys.sort_by_key(|(key, _)| !is_required(key, mapping));
    keys
}

fn is_required(key: &str, mapping: &Value) -> bool {
    let required = mapping["required"].as_array();
    mapping["properties"][key].get("default").is_none()
        && required.is_some_and(|required| required.iter().any(|required| required == key))
}

fn collect<'a>(
    mapping: &'a Value,
    definitions: &'a Value,
    path: &str,
    into: &mut Vec<Section<'a>>,
) {
    let known = into
        .iter_mut()
        .find(|section| std::ptr::eq(section.mapping, mapping));
    if let Some(known) = known {
        return known.paths.push(path.to_owned());
    }
    into.push(Section {
        mapping,
        paths: vec![path.to_owned()],
    });
    for (key, property) in keys(mapping) {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{key}");
        let (value, _) = without_null(property, definitions);
        let (items, _) = without_null(&value["items"], definitions);
        if value.get("properties").is_some() {
            collect(value, definitions, &path, into);
        } else if items.get("properties").is_some() {
            collect(items, definitions, &format!("{path}[]"), into);
        }
    }
}

fn takes(property: &Value, definitions: &Value) -> String {
    let (value, _) = without_null(property, definitions);
    if let Some(words) = words(value) {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(" or ");
    }
    let is = |schema: &Value, kind: &str| {
        schema["type"] == kind || schema["type"].get(0).is_some_and(|first| first == kind)
    };
    let (items, _) = without_null(&value["items"], definitions);
    match () {
        () if value.get("additionalProperties").is_some() => "mapping of text".into(),
        () if is(value, "boolean") => "`true` or `false`".into(),
        () if is(value, "object") => "mapping".into(),
        () if is(items, "object") => "list of mappings".into(),
        () if is(value, "array") => "list of text".into(),
        () if is(value, "integer") => format!("{} to {}", value["minimum"], value["maximum"]),
        () => "text".into(),
    }
}

fn default(key: &str, mapping: &Value) -> String {
    if is_required(key, mapping) {
        return "**required**".into();
    }
    let alternatives = mapping.get("anyOf").and_then(Value::as_array);
    let mut needed = alternatives
        .into_iter()
        .flatten()
        .map(|one| &one["required"][0]);
    if let (Some(first), Some(second)) = (needed.next(), needed.next())
        && first == key
    {
        return format!(
            "**required** without `{}`",
            second.as_str().unwrap_or_default()
        );
    }
    let default = mapping["properties"][key]
        .get("default")
        .and_then(Value::as_str);
    default.map_or_else(String::new, |default| format!("`{default}`"))
}
