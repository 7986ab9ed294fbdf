//! Broken input: nothing is written, and the user is told what to do.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::{fixtures, nkd};
use nkd_document::Code;

fn broken() -> Vec<PathBuf> {
    let directories = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut directories: Vec<_> = directories.filter(|path| path.is_dir()).collect();
    directories.sort();
    assert!(!directories.is_empty());
    directories
}

fn name(directory: &Path) -> String {
    directory.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn broken_input_is_explained_and_nothing_is_written() {
    for directory in broken() {
        let out = tempfile::tempdir().unwrap();
        let target = out.path().join("out");
        let mut arguments = vec!["compile", "cluster.yaml", "-o", target.to_str().unwrap()];
        let secrets = directory.join("secrets.json");
        if secrets.exists() {
            let readable = name(&directory).ends_with("readable-secrets");
            common::set_mode(&secrets, if readable { 0o644 } else { 0o600 });
            arguments.extend(["--secrets", "secrets.json"]);
        }
        let run = nkd(&directory, &arguments);
        assert_eq!(run.status, Some(3), "{}: {}", name(&directory), run.stderr);
        assert_eq!(run.stdout, "");
        assert_eq!(
            std::fs::read_dir(out.path()).unwrap().count(),
            0,
            "{}",
            name(&directory)
        );
        let expected = snapbox::Data::read_from(&directory.join("stderr.txt"), None).raw();
        snapbox::assert_data_eq!(run.stderr, expected);
    }
}

#[test]
fn every_broken_input_is_in_the_index_with_the_code_it_shows() {
    let index = std::fs::read_to_string(fixtures().join("README.md")).unwrap();
    for directory in broken() {
        let name = name(&directory);
        let row = index
            .lines()
            .find(|line| line.contains(&format!("({name})")));
        let code = row.unwrap_or_else(|| panic!("{name} is not in the index"));
        let code = code.split('|').nth(2).unwrap().trim();
        let stderr = std::fs::read_to_string(directory.join("stderr.txt")).unwrap();
        assert!(stderr.contains(code), "{name} doesn't show {code}");
    }
}

#[test]
fn every_code_about_input_files_has_a_broken_input() {
    let butane = std::fs::read_dir(common::tests().join("butane/refused")).unwrap();
    let butane = butane.map(|entry| entry.unwrap().path());
    let shown: String = broken()
        .into_iter()
        .chain(butane)
        .map(|directory| std::fs::read_to_string(directory.join("stderr.txt")).unwrap())
        .collect();
    // Warnings about a cluster in which nothing is wrong: see `warnings.rs`.
    let of_valid = ["NKD0181", "NKD0182"];
    // Codes from 0400 are about the output directory and the secrets file: see `output.rs`.
    for code in Code::ALL
        .iter()
        .map(|code| code.code())
        .filter(|code| *code < "NKD0400" && !of_valid.contains(code))
    {
        assert!(shown.contains(code), "no broken input shows {code}");
    }
}

#[test]
fn secrets_in_broken_input_are_not_repeated() {
    for directory in broken() {
        let stderr = std::fs::read_to_string(directory.join("stderr.txt")).unwrap();
        for secret in ["hunter2", "abcdef.0123456789abcdef"] {
            assert!(
                !stderr.contains(secret),
                "{} shows a secret",
                name(&directory)
            );
        }
    }
}
