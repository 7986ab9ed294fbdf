//! What the sources of the agent have to keep to.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use nkd_contract::Stage;

/// All sources below a directory of the agent's, each without its own tests.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut directories = vec![directory.clone()];
    let mut sources = Vec::new();
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            let place = path.strip_prefix(&directory).unwrap();
            sources.push((place.to_owned(), code.to_owned()));
        }
    }
    assert!(!sources.is_empty());
    sources
}

#[test]
fn the_worker_knows_stages_by_its_list_alone() {
    for (source, code) in sources("src/install") {
        for stage in Stage::ALL {
            let name = format!("Stage::{stage:?}");
            assert!(!code.contains(&name), "{} names {name}", source.display());
        }
        assert!(!code.contains("Stage::ALL"), "{}", source.display());
    }
}
