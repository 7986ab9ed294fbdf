//! Items of `spec.nodes` that stand for many nodes.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::{compile, nkd};
use nkd::cluster_file;
use nkd::compile::Request;
use nkd_document::Diagnostics;
use proptest::prelude::*;

/// A cluster with a control plane and these further nodes.
fn cluster(nodes: &str) -> String {
    format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
         kubernetes:\n    version: v1.31.2\n    networking:\n      \
         podSubnet: 10.32.0.0/11,fd00:10:32::/48\n      serviceSubnet: 10.96.0.0/16,fd00:10:96::/112\n  \
         pools:\n  - {{name: workers, role: worker}}\n  nodes:\n  \
         - {{name: cp1, role: control-plane, address: '10.0.0.5,fd00::5'}}\n{nodes}"
    )
}

/// A worker with static addresses, an own config and an overlay.
fn worker(name: &str, number: &str) -> String {
    format!(
        "  - name: {name}
    pool: workers
    address: 10.0.0.{number},fd00::{number}
    labels: {{disk: ssd}}
    kubelet: {{extraArgs: {{v: '2'}}}}
    kubeadm: [kubelet.yaml]
    os:
      butane: [motd.bu]
      kernelArguments: ['isolcpus=[0-3]']
    interfaces:
    - name: enp1s0
      addresses: ['10.0.0.{number}/24', 'fd00::{number}/64']
      gateways: [10.0.0.1]
"
    )
}

