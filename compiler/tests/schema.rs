//! The cluster file's schema and documentation: current, and of one mind with the reader.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{fixtures, nkd, tests};
use jsonschema::Validator;
use nkd::cluster_file::{manual, schema};
use nkd_document::Diagnostics;
use nkd_document::yaml;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

fn root() -> PathBuf {
    tests().join("..")
}

/// A YAML file's first document, if it can be read.
fn document(text: &str) -> Option<Value> {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("cluster.yaml"), text.to_owned());
    let documents = yaml::documents(source, &mut diagnostics).ok()?;
    Some(documents.first()?.to_json())
}

/// A validator of the cluster file's schema. Making one checks the schema against its meta-schema.
fn validator() -> Validator {
    jsonschema::validator_for(&schema::schema()).unwrap()
}

/// Whether a cluster file is YAML that fits the schema.
fn accepts(text: &str) -> bool {
    document(text).is_some_and(|document| validator().is_valid(&document))
}

#[test]
fn the_schema_and_the_documentation_are_current() {
    let schema = nkd(Path::new("/"), &["schema"]);
    assert_eq!(schema.status, Some(0));
    let checked_in = snapbox::Data::read_from(&root().join("schemas/cluster.schema.json"), None);
    snapbox::assert_data_eq!(schema.stdout, checked_in.raw());
    let checked_in = snapbox::Data::read_from(&root().join("../docs/cluster-file.md"), None);
    snapbox::assert_data_eq!(manual::manual(), checked_in.raw());
}

/// Whether the compiler reports an error in a fixture, and whether its cluster file fits the schema.
fn verdicts() -> Vec<(String, bool, bool)> {
    let validator = validator();
    let mut verdicts = Vec::new();
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let directory = entry.unwrap().path();
        let Ok(stderr) = std::fs::read_to_string(directory.join("stderr.txt")) else {
            continue;
        };
        let text = std::fs::read_to_string(directory.join("cluster.yaml")).unwrap_or_default();
        if let Some(document) = document(&text) {
            let name = directory
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let refused = stderr.lines().any(|line| line.starts_with("error["));
            verdicts.push((name, refused, validator.is_valid(&document)));
        }
    }
    verdicts
}

/// The number of fixtures with errors that a schema can express. It only grows.
const REFUSED: usize = 74;

#[test]
fn most_errors_in_single_values_do_not_fit_the_schema() {
    let verdicts = verdicts();
    let refused = verdicts
        .iter()
        .filter(|(_, refused, fits)| *refused && !fits);
    let refused = refused.count();
    assert!(refused >= REFUSED, "{refused}");
    for (name, refused, fits) in verdicts {
        assert!(refused || fits, "{name}");
    }
}

