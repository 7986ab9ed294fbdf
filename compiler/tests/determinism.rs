//! The same input and secrets give the same bytes, wherever and whenever.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::tests;
use nkd_document::Diagnostics;
use nkd_document::yaml;
use serde_json::Value;

/// The cluster with everything in it, and its files, for one Kubernetes version.
struct Cluster {
    directory: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        // A clone's files are readable by others, which nkd refuses.
        common::full_secrets();
        let directory = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(tests().join("clusters/full")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let cluster = Self { directory };
        let text = fs::read_to_string(cluster.file()).unwrap();
        let text = text
            .replace("VERSION", "1.31.2")
            .replace("KUBEADM", "v1beta4");
        fs::write(cluster.file(), text).unwrap();
        cluster
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("cluster.yaml")
    }

    /// Compiles with the cluster's secrets, and gives back all that was written.
    fn compile(&self, file: &Path, from: &Path, environment: &[(&str, &str)]) -> Files {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("out");
        let run = Command::new(env!("CARGO_BIN_EXE_nkd"))
            .arg("compile")
            .arg(file)
            .arg("-o")
            .arg(&out)
            .args(["--target", "qemu", "--secrets"])
            .arg(self.directory.path().join("secrets.json"))
            .current_dir(from)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{stderr}");
        let mut files = Files::new();
        collect(&out, &out, &mut files);
        files
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn collect(directory: &Path, from: &Path, into: &mut Files) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, from, into);
        } else {
            let name = path.strip_prefix(from).unwrap().to_owned();
            into.insert(name, fs::read(&path).unwrap());
        }
    }
}

#[track_caller]
fn assert_same(one: &Files, other: &Files) {
    assert!(one.keys().eq(other.keys()));
    for (name, bytes) in one {
        assert!(bytes == &other[name], "{} differs", name.display());
    }
}

#[test]
fn time_zone_and_locale_do_not_matter() {
    let cluster = Cluster::new();
    let file = cluster.file();
    let one = [("TZ", "UTC"), ("LANG", "C"), ("LC_ALL", "C")];
    let other = [
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
    ];
    let root = Path::new("/");
    let one = cluster.compile(&file, root, &one);
    assert!(one.len() == 5, "{:?}", one.keys());
    assert_same(&one, &cluster.compile(&file, root, &other));
}

#[test]
fn the_working_directory_does_not_matter() {
    let cluster = Cluster::new();
    let from_root = cluster.compile(&cluster.file(), Path::new("/"), &[]);
    let here = cluster.directory.path();
    let from_here = cluster.compile(Path::new("cluster.yaml"), here, &[]);
    assert_same(&from_root, &from_here);
    let below = here.join("below");
    fs::create_dir(&below).unwrap();
    let from_below = cluster.compile(Path::new("../cluster.yaml"), &below, &[]);
    assert_same(&from_root, &from_below);
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let cluster = Cluster::new();
    let text = fs::read_to_string(cluster.file()).unwrap();
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("cluster.yaml"), text);
    let document = yaml::documents(source, &mut diagnostics).unwrap()[0].to_json();
    let mut outputs = [false, true].map(|reverse| {
        fs::write(cluster.file(), ordered(&document, reverse)).unwrap();
        cluster.compile(&cluster.file(), Path::new("/"), &[])
    });
    // It says which line asked for what, and lines are others.
    for output in &mut outputs {
        output.remove(Path::new("cluster.lock")).unwrap();
    }
    assert_same(&outputs[0], &outputs[1]);
}

/// JSON, which is YAML, with its keys ascending or descending.
fn ordered(value: &Value, reverse: bool) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            if reverse {
                keys.reverse();
            }
            let entry = |key| format!("{key:?}: {}", ordered(&map[key], reverse));
            let entries: Vec<_> = keys.into_iter().map(entry).collect();
            format!("{{{}}}", entries.join(",\n"))
        }
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(|item| ordered(item, reverse)).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}
