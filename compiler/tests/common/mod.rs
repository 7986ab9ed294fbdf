//! What the tests have in common.
#![allow(dead_code)] // Not every test uses all of it.

pub mod images;
pub mod tamper;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nkd::compile::{self, Request};
use nkd::compiled::Compiled;
use nkd_document::Diagnostics;
use serde_json::Value;

/// Broken input.
pub fn fixtures() -> PathBuf {
    tests().join("fixtures")
}

/// The directory of the tests.
pub fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The example a newcomer begins with.
pub fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/cluster.yaml")
}

/// The text of the demo's cluster file, with leave for an init node that runs from memory.
pub fn demo_in_memory() -> String {
    let text = std::fs::read_to_string(demo()).unwrap();
    text.replace(
        "version: v1.20.2",
        "version: v1.20.2\n    etcd: {inMemory: true}",
    )
}

/// The checked-in secrets of the cluster `full`. Version control doesn't keep who may read them.
pub fn full_secrets() -> PathBuf {
    let path = tests().join("clusters/full/secrets.json");
    set_mode(&path, 0o600);
    path
}

/// The cluster with everything, compiled.
pub fn full(directory: &Path) -> PathBuf {
    let from = tests().join("clusters/full");
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
        }
    }
    let secrets = directory.join("secrets.json");
    set_mode(&secrets, 0o600);
    let file = directory.join("cluster.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("VERSION", "1.31.2")
        .replace("KUBEADM", "v1beta4");
    std::fs::write(&file, text).unwrap();
    let out = directory.join("out");
    compile(&file, &out, &["--secrets", secrets.to_str().unwrap()]);
    out
}

/// The demo with another runtime and version, and what else `spec` is to hold.
pub fn compiled_with(runtime: &str, version: &str, more: &str) -> Compiled {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let text = std::fs::read_to_string(demo()).unwrap();
    let text = text.replace("v1.20.2", version).replace(
        "spec:\n",
        &format!("spec:\n  runtime: {{name: {runtime}}}\n{more}"),
    );
    std::fs::write(&cluster_file, text).unwrap();
    compiled_from(&cluster_file)
}

/// Says who may read a file.
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What a run of `nkd` left.
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `nkd` in a directory.
pub fn nkd(directory: &Path, arguments: &[&str]) -> Run {
    run(Command::new(env!("CARGO_BIN_EXE_nkd"))
        .args(arguments)
        .current_dir(directory))
}

fn run(command: &mut Command) -> Run {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a program of a Debian package; its absence is a failure that names the package.
pub fn program(name: &str, package: &str, arguments: &[&str]) -> Run {
    assert!(
        Path::new(name).exists(),
        "{name} is missing: install Debian's package {package} to run this test"
    );
    run(Command::new(name).args(arguments))
}

/// Compiles into a directory, which must succeed.
pub fn compile(cluster_file: &Path, out: &Path, more: &[&str]) -> Run {
    let mut arguments = vec![
        "compile",
        cluster_file.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
    ];
    arguments.extend(more);
    let run = nkd(Path::new("/"), &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run
}

/// Compiles without writing anything, with new secrets.
pub fn compiled_from(cluster_file: &Path) -> Compiled {
    let request = Request {
        cluster_file,
        out: None,
        secrets: None,
        nodes: &[],
    };
    let mut diagnostics = Diagnostics::new();
    compile::compile(&request, &mut diagnostics)
        .unwrap_or_else(|failure| panic!("{failure:?}\n{diagnostics}"))
}

/// A node's Ignition config.
pub fn ignition(out: &Path, node: &str) -> Value {
    let text = std::fs::read_to_string(out.join(format!("nodes/{node}.ign"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A resource's text.
pub fn text(resource: &Value) -> String {
    let source = resource["source"].as_str().unwrap();
    let compression = resource["compression"].as_str().unwrap_or_default();
    String::from_utf8(nkd_ignition::decode(source, compression).unwrap()).unwrap()
}

/// A file's text in a node's Ignition config.
pub fn file(config: &Value, path: &str) -> Option<String> {
    let files = config["storage"]["files"].as_array().unwrap();
    files
        .iter()
        .find(|file| file["path"] == path)
        .map(|file| text(&file["contents"]))
}

/// Fails unless Ignition takes every node's file in an output, and every config nested in it.
pub fn assert_ignition_takes(out: &Path) {
    takes(&out.join("nodes"));
}

/// Fails unless Ignition takes every file in a directory, and every config nested in it.
pub fn takes(directory: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        takes_nested(&entry.unwrap().path(), scratch.path(), 0);
    }
}

fn takes_nested(path: &Path, scratch: &Path, depth: u8) {
    validate(path);
    let config: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let nested = config["ignition"]["config"]["merge"].as_array();
    let here = |resource: &&Value| resource["source"].as_str().unwrap().starts_with("data:");
    for resource in nested.into_iter().flatten().filter(here) {
        let inner = scratch.join(format!("inner{depth}.ign"));
        std::fs::write(&inner, text(resource)).unwrap();
        takes_nested(&inner, scratch, depth + 1);
    }
}

fn validate(path: &Path) {
    let run = program(
        "/usr/bin/ignition-validate",
        "ignition",
        &[path.to_str().unwrap()],
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr, "", "Ignition warns");
}
