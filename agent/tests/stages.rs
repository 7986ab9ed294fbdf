//! What the sources of the agent have to keep to.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use nkd_contract::{Cause, Stage};

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

/// The stage whose source this is; `None` where stages share it.
fn stage_of(source: &Path) -> Option<Stage> {
    let first = source.components().next().unwrap().as_os_str();
    let name = first.to_str().unwrap().trim_end_matches(".rs");
    Stage::ALL.into_iter().find(|stage| stage.name() == name)
}

/// The names after `Cause::` in a source.
fn causes(code: &str) -> impl Iterator<Item = &str> {
    code.split("Cause::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric());
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// Prefixes of causes that every stage can report.
const SHARED: [&str; 3] = ["agent.", "plan.", "hook."];

#[test]
fn every_cause_is_of_a_stage_or_shared_by_all() {
    for cause in Cause::ALL {
        let (prefix, _) = cause.code().split_once('.').unwrap();
        let is_shared = SHARED.contains(&&*format!("{prefix}."));
        let is_of_a_stage = Stage::ALL.iter().any(|stage| stage.name() == prefix);
        assert!(is_shared || is_of_a_stage, "{cause}");
    }
}

#[test]
fn a_stage_reports_its_own_causes_and_shared_ones_alone() {
    let mut seen = 0;
    for (source, code) in sources("src/stages") {
        let stage = stage_of(&source);
        for name in causes(&code) {
            let named = |cause: &&Cause| format!("{cause:?}") == name;
            let cause = Cause::ALL.iter().find(named);
            let cause = cause.unwrap_or_else(|| panic!("{}: {name}", source.display()));
            let (prefix, _) = cause.code().split_once('.').unwrap();
            let is_own = stage.is_some_and(|stage| stage.name() == prefix);
            let is_shared = SHARED.contains(&&*format!("{prefix}."));
            let is_program = *cause == Cause::HostProgram;
            assert!(
                is_own || is_shared || is_program,
                "{}: {cause}",
                source.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} causes in the stages");
}
