//! A Kubernetes version that is newer than the data of nkd: the user gives the images, and nkd warns.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::images::tiny_bundle;
use common::{Run, compile, file, ignition, nkd};
use nkd_contract::paths;
use serde_json::Value;

/// What kubeadm of that version could print.
const LISTED: [&str; 8] = [
    "registry.k8s.io/kube-apiserver:v1.99.0",
    "registry.k8s.io/kube-controller-manager:v1.99.0",
    "registry.k8s.io/kube-scheduler:v1.99.0",
    "registry.k8s.io/kube-proxy:v1.99.0",
    "registry.k8s.io/coredns/coredns:v2.0.0",
    "registry.k8s.io/pause:4.0",
    "registry.k8s.io/etcd:4.0.0-0",
    "registry.k8s.io/new-component:v1",
];

/// What a worker runs of these.
const OF_WORKERS: [&str; 4] = [LISTED[3], LISTED[4], LISTED[5], LISTED[7]];

/// A cluster file with these images, further keys of `kubernetes` and further keys of `spec`.
fn cluster(directory: &Path, kubernetes: &str, spec: &str) -> PathBuf {
    let images: String = LISTED.map(|image| format!("      - {image}\n")).concat();
    let text = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
         kubernetes:\n    version: v1.99.0\n    images:\n{images}{kubernetes}{spec}  nodes:\n    \
         - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n    \
         - {{name: w1, role: worker, address: 10.200.0.12}}\n"
    );
    let path = directory.join("cluster.yaml");
    fs::write(&path, text).unwrap();
    path
}

fn sorted<'a>(images: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut images: Vec<_> = images.into_iter().map(str::to_owned).collect();
    images.sort();
    images
}

/// The images in a node's plan.
fn planned(out: &Path, node: &str) -> Vec<Value> {
    let plan = file(&ignition(out, node), paths::PLAN).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    plan["images"]["required"].as_array().unwrap().clone()
}

fn names(images: &[Value]) -> Vec<String> {
    sorted(images.iter().map(|image| image["name"].as_str().unwrap()))
}

fn listed(cluster_file: &Path) -> Run {
    let run = nkd(Path::new("/"), &["images", cluster_file.to_str().unwrap()]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run
}

#[test]
fn the_images_of_a_newer_version_are_those_that_the_user_lists() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = cluster(directory.path(), "", "");
    let out = directory.path().join("out");
    let run = compile(&cluster_file, &out, &[]);
    let warning = "nkd has no data for Kubernetes 1.99 and assumes that the rules of Kubernetes 1.";
    assert_eq!(run.stderr.matches("warning[NKD0170]").count(), 1);
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    assert_eq!(names(&planned(&out, "cp1")), sorted(LISTED));
    assert_eq!(names(&planned(&out, "w1")), sorted(OF_WORKERS));
    let config = ignition(&out, "cp1");
    let containerd = file(&config, "/etc/containerd/config.toml").unwrap();
    assert!(containerd.contains("sandbox_image = \"registry.k8s.io/pause:4.0\""));
    // A tag in kubeadm's configuration would stay there when the cluster is upgraded.
    let kubeadm = file(&config, paths::KUBEADM).unwrap();
    assert!(!kubeadm.contains("imageTag"), "{kubeadm}");
    let run = listed(&cluster_file);
    assert_eq!(sorted(run.stdout.lines()), sorted(LISTED));
    assert!(run.stderr.contains("warning[NKD0170]"), "{}", run.stderr);
}

#[test]
fn the_images_of_a_newer_version_are_in_bundles() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = tiny_bundle(&LISTED, "amd64");
    fs::write(directory.path().join("bundle.tar"), bundle).unwrap();
    let cluster_file = cluster(directory.path(), "", "  airgap: {bundles: [bundle.tar]}\n");
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    for node in ["cp1", "w1"] {
        for image in planned(&out, node) {
            assert!(image["digest"].is_string(), "{node}: {image}");
        }
    }
}

#[test]
fn the_repository_of_listed_images_is_the_configured_one() {
    let directory = tempfile::tempdir().unwrap();
    let repository = "    imageRepository: r.example.org/k8s\n";
    let run = listed(&cluster(directory.path(), repository, ""));
    for image in [
        "r.example.org/k8s/kube-proxy:v1.99.0",
        "r.example.org/k8s/coredns:v2.0.0",
        "r.example.org/k8s/pause:4.0",
        "r.example.org/k8s/etcd:4.0.0-0",
    ] {
        let mut lines = run.stdout.lines();
        assert!(lines.any(|line| line == image), "{}", run.stdout);
    }
}

#[test]
fn names_that_a_newer_version_may_have_are_kept_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let overlay = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
newField: {a: 1}
hairpinMode: new-word
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
skipPhases: [new-phase]
nodeRegistration: {ignorePreflightErrors: [NewCheck]}
";
    fs::write(directory.path().join("overlay.yaml"), overlay).unwrap();
    let cluster_file = cluster(directory.path(), "    kubeadm: [overlay.yaml]\n", "");
    let out = directory.path().join("out");
    let run = compile(&cluster_file, &out, &[]);
    for warning in [
        "warning[NKD0202]: overlay.yaml:3:1: unknown field `newField`",
        "warning[NKD0204]: overlay.yaml:4:14: `hairpinMode` does not allow the value `new-word`",
        "warning[NKD0205]: overlay.yaml:8:14: unknown kubeadm phase `new-phase`",
        "warning[NKD0206]: overlay.yaml:9:44: unknown kubeadm preflight check `NewCheck`",
    ] {
        let warning = warning.replace(
            "overlay.yaml",
            &directory.path().join("overlay.yaml").display().to_string(),
        );
        assert!(run.stderr.contains(&warning), "{warning}\n{}", run.stderr);
    }
    let kubeadm = file(&ignition(&out, "cp1"), paths::KUBEADM).unwrap();
    for text in ["newField:", "new-word", "new-phase", "NewCheck"] {
        assert!(kubeadm.contains(text), "{text}\n{kubeadm}");
    }
}
