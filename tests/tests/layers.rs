//! What depends on what: the order in docs/architecture.md holds, so that nothing depends in circles. In the
//! compiler's crates, a module also uses nothing of the modules that it is inside of.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What begins a block of modules in the document, each before those that it may use.
const BLOCK: &str = "```layers ";

/// The crates in which no module may use its parent.
const DOWNWARD: [&str; 4] = [
    "compiler",
    "compiler/document",
    "compiler/ignition",
    "compiler/model",
];

/// The exceptions, by crate and module: parts of one type's methods, and the command line that completions are for.
const UPWARD: [(&str, &str); 5] = [
    ("compiler", "cli::shell"),
    ("compiler/document", "diagnostics::render"),
    ("compiler/ignition", "check::resource"),
    ("compiler/ignition", "check::storage"),
    ("compiler/ignition", "check::unit"),
];

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

/// A source without its tests and comments.
fn code(text: &str) -> String {
    let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let code = code.lines().map(|line| line.split("//").next().unwrap());
    code.collect::<Vec<_>>().join("\n")
}

/// The name that a text begins with.
fn word(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    text[..end.unwrap_or(text.len())].to_owned()
}

/// What follows a path in a source: a name, or the names of a list of imports.
fn following(code: &str, path: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split(path).skip(1) {
        match rest.strip_prefix('{') {
            // Each name of a list of imports, and what is inside a name's own braces as well.
            Some(list) => names.extend(
                list[..list.find(';').unwrap()]
                    .split([',', '{'])
                    .map(|name| word(name.trim())),
            ),
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

/// The path of a source's module inside its crate.
fn module_path(source: &Path, directory: &Path) -> Vec<String> {
    let path = source.strip_prefix(directory).unwrap().with_extension("");
    let parts = path.components().map(std::path::Component::as_os_str);
    let mut parts: Vec<_> = parts
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    parts.pop_if(|last| last == "mod");
    parts
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
            let above = following(&code(&text), "crate::")
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

#[test]
fn no_module_of_the_compiler_uses_its_parent() {
    let mut wrong = Vec::new();
    let mut excused = BTreeSet::new();
    for name in DOWNWARD {
        let directory = root().join(name).join("src");
        for source in sources(&directory) {
            let path = module_path(&source, &directory);
            let Some((own, above @ [_, ..])) = path.split_last() else {
                continue;
            };
            let module = path.join("::");
            let code = code(&fs::read_to_string(&source).unwrap());
            let mut used = following(&code, "super::");
            used.extend(following(&code, &format!("crate::{}::", above.join("::"))));
            // A child may use its siblings, which are modules of the parent.
            let parent = directory.join(above.join("/"));
            let is_sibling = |name: &String| {
                parent.join(format!("{name}.rs")).is_file() || parent.join(name).is_dir()
            };
            let climbs: Vec<_> = used
                .into_iter()
                .filter(|name| name != own && !is_sibling(name))
                .collect();
            let exception = UPWARD.iter().find(|known| **known == (name, &*module));
            match exception {
                Some(exception) if !climbs.is_empty() => drop(excused.insert(exception)),
                _ => wrong.extend(
                    climbs
                        .iter()
                        .map(|item| format!("{name}: {module} uses {item} of its parent")),
                ),
            }
        }
    }
    let idle = UPWARD.iter().filter(|known| !excused.contains(known));
    wrong.extend(idle.map(|(name, module)| format!("{name}: {module} needs no exception")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
