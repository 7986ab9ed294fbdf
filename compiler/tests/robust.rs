//! Files of odd kinds and sizes: taken or explained, soon, and in little memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{demo, nkd, program};

/// Runs `nkd validate` with half a minute and a gigabyte.
fn validate(path: &Path) -> (Option<i32>, String) {
    let script = "ulimit -v 1000000; exec timeout 30 \"$0\" validate \"$1\"";
    let output = Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_nkd")])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr)
}

#[track_caller]
fn refused(path: &Path, code: &str) {
    let (status, stderr) = validate(path);
    assert_eq!(status, Some(3), "{stderr:.2000}");
    assert!(stderr.contains(code), "{stderr:.2000}");
    assert!(stderr.len() < 10_000, "{} bytes are said", stderr.len());
}

#[test]
fn windows_line_ends_and_byte_order_marks_make_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(demo()).unwrap();
    for text in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        fs::write(&cluster_file, text).unwrap();
        let run = nkd(directory.path(), &["validate", "cluster.yaml"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
    }
}

#[test]
fn pipes_directories_and_devices_are_no_cluster_files() {
    let directory = tempfile::tempdir().unwrap();
    refused(directory.path(), "NKD0001");
    refused(Path::new("/dev/zero"), "NKD0001");
    let pipe = directory.path().join("pipe");
    let made = program("/usr/bin/mkfifo", "coreutils", &[pipe.to_str().unwrap()]);
    assert_eq!(made.status, Some(0));
    refused(&pipe, "NKD0001");
}

#[test]
fn huge_files_and_scalars_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let scalar = |bytes| format!("apiVersion: {}\n", "x".repeat(bytes));
    fs::write(&cluster_file, scalar(2_000_000)).unwrap();
    refused(&cluster_file, "NKD0101");
    fs::write(&cluster_file, scalar(20_000_000)).unwrap();
    refused(&cluster_file, "NKD0001");
}

#[test]
fn deep_nesting_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let flow = ["[", "{a: ", "[{a: "].map(|open| format!("a: {}", open.repeat(50_000)));
    let mut block = String::new();
    for depth in 0..2000 {
        block.push_str(&" ".repeat(depth));
        block.push_str("a:\n");
    }
    for text in flow.into_iter().chain([block]) {
        fs::write(&cluster_file, text).unwrap();
        refused(&cluster_file, "NKD0002");
    }
}
