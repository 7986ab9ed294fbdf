//! Every cluster file that users copy compiles: the examples, and the settings in docs/network-addons.md.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::images::tiny_bundle;
use common::{assert_ignition_takes, compile, file, fixtures, ignition, nkd, tests};
use nkd_contract::paths;
use nkd_document::yaml;
use serde_json::{Value, json};

/// What a user has to put beside the cluster file of an example. A manifest of a network add-on is a stand-in.
const BESIDE: [(&str, &str, Beside); 9] = [
    ("airgap", "kube-flannel.yaml", Beside::Manifest),
    ("airgap", "bundle.tar", Beside::Bundle),
    ("cilium", "cilium.yaml", Beside::Manifest),
    ("external-etcd", "etcd-ca.crt", Beside::Copy("ca.crt")),
    (
        "external-etcd",
        "apiserver-etcd-client.crt",
        Beside::Copy("client.crt"),
    ),
    (
        "external-etcd",
        "apiserver-etcd-client.key",
        Beside::Copy("client.key"),
    ),
    ("stock-image", "kube-flannel.yaml", Beside::Manifest),
    (
        "stock-image",
        "extensions/nkd.raw",
        Beside::Fixture("352-extension-contradicts-file/nkd.raw"),
    ),
    (
        "stock-image",
        "extensions/kubernetes.raw",
        Beside::Fixture("354-extension-version/k8s.raw"),
    ),
];

#[derive(Clone, Copy)]
enum Beside {
    Manifest,
    /// A bundle with all images that `nkd images` lists.
    Bundle,
    /// A file of the test cluster `external`.
    Copy(&'static str),
    /// A file of a fixture.
    Fixture(&'static str),
}

impl Beside {
    fn put(self, at: &Path, name: &str) {
        let to = at.join(name);
        assert!(!to.exists(), "{name} is in the repository");
        match self {
            Self::Manifest => fs::write(to, addon().to_string()).unwrap(),
            Self::Bundle => {
                let images = nkd(at, &["images", "cluster.yaml"]);
                assert_eq!(images.status, Some(0), "{}", images.stderr);
                let images: Vec<_> = images.stdout.lines().collect();
                fs::write(to, tiny_bundle(&images, "amd64")).unwrap();
            }
            Self::Copy(from) => {
                let from = tests().join("clusters/external").join(from);
                fs::copy(from, to).map(drop).unwrap();
            }
            Self::Fixture(from) => {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(fixtures().join(from), to).map(drop).unwrap();
            }
        }
    }
}

/// A stand-in for the manifest of a network add-on.
fn addon() -> Value {
    let containers = json!([{"name": "addon", "image": "example.org/addon:v1"}]);
    let template =
        json!({"metadata": {"labels": {"app": "addon"}}, "spec": {"containers": containers}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "addon", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": {"app": "addon"}}, "template": template},
    })
}

/// Copies a directory of an example.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn every_example_compiles() {
    let readme = fs::read_to_string(tests().join("../../examples/README.md")).unwrap();
    for entry in fs::read_dir(tests().join("../../examples")).unwrap() {
        let example = entry.unwrap();
        if !example.path().join("cluster.yaml").exists() {
            continue;
        }
        let name = example.file_name().into_string().unwrap();
        assert!(
            readme.contains(&format!("({name}/cluster.yaml)")),
            "{name} is not in the README"
        );
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        copy(&example.path(), at);
        for (_, file, beside) in BESIDE.iter().filter(|(example, ..)| *example == name) {
            beside.put(at, file);
        }
        // Most examples leave the network add-on to the user.
        compile(
            &at.join("cluster.yaml"),
            &at.join("out"),
            &["--strict", "--allow", "NKD0181"],
        );
        assert_ignition_takes(&at.join("out"));
        if name == "cilium" {
            let kubeadm = file(&ignition(&at.join("out"), "cp1"), paths::KUBEADM).unwrap();
            assert!(
                kubeadm.contains("skipPhases:\n  - addon/kube-proxy\n"),
                "{kubeadm}"
            );
        }
    }
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let blocks = page.split("\n```yaml\n").skip(1);
    let block = |rest: &str| rest.split_once("\n```\n").unwrap().0.to_owned() + "\n";
    blocks.map(block).collect()
}

#[test]
fn the_settings_for_network_addons_compile() {
    let (of_cluster, others): (Vec<_>, Vec<_>) =
        blocks(include_str!("../../docs/network-addons.md"))
            .into_iter()
            .partition(|block| block.starts_with("spec:"));
    let (butane, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|block| block.starts_with("variant:"));
    let [kubeadm] = &others[..] else {
        panic!("{others:?}");
    };
    let butane = butane.iter().zip(["cni-plugins.bu", "calico.bu"]);
    let mut seen = Vec::new();
    for block in of_cluster {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for (text, name) in butane.clone() {
            fs::write(at.join(name), text).unwrap();
        }
        fs::write(at.join("no-kube-proxy.yaml"), kubeadm).unwrap();
        let mut cluster = completed(&block);
        for manifest in cluster["spec"]["network"]["manifests"].as_array().unwrap() {
            let name = manifest.as_str().unwrap();
            fs::write(at.join(name), addon().to_string()).unwrap();
            seen.push(name.to_owned());
        }
        let kubeadm = ["no-kube-proxy.yaml"];
        cluster["spec"]["kubernetes"] = json!({"version": "v1.31.2", "kubeadm": kubeadm});
        fs::write(at.join("cluster.yaml"), cluster.to_string()).unwrap();
        compile(&at.join("cluster.yaml"), &at.join("out"), &["--strict"]);
        assert_ignition_takes(&at.join("out"));
        let images = nkd(at, &["images", "cluster.yaml"]).stdout;
        assert!(images.contains("example.org/addon:v1"), "{images}");
    }
    assert_eq!(seen, ["kube-flannel.yml", "calico.yaml", "cilium.yaml"]);
}

/// Completes a block of a page to a cluster file.
fn completed(block: &str) -> Value {
    let mut cluster = yaml::fragment(block).unwrap().remove(0);
    cluster["apiVersion"] = json!("nkd.openeuler.org/v1alpha1");
    cluster["kind"] = json!("Cluster");
    cluster["metadata"] = json!({"name": "page"});
    cluster["spec"]["nodes"] =
        json!([{"name": "cp1", "role": "control-plane", "address": "10.200.0.11"}]);
    cluster
}

#[test]
fn the_settings_for_stock_images_compile() {
    let blocks = blocks(include_str!("../../docs/stock-image.md"));
    let [with_files, without_files, flatcar] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("flatcar.bu"), flatcar).unwrap();
    for (name, fixture) in [
        (
            "dist/nkd-agent-0.1.0-x86_64.sysext.raw",
            "352-extension-contradicts-file/nkd.raw",
        ),
        ("kubernetes.raw", "354-extension-version/k8s.raw"),
    ] {
        Beside::Fixture(fixture).put(at, name);
    }
    for (out, block) in [("a", with_files), ("b", without_files)] {
        let mut cluster = completed(block);
        cluster["spec"]["os"]["butane"] = json!(["flatcar.bu"]);
        fs::write(at.join("cluster.yaml"), cluster.to_string()).unwrap();
        let arguments = ["--strict", "--allow", "NKD0181"];
        compile(&at.join("cluster.yaml"), &at.join(out), &arguments);
        assert_ignition_takes(&at.join(out));
    }
}
