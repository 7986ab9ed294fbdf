//! Files of odd kinds and sizes: taken or explained, soon, and in little memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{demo, nkd};

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
fn directories_and_endless_devices_are_no_cluster_files() {
    let directory = tempfile::tempdir().unwrap();
    refused(directory.path(), "NKD0001");
    refused(Path::new("/dev/zero"), "larger than 16 MiB");
}

/// Runs a script of bash in a directory with a cluster file and a manifest that it names.
fn run_with_pipes(script: &str) -> (Option<i32>, String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(demo()).unwrap();
    let more = "spec:\n  network: {manifests: [own.yaml]}\n";
    let text = text.replace("spec:\n", more);
    fs::write(directory.path().join("cluster.yaml"), text).unwrap();
    let manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: own}\n";
    fs::write(directory.path().join("own.yaml"), manifest).unwrap();
    let output = Command::new("/bin/bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_nkd")])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr, directory)
}

#[test]
fn cluster_files_may_be_pipes_and_name_files_of_the_working_directory() {
    for script in [
        "cat cluster.yaml | $0 validate -",
        "$0 validate - < cluster.yaml",
        "cat cluster.yaml | $0 validate /dev/stdin",
        "$0 validate <(cat cluster.yaml)",
        "cat cluster.yaml | $0 images - --format json",
        "mkfifo pipe; cat cluster.yaml > pipe & $0 validate pipe",
        // Also the files that it names.
        "mv own.yaml other.yaml; sed -i s,own.yaml,/dev/stdin, cluster.yaml; cat other.yaml | $0 validate cluster.yaml",
    ] {
        let (status, stderr, _) = run_with_pipes(script);
        assert_eq!(status, Some(0), "{script}: {stderr}");
    }
}

#[test]
fn errors_in_standard_input_have_positions_and_its_output_names_it() {
    let (status, stderr, _) =
        run_with_pipes("sed s,own.yaml,gone.yaml, cluster.yaml | $0 validate -");
    assert_eq!(status, Some(3));
    assert!(stderr.contains("standard input:"), "{stderr}");
    let (status, stderr, directory) =
        run_with_pipes("cat cluster.yaml | $0 compile - -o out && $0 explain out cp1");
    assert_eq!(status, Some(0), "{stderr}");
    let lock = fs::read_to_string(directory.path().join("out/cluster.lock")).unwrap();
    assert!(
        lock.contains(r#""clusterFile": "standard input""#),
        "{lock}"
    );
    let (_, stderr, _) = run_with_pipes(
        "$0 compile cluster.yaml -o out > /dev/null && cat cluster.yaml | $0 compile - -o out > /dev/null",
    );
    assert_eq!(stderr, "");
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

#[test]
fn large_clusters_and_manifests_are_read() {
    use std::fmt::Write as _;
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let mut text = String::from(
        "apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: large}
spec:
  kubernetes:
    version: v1.31.2
    endpoint: 10.0.0.10:6443
    networking: {podSubnet: 100.64.0.0/10}
  network: {manifests: [crd.yaml]}
  nodes:
",
    );
    for index in 0..10_000 {
        let (high, low) = (index / 250, index % 250 + 1);
        let _ = writeln!(
            text,
            "  - name: w{index}
    role: worker
    address: 10.1.{high}.{low}
    mac: 52:54:00:00:{high:02x}:{low:02x}
    labels: {{topology.kubernetes.io/zone: z1, example.org/rack: r{high}, example.org/unit: u{low}}}
    interfaces:
    - name: eth0
      addresses: [10.1.{high}.{low}/16]
      gateways: [10.1.255.254]
      dns: [10.1.255.253, 10.1.255.252]"
        );
    }
    fs::write(&cluster_file, text).unwrap();
    let mut crd = String::from(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nproperties:\n",
    );
    for index in 0..20_000 {
        let _ = writeln!(
            crd,
            "  field{index}:\n    description: Field {index} of a custom resource.\n    type: string"
        );
    }
    assert!(crd.len() > 1_500_000, "{}", crd.len());
    fs::write(directory.path().join("crd.yaml"), crd).unwrap();
    // The one thing that is wrong, so that nothing is compiled.
    let run = nkd(directory.path(), &["validate", "cluster.yaml"]);
    assert!(run.stderr.starts_with("error[NKD0110]"), "{}", run.stderr);
    assert!(run.stderr.ends_with("\n1 error\n"), "{}", run.stderr);
}
