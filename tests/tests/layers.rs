//! What depends on what: the order in docs/architecture.md holds, so that nothing depends in circles.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What begins a block of modules in the document, each before those that it may use.
const BLOCK: &str = "```layers ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crates with an order, and their modules, the highest first.
fn layers() -> Vec<(String, Vec<String>)> {
    let document = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let blocks = document.split(BLOCK).skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (modules, _) = rest.split_once("```").unwrap();
        let modules = modules.split_whitespace().map(str::to_owned);
        (name.to_owned(), modules.collect())
    });
    blocks.collect()
}

/// All sources below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let sources = paths.flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    sources.collect()
}

/// The crate's module that a source is of.
fn module(source: &Path, directory: &Path) -> String {
    let path = source.strip_prefix(directory).unwrap();
    let first = path.components().next().unwrap().as_os_str();
    let name = first.to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// The crate's modules that a source names. Its own tests may use any.
fn used(text: &str) -> BTreeSet<String> {
    let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let code = code.lines().map(|line| line.split("//").next().unwrap());
    let code = code.collect::<Vec<_>>().join("\n");
    let word = |text: &str| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            // Each name of a list of imports, and what is inside a name's own braces as well.
            Some(list) => used.extend(
                list[..list.find(';').unwrap()]
                    .split([',', '{'])
                    .map(|name| word(name.trim())),
            ),
            None => drop(used.insert(word(rest))),
        }
    }
    used
}

#[test]
fn every_module_uses_only_those_below_it() {
    let mut wrong = Vec::new();
    let layers = layers();
    assert!(!layers.is_empty());
    for (name, modules) in layers {
        let directory = root().join(&name).join("src");
        let place = |module: &str| modules.iter().position(|known| known == module);
        for source in sources(&directory) {
            let module = module(&source, &directory);
            if ["lib", "main"].contains(&&*module) {
                continue;
            }
            let Some(own) = place(&module) else {
                wrong.push(format!(
                    "docs/architecture.md has no place for {name}'s {module}"
                ));
                continue;
            };
            let text = fs::read_to_string(&source).unwrap();
            let above = used(&text)
                .into_iter()
                .filter(|used| place(used).is_some_and(|place| place < own));
            let source = source
                .strip_prefix(&directory)
                .unwrap()
                .display()
                .to_string();
            wrong.extend(
                above.map(|above| format!("{name}: {source} uses {above}, which is above it")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