fn write(directory: &Path, nodes: &str) {
    let overlay =
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 50\n";
    let butane = "variant: nestos\nversion: 1.0.0\nstorage:\n  files:\n  \
                  - {path: /etc/motd, contents: {inline: hello}}\n";
    for (name, text) in [
        ("kubelet.yaml", overlay),
        ("motd.bu", butane),
        ("cluster.yaml", &cluster(nodes)),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// A directory with a cluster file with a range, and one with its nodes written out, both compiled with the same
/// secrets.
fn both() -> (tempfile::TempDir, tempfile::TempDir) {
    let [range, written] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    write(range.path(), &worker("w[01-12]", "[21-32]"));
    let nodes = (1..=12).map(|index| worker(&format!("w{index:02}"), &format!("{}", 20 + index)));
    write(written.path(), &nodes.collect::<String>());
    let secrets = range.path().join("secrets.json");
    let new = ["secrets", "new", "cluster.yaml", "-o", "secrets.json"];
    let made = nkd(range.path(), &new);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    for directory in [&range, &written] {
        let (file, out) = (
            directory.path().join("cluster.yaml"),
            directory.path().join("out"),
        );
        compile(&file, &out, &["--secrets", secrets.to_str().unwrap()]);
    }
    (range, written)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_range_compiles_to_the_same_files_as_its_nodes_written_out() {
    let (range, written) = both();
    let nodes = range.path().join("out/nodes");
    assert_eq!(names(&nodes).len(), 13);
    assert_eq!(names(&nodes), names(&written.path().join("out/nodes")));
    for name in names(&nodes) {
        let other = fs::read(written.path().join("out/nodes").join(&name)).unwrap();
        assert_eq!(fs::read(nodes.join(&name)).unwrap(), other, "{name}");
    }
    let diff = [
        "diff",
        "out",
        written.path().join("out").to_str().unwrap(),
        "--exit-code",
    ]
    .map(str::to_owned);
    let run = nkd(range.path(), &diff.each_ref().map(String::as_str));
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
}

#[test]
fn explain_names_the_line_of_the_range_for_each_of_its_nodes() {
    let (range, _) = both();
    let text = fs::read_to_string(range.path().join("cluster.yaml")).unwrap();
    let line = |key: &str| text.lines().position(|line| line.contains(key)).unwrap() + 1;
    let run = nkd(range.path(), &["explain", "out", "w07"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    for (key, at) in [
        ("spec.nodes[w07].interfaces", line("interfaces:")),
        (
            "spec.nodes[w07].os.kernelArguments[isolcpus=[0-3]]",
            line("kernelArguments:"),
        ),
    ] {
        let place = format!("cluster.yaml:{at} ({key})");
        assert!(run.stdout.contains(&place), "{place}\n{}", run.stdout);
    }
    let lock = fs::read_to_string(range.path().join("out/cluster.lock")).unwrap();
    assert!(!lock.contains("w[01-12]"), "{lock}");
}

#[test]
fn a_node_of_a_range_can_be_compiled_alone_and_for_a_carrier() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &worker("w[01-12]", "[21-32]"));
    let text = fs::read_to_string(directory.path().join("cluster.yaml")).unwrap();
    // Kernel arguments cannot be set on a machine that runs from memory.
    let text = text.replace("      kernelArguments: ['isolcpus=[0-3]']\n", "");
    fs::write(directory.path().join("cluster.yaml"), text).unwrap();
    let arguments = [
        "--node",
        "w07",
        "--target",
        "pxe",
        "--url",
        "https://pxe.example.org",
    ];
    let (file, out) = (
        directory.path().join("cluster.yaml"),
        directory.path().join("out"),
    );
    compile(&file, &out, &arguments);
    assert_eq!(names(&out.join("nodes")), ["w07.ign"]);
    assert!(names(&out.join("pxe")).contains(&"w07.ipxe".to_owned()));
}

/// The diagnostics about a cluster file.
fn diagnostics(nodes: &str) -> Vec<serde_json::Value> {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), nodes);
    let mut diagnostics = Diagnostics::new();
    let file = directory.path().join("cluster.yaml");
    drop(cluster_file::read(&file, &mut diagnostics));
    diagnostics.to_json()
}

/// An item for workers with IPv6 addresses, of which one range has enough.
fn many(name: &str, numbers: &str) -> String {
    format!("  - {{name: '{name}', pool: workers, address: '10.1.0.1,fd00::{numbers}'}}\n")
}

/// If nkd made the nodes of these ranges before it refuses them, the test's runner would end it.
#[test]
fn ranges_with_too_many_nodes_are_refused() {
    let alone = |range: &str| many(&format!("w{range}"), range);
    for nodes in [
        alone("[1-999999999]"),
        alone("[1-10001]"),
        many("v[1-6000]", "[1-6000]") + &many("w[1-6000]", "1:[1-6000]"),
    ] {
        let errors = diagnostics(&nodes);
        let mut messages = errors.iter().filter_map(|error| error["message"].as_str());
        let refused = messages.any(|message| message.contains("more than 10000"));
        assert!(refused, "{errors:?}");
    }
}

#[test]
fn ten_thousand_nodes_of_a_range_are_read() {
    let text = cluster("  - {name: 'w[1-9999]', pool: workers, address: 'fd00::1:[1-9999]'}\n");
    let text = text
        .replace("10.0.0.5,fd00::5", "fd00::5")
        .replace("10.32.0.0/11,", "")
        .replace("10.96.0.0/16,", "");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    fs::write(&file, text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let cluster = cluster_file::read(&file, &mut diagnostics);
    let cluster = cluster.unwrap_or_else(|_| panic!("{diagnostics}"));
    assert_eq!(cluster.nodes.len(), 10_000);
    let last = cluster.nodes.last().unwrap();
    assert_eq!((&*last.name, &*last.node_ip()), ("w9999", "fd00::1:9999"));
    assert!(cluster.lines.contains_key("spec.nodes[w9999].address"));
}

/// An error of every node of a range has one place and one message.
#[test]
fn an_error_that_all_nodes_of_a_range_have_is_shown_once() {
    let nodes = worker("w[01-12]", "[21-32]");
    for (from, to) in [
        ("disk: ssd", "-disk: ssd"),
        ("10.0.0.1]", "10.0.9.1]"),
        ("motd.bu", "missing.bu"),
        ("kubelet.yaml", "missing.yaml"),
        ("w[01-12]", "w_[01-12]"),
        ("10.0.0.[21-32],", "127.0.0.[21-32],"),
        ("10.0.0.[21-32],", "10.0.0.[250-261],"),
        ("v: '2'", "node-ip: '2'"),
        ("pool: workers", "pool: worker"),
        ("kubelet:", "kublet:"),
    ] {
        let errors = diagnostics(&nodes.replace(from, to));
        let mut seen: Vec<_> = errors
            .iter()
            .map(|error| format!("{}:{}:{}", error["code"], error["line"], error["column"]))
            .collect();
        seen.dedup();
        assert!(!errors.is_empty(), "{to}");
        assert_eq!(seen.len(), errors.len(), "{to}: {errors:#?}");
        assert!(errors.len() < 4, "{to}: {errors:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_stands_for_its_nodes(
        before in "[a-z][a-z0-9]{0,8}",
        after in "(\\.[a-z]{1,5})?",
        first in 0..120_u32,
        count in 1..6_u32,
        width in 1..5_usize,
        address in 6..200_u32,
    ) {
        let last = first + count - 1;
        // Without leading zeros, the numbers have the digits that they need.
        let width = if width <= first.to_string().len() { 1 } else { width.max(last.to_string().len()) };
        let range = format!("{before}[{first:0width$}-{last:0width$}]{after}");
        let numbers = format!("[{address}-{}]", address + count - 1);
        let mut written = String::new();
        for index in 0..count {
            let name = format!("{before}{:0width$}{after}", first + index);
            write!(written, "{}", worker(&name, &(address + index).to_string())).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &written);
        let secrets = directory.path().join("secrets.json");
        let made = nkd(directory.path(), &["secrets", "new", "cluster.yaml", "-o", "secrets.json"]);
        prop_assert_eq!(made.status, Some(0), "{}", made.stderr);
        let compiled = |nodes: &str| {
            write(directory.path(), nodes);
            let request = Request {
                cluster_file: &directory.path().join("cluster.yaml"),
                out: None,
                secrets: Some(&secrets),
                nodes: &[],
            };
            let mut diagnostics = Diagnostics::new();
            let compiled = nkd::compile::compile(&request, &mut diagnostics);
            let nodes = compiled.unwrap_or_else(|failure| panic!("{failure:?}\n{diagnostics}")).nodes;
            nodes.into_iter().map(|node| (node.name, node.ignition)).collect::<Vec<_>>()
        };
        prop_assert_eq!(compiled(&worker(&range, &numbers)), compiled(&written));
    }
}