/// Where a value is in a cluster file, with `$` in its place, and good values.
const VALUES: [(&str, &[&str]); 49] = [
    ("metadata: {name: $}", &["demo"]),
    ("spec.kubernetes: {version: $}", &["v1.31.2", "1.20.0"]),
    (
        "spec.kubernetes: {version: v1.31.2, endpoint: $}",
        &["api.example.org:6443", "10.0.0.5:6443", "[fd00::5]:6443"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, imageRepository: $}",
        &["r.example.org:5000/k8s", "k8s"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, networking: {podSubnet: $}}",
        &["10.32.0.0/16"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, networking: {serviceSubnet: $}}",
        &["10.64.0.0/16"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, networking: {dnsDomain: $}}",
        &["cluster.local"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, apiServer: {certSANs: [$]}}",
        &["*.a.example.org", "10.0.0.5", "fd00::5"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, endpoint: '10.9.9.9:6443', kubeVip: {interface: $}}",
        &["eth0", "eth0.7"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, endpoint: '10.9.9.9:6443', kubeVip: {interface: e, image: $}}",
        &["a.example.org:5/b:1"],
    ),
    (
        "spec.kubernetes: {version: v1.31.2, bootstrapTokens: {ttl: $}}",
        &["7d", "1day 2h", "1y"],
    ),
    ("spec.network: {ports: [$]}", &["8472/udp", "4240-4250/tcp"]),
    (
        "spec.extraImages: [$]",
        &[
            "r.example.org/a:1",
            "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
    ),
    (
        "spec.report: {url: $}",
        &["https://u:p@a.example.org:1/b?c", "http://[fd00::1]/"],
    ),
    ("spec.pki: {validity: $}", &["10y", "3650 days"]),
    (
        "spec.budgets: {images: $}",
        &["30m", "1h 30min", "90s", "0s"],
    ),
    (
        "spec.airgap: {images: $}",
        &["/usr/share/images", "/a.b/..c"],
    ),
    (
        "spec.runtime: {registries: [{host: $, mirrors: [{url: 'https://m.example.org'}]}]}",
        &["docker.io", "a.example.org:5000", "10.0.0.5", "_default"],
    ),
    (
        "spec.runtime: {registries: [{host: a.example.org, mirrors: [{url: $}]}]}",
        &["https://m.example.org/v2/a", "http://10.0.0.5:5000"],
    ),
    (
        "spec.os: {releaseImage: $}",
        &[
            "r.example.org:5/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
    ),
    ("spec.os: {kernelArguments: [$]}", &["console=ttyS0,115200"]),
    (
        "spec.os: {ntp: [$]}",
        &["ntp.example.org", "10.0.0.5", "fd00::5"],
    ),
    (
        "spec.os: {proxy: {http: $}}",
        &["http://a.example.org:3128"],
    ),
    (
        "spec.os: {proxy: {http: 'http://a', noProxy: [$]}}",
        &[".example.org", "10.0.0.0/8", "[fd00::1]:8"],
    ),
    (
        "spec.os: {hosts: [{address: $, names: [a]}]}",
        &["10.0.0.5", "fd00::5"],
    ),
    (
        "spec.os: {hosts: [{address: 10.0.0.5, names: [$]}]}",
        &["a.example.org"],
    ),
    ("spec.os: {users: [{name: $}]}", &["core", "_a-1"]),
    ("spec.os: {users: [{name: a, groups: [$]}]}", &["wheel"]),
    (
        "spec.os: {users: [{name: a, passwordHash: $}]}",
        &["$6$salt$hash./A0"],
    ),
    (
        "spec.os: {users: [{name: a, sshAuthorizedKeys: [$]}]}",
        &["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDqaDOJ0ZkQ1R9mSBUTL6bTrvmPTQbUIy0K5bMNpNzyi me"],
    ),
    (
        "spec.os: {extensions: [{name: $, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, architecture: arm64, disk: D}]}",
        &["nkd", "kubernetes_1.31-a"],
    ),
    (
        "spec.os: {extensions: [{name: a, sha256: $, architecture: arm64, disk: D}]}",
        &["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    ),
    (
        "spec.os: {extensions: [{name: a, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, architecture: arm64, disk: D, kubernetesVersion: $}]}",
        &["v1.31.2"],
    ),
    (
        "spec.os: {extensions: [{name: a, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, architecture: arm64, disk: $}]}",
        &["EXT-1"],
    ),
    (
        "spec.os: {extensions: [{name: a, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, architecture: arm64, url: $}]}",
        &["https://a.example.org/b.raw?c=d"],
    ),
    (
        "spec.os: {extensions: [{name: a, sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, architecture: arm64, directory: $}]}",
        &["/usr/share/a.b"],
    ),
    ("spec.pools: [{name: $}]", &["gpu"]),
    ("node.name: $", &["cp1.example.org", "cp[01-01].a"]),
    (
        "node.address: $",
        &["10.0.0.2", "10.0.0.2,fd00::2", "10.0.0.[2-2]"],
    ),
    ("node.mac: $", &["52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF"]),
    ("node.installDisk: $", &["/dev/disk/by-id/a"]),
    ("node.labels: {$: a}", &["example.org/a", "a_b.c"]),
    ("node.labels: {a: $}", &["A_b.c-1", ""]),
    (
        "node.taints: [{key: $, value: $, effect: NoSchedule}]",
        &["a", "b-c"],
    ),
    (
        "node.kubelet: {systemReserved: {cpu: $}}",
        &["500m", "1.5Gi", "1e3", "2."],
    ),
    (
        "node.kubelet: {extraArgs: {$: a}}",
        &["v", "image-gc-high-threshold"],
    ),
    (
        "node.interfaces: [{name: $, gateways: [], addresses: [10.0.0.1/24]}]",
        &["eth0", "br-0.7"],
    ),
    (
        "node.interfaces: [{name: eth0, addresses: [$]}]",
        &["10.0.0.1/24", "10.0.0.[1-1]/24"],
    ),
    (
        "node.interfaces: [{name: eth0, dns: [$], addresses: [10.0.0.1/24, 'fd00::1/64']}]",
        &["10.0.0.53", "fd00::53"],
    ),
];

/// A cluster file with a value.
fn with_value(place: &str, value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    let (key, rest) = place.split_once(':').unwrap();
    let line = format!("{}:{rest}", key.rsplit('.').next().unwrap()).replace('$', &quoted);
    let (mut metadata, mut spec) = ("metadata: {name: demo}".to_owned(), String::new());
    let mut kubernetes = "  kubernetes: {version: v1.31.2}\n".to_owned();
    let mut node = vec!["name: cp1", "address: 10.0.0.1"];
    match key.split('.').next().unwrap() {
        "metadata" => metadata = line,
        "spec" if key == "spec.kubernetes" => kubernetes = format!("  {line}\n"),
        "spec" => spec = format!("  {line}\n"),
        _ => {
            let name = line.split_once(':').unwrap().0;
            node.retain(|own| !own.starts_with(&format!("{name}:")));
            node.push(&line);
        }
    }
    format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\n{metadata}\nspec:\n{kubernetes}{spec}  \
         nodes:\n  - role: control-plane\n    {}\n",
        node.join("\n    ")
    )
}

/// Whether the compiler accepts a cluster file.
fn compiles(directory: &Path, text: &str) -> bool {
    let path = directory.join("cluster.yaml");
    std::fs::write(&path, text).unwrap();
    nkd::cluster_file::read(&path, &mut Diagnostics::new()).is_ok()
}

#[test]
fn good_values_fit_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    let validator = validator();
    for (place, values) in VALUES {
        for value in values {
            let text = with_value(place, value);
            assert!(
                compiles(directory.path(), &text) || place.contains("address: $"),
                "{text}"
            );
            assert!(validator.is_valid(&document(&text).unwrap()), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A good value with a change at one or two positions may still be good. Then it fits the schema.
    #[test]
    fn what_the_compiler_accepts_fits_the_schema(
        which in 0..VALUES.len(),
        value in any::<Index>(),
        changes in vec((any::<Index>(), "[ -~äµ\t]{0,2}", 0..2_usize), 1..3),
    ) {
        let (place, values) = VALUES[which];
        let mut value: Vec<char> = value.get(values).chars().collect();
        for (at, new, removed) in changes {
            let at = at.index(value.len() + 1);
            let end = (at + removed).min(value.len());
            value.splice(at..end, new.chars());
        }
        let text = with_value(place, &value.iter().collect::<String>());
        let directory = tempfile::tempdir().unwrap();
        if compiles(directory.path(), &text) {
            prop_assert!(VALIDATOR.is_valid(&document(&text).unwrap()), "{text}");
        }
    }
}

static VALIDATOR: LazyLock<Validator> = LazyLock::new(validator);

#[test]
fn examples_and_test_clusters_fit_the_schema() {
    let clusters =
        ["external", "full", "ha", "network"].map(|name| tests().join("clusters").join(name));
    let examples = std::fs::read_dir(root().join("../examples")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path());
    let paths = clusters
        .into_iter()
        .chain(examples)
        .map(|directory| directory.join("cluster.yaml"));
    for path in paths.filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("VERSION", "v1.31.2");
        assert!(accepts(&text), "{}", path.display());
    }
    assert!(accepts(&nkd(Path::new("/"), &["new"]).stdout));
}

#[test]
fn what_the_reader_finds_wrong_with_keys_does_not_fit_the_schema() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let directory = entry.unwrap().path();
        let Ok(stderr) = std::fs::read_to_string(directory.join("stderr.txt")) else {
            continue;
        };
        // Unknown, of another type, missing; and only where all is about the cluster file itself.
        let codes = ["NKD0006", "NKD0007", "NKD0008"];
        let other_file = stderr
            .lines()
            .any(|line| line.contains("--> ") && !line.contains("--> cluster.yaml"));
        if codes.iter().any(|code| stderr.contains(code)) && !other_file {
            let text = std::fs::read_to_string(directory.join("cluster.yaml")).unwrap();
            // What a pool lacks is not for a schema to see.
            if stderr.contains("in this node and in its pool") {
                continue;
            }
            assert!(!accepts(&text), "{}", directory.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_new_cluster_file_names_every_key_and_shows_the_defaults() {
    let new = nkd(Path::new("/"), &["new"]).stdout;
    let schema = schema::schema();
    let definitions = schema["$defs"].as_object().unwrap().values();
    let mappings = definitions.chain([&schema]);
    for (key, property) in mappings
        .filter_map(|schema| schema["properties"].as_object())
        .flatten()
    {
        assert!(new.contains(&format!("{key}:")), "{key}");
        if let Some(default) = property["default"].as_str() {
            let line = format!("{key}: {default}");
            assert!(new.contains(&line), "{line}");
        }
    }
}

/// The value of a key, or of an item of its list, with references followed.
fn child<'a>(schema: &'a Value, parent: &'a Value, key: &str) -> Option<&'a Value> {
    let options = parent["anyOf"].as_array().into_iter().flatten();
    let mut parents = options.chain([parent, &parent["items"]]);
    parents.find_map(|parent| match parent["$ref"].as_str() {
        Some(reference) => child(schema, schema.pointer(&reference[1..])?, key),
        None if parent["items"].is_object() => child(schema, &parent["items"], key),
        None => parent["properties"].get(key),
    })
}

#[test]
fn what_is_on_a_node_is_asked_for_by_keys_that_exist() {
    let directory = tempfile::tempdir().unwrap();
    common::full(directory.path());
    let full = common::compiled_from(&directory.path().join("cluster.yaml"));
    let others =
        ["crio", "isulad", "docker"].map(|runtime| common::compiled_with(runtime, "v1.31.2", ""));
    let schema = schema::schema();
    let levels: [&[&str]; 3] = [&["spec"], &["spec", "pools"], &["spec", "nodes"]];
    for (path, key) in others
        .iter()
        .chain([&full])
        .flat_map(|cluster| &cluster.keys)
    {
        let exists = levels.into_iter().any(|level| {
            let mut keys = level.iter().copied().chain(key.split_terminator('.'));
            keys.try_fold(&schema, |parent, key| child(&schema, parent, key))
                .is_some()
        });
        assert!(exists, "{path}: {key}");
    }
}
