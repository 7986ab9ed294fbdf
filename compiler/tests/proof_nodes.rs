//! Every node is held against the others in every respect, not just the first node in the first one.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::tamper::{KUBEADM, PLAN, TOKEN, edit, entry, highly_available, replace};
use common::{compiled_from, compiled_with, demo, tests};
use nkd::compiled::Compiled;
use nkd::proof::prove;
use serde_json::json;

/// Rule, node, file, what stands there, and what instead breaks the rule.
type Case = (
    &'static str,
    usize,
    &'static str,
    &'static str,
    &'static str,
);

/// Asserts which rule a cluster that was tampered with breaks.
fn refused(cluster: &Compiled, rule: &str) {
    let error = format!("{:#}", prove(cluster).unwrap_err());
    assert!(error.starts_with(&format!("rule {rule}: ")), "{error}");
}

/// Asserts that each change alone breaks its rule.
fn each_breaks(cluster: &mut Compiled, cases: &[Case]) {
    prove(cluster).unwrap();
    for (rule, node, path, from, to) in cases {
        let whole = cluster.nodes[*node].ignition.clone();
        replace(cluster, *node, path, from, to);
        refused(cluster, rule);
        cluster.nodes[*node].ignition = whole;
    }
}

/// A cluster file's text, compiled; `files` are beside it.
fn compiled(text: &str, files: &[(&str, &str)]) -> Compiled {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        common::set_mode(&path, 0o600);
    }
    let cluster_file = directory.path().join("cluster.yaml");
    std::fs::write(&cluster_file, text).unwrap();
    compiled_from(&cluster_file)
}

/// The demo of another version, and what else `spec` is to hold.
fn demo_with(version: &str, more: &str, files: &[(&str, &str)]) -> Compiled {
    let text = std::fs::read_to_string(demo()).unwrap();
    let text = text.replace("v1.20.2", version);
    compiled(&text.replace("spec:\n", &format!("spec:\n{more}")), files)
}

/// One control plane and one worker.
const BROKEN: [Case; 17] = [
    (
        "unique-names-and-addresses",
        1,
        PLAN,
        r#""node": "w1""#,
        r#""node": "cp1""#,
    ),
    (
        "unique-names-and-addresses",
        1,
        KUBEADM,
        "10.200.0.12",
        "10.200.0.11",
    ),
    ("one-authority", 0, PLAN, "BEGIN CERTIFICATE", "BEGIN OTHER"),
    (
        "networks-disjoint",
        0,
        KUBEADM,
        "10.244.0.0/16",
        "10.64.0.0/10",
    ),
    (
        "networks-disjoint",
        0,
        KUBEADM,
        "10.244.0.0/16",
        "10.100.0.0/16",
    ),
    (
        "no-keys-on-workers",
        1,
        KUBEADM,
        "kind: ",
        "# PRIVATE KEY-----\nkind: ",
    ),
    (
        "secrets-private",
        0,
        "/etc/sysctl.d/90-kubernetes.conf",
        "# For",
        "# PRIVATE KEY-----\\n For",
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        PLAN,
        r#""cluster": "demo""#,
        r#""cluster": "other""#,
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        PLAN,
        r#""endpoint": "10.200.0.11"#,
        r#""endpoint": "10.200.0.10"#,
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        PLAN,
        r#""clockFloor": "20"#,
        r#""clockFloor": "21"#,
    ),
    (
        "plan-agrees-with-kubeadm",
        1,
        PLAN,
        r#""10.200.0.12""#,
        r#""10.200.0.13""#,
    ),
    (
        "plan-agrees-with-kubeadm",
        0,
        KUBEADM,
        "controlPlaneEndpoint: ",
        "controlPlaneEndpoint: x",
    ),
    (
        "etcd-as-planned",
        0,
        KUBEADM,
        "imageRepository: ",
        "etcd: {external: {endpoints: []}}\nimageRepository: ",
    ),
    (
        "control-planes-in-order",
        1,
        PLAN,
        r#""schema": 1,"#,
        r#""schema": 1, "controlPlanesBefore": ["10.200.0.11:6443"],"#,
    ),
    (
        "control-planes-in-order",
        1,
        PLAN,
        r#""schema": 1,"#,
        r#""schema": 1, "controlPlanesAfter": ["10.200.0.11:6443"],"#,
    ),
    ("runtime-agrees", 1, KUBEADM, "criSocket: ", "criSocket: x"),
    (
        "sandbox-image",
        1,
        "/etc/containerd/config.toml",
        "pause:3.2",
        "pause:3.9",
    ),
];

#[test]
fn a_worker_agrees_with_its_control_plane_in_every_field() {
    each_breaks(&mut compiled_from(&demo()), &BROKEN);
}

/// Three control planes, and a worker that is the second node.
const BROKEN_CONTROL_PLANES: [Case; 10] = [
    ("token-known", 2, TOKEN, ".", ".x"),
    (
        "names-cover-api",
        0,
        KUBEADM,
        r#"- "10.200.0.10""#,
        r#"- "10.200.0.99""#,
    ),
    (
        "images-complete",
        0,
        PLAN,
        "kube-apiserver:v1.29.0",
        "kube-apiserver:v1.29.1",
    ),
    (
        "images-complete",
        2,
        PLAN,
        "kube-apiserver:v1.29.0",
        "kube-apiserver:v1.29.1",
    ),
    (
        "images-complete",
        2,
        PLAN,
        "kube-vip:v0.8.9",
        "kube-vip:v0.8.8",
    ),
    (
        "control-planes-share-pki",
        2,
        "/etc/nkd/pki/front-proxy-ca.crt",
        "CERTIFICATE",
        "OTHER",
    ),
    (
        "etcd-as-planned",
        1,
        PLAN,
        r#""schema": 1,"#,
        r#""schema": 1, "kubeadm": {"apiVersion": "a", "imageRepository": "b", "etcdImage": "c"},"#,
    ),
    (
        "etcd-as-planned",
        3,
        PLAN,
        r#""imageRepository": ""#,
        r#""imageRepository": "another."#,
    ),
    (
        "virtual-address",
        2,
        "/etc/nkd/manifests/kube-vip.yaml",
        "8443",
        "6443",
    ),
    (
        "virtual-address",
        2,
        "/etc/nkd/manifests/kube-vip.yaml",
        "/etc/kubernetes/admin",
        "/etc/kubernetes/super-admin",
    ),
];

#[test]
fn every_control_plane_is_held_against_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = highly_available(directory.path());
    each_breaks(&mut cluster, &BROKEN_CONTROL_PLANES);
    edit(&mut cluster, 2, |files| {
        files.retain(|file| file["path"] != "/etc/nkd/manifests/kube-vip.yaml");
    });
    refused(&cluster, "virtual-address");
}

#[test]
fn the_control_plane_that_makes_the_cluster_is_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = highly_available(directory.path());
    let [init, second, third] = ["11", "12", "13"].map(|last| format!("10.200.0.{last}:8443"));
    let orders = [
        (0, json!([second]), json!([third])),
        (2, json!([]), json!([])),
        (3, json!([second, init]), json!([])),
    ];
    for (node, before, after) in orders {
        let config = serde_json::from_str(&cluster.nodes[node].ignition).unwrap();
        let text = common::file(&config, PLAN).unwrap();
        let mut plan: serde_json::Value = serde_json::from_str(&text).unwrap();
        plan["controlPlanesBefore"] = before;
        plan["controlPlanesAfter"] = after;
        replace(&mut cluster, node, PLAN, &text, &plan.to_string());
    }
    cluster.nodes.swap(0, 2);
    refused(&cluster, "control-planes-in-order");
}

#[test]
fn control_planes_with_ipv6_addresses_find_each_other() {
    let text = std::fs::read_to_string(tests().join("clusters/ha/cluster.yaml")).unwrap();
    let networking =
        "networking: {podSubnet: \"fd00:10:244::/56\", serviceSubnet: \"fd00:10:96::/112\"}";
    let text = text
        .replace("VERSION", &format!("v1.31.2\n    {networking}"))
        .replace("10.200.0.10:8443", "\"[fd00::10]:8443\"");
    let text = text.replace("address: 10.200.0.", "address: fd00::");
    let before = (
        "control-planes-in-order",
        3,
        PLAN,
        "[fd00::12]:8443",
        "fd00::12:8443",
    );
    each_breaks(&mut compiled(&text, &[]), &[before]);
}

#[test]
fn the_administrator_reaches_the_clusters_own_endpoint() {
    let mut cluster = compiled_from(&demo());
    cluster.kubeconfig = cluster.kubeconfig.replace("10.200.0.11", "10.200.0.10");
    refused(&cluster, "one-authority");
}

#[test]
fn an_addon_is_delivered_and_every_node_has_its_images() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: cni}\n\
               spec: {containers: [{name: cni, image: \"example.org/cni:v1\"}]}\n";
    let more = "  network: {manifests: [cni.yaml]}\n";
    let mut cluster = demo_with("v1.31.2", more, &[("cni.yaml", pod)]);
    let image = (
        "images-complete",
        1,
        PLAN,
        "example.org/cni:v1",
        "example.org/cni:v2",
    );
    each_breaks(&mut cluster, &[image]);
    edit(&mut cluster, 0, |files| {
        files.retain(|file| file["path"] != "/etc/nkd/addons/00-cni.yaml");
    });
    refused(&cluster, "plan-agrees-with-kubeadm");
}

#[test]
fn all_nodes_have_the_same_runtime() {
    let mut cluster = demo_with("v1.31.2", "  runtime: {name: docker}\n", &[]);
    prove(&cluster).unwrap();
    let (cri_dockerd, dockershim) = (
        "unix:///run/cri-dockerd.sock",
        "unix:///var/run/dockershim.sock",
    );
    replace(&mut cluster, 1, PLAN, "cri-dockerd", "docker");
    replace(&mut cluster, 1, KUBEADM, cri_dockerd, dockershim);
    refused(&cluster, "runtime-agrees");
}

#[test]
fn images_are_pinned_by_their_whole_name_unless_the_user_has_kubelet_collect() {
    const PINNED: &str = "/etc/crio/crio.conf.d/91-nkd-pinned.conf";
    let more = "  runtime: {name: crio}\n  airgap: {images: /usr/share/nkd/images}\n";
    let mut cluster = demo_with("v1.31.2", more, &[]);
    let (from, to) = ("pause:3.10\"", "pause:3.100\"");
    each_breaks(&mut cluster, &[("images-kept", 1, PINNED, from, to)]);
    let (directory, bundles) = (
        r#""directory": "/usr/share/nkd/images""#,
        r#""bundles": {"bundles": [], "sources": []}"#,
    );
    replace(&mut cluster, 1, PLAN, directory, bundles);
    each_breaks(&mut cluster, &[("images-kept", 1, PINNED, from, to)]);
    let collects = "imageGCHighThresholdPercent: 70\ncgroupDriver: ";
    replace(&mut cluster, 0, KUBEADM, "cgroupDriver: ", collects);
    replace(&mut cluster, 1, PINNED, from, to);
    prove(&cluster).unwrap();
}

#[test]
fn every_separated_pod_of_every_control_plane_reaches_the_files_of_the_host() {
    const ETCD: &str = "/etc/nkd/patches/etcd+strategic.yaml";
    let text = std::fs::read_to_string(tests().join("clusters/selinux/cluster.yaml")).unwrap();
    let text = text.replace("VERSION", "v1.31.2");
    let mut cluster = compiled(&text.replace(", ignition: [patch.ign]", ""), &[]);
    let rule = "containers-separated";
    let cases = [
        (rule, 1, ETCD, "spc_t", "container_t"),
        (rule, 0, ETCD, "spec:", "kind: Pod\n---\nspec:"),
    ];
    each_breaks(&mut cluster, &cases);
    let (source, _) = nkd_ignition::encode(String::new());
    edit(&mut cluster, 1, |files| {
        entry(files, ETCD)["contents"] = json!({"source": source});
    });
    refused(&cluster, rule);
}

#[test]
fn every_node_with_a_patch_has_its_kubeadm_take_it() {
    const PATCHES: &str = "directory: /etc/nkd/patches";
    let kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    let text = std::fs::read_to_string(demo()).unwrap();
    let text = text.replace("v1.20.2", "v1.31.2");
    let text = text.replace(
        "role: worker\n",
        "role: worker\n      kubeadm: [kubelet.yaml]\n",
    );
    let mut cluster = compiled(&text, &[("kubelet.yaml", kubelet)]);
    let place = cluster.nodes.len() - 1;
    let case = (
        "patches-taken",
        place,
        KUBEADM,
        PATCHES,
        "directory: /etc/nkd",
    );
    each_breaks(&mut cluster, &[case]);
}

#[test]
fn a_kubeadm_that_cannot_configure_patches_gets_them_from_an_agent_that_can_name_them() {
    const ARGUMENT: &str = "\"patchesArgument\": \"/etc/nkd/patches\",";
    const FEATURE: &str = "\"patches-argument\"";
    let text = std::fs::read_to_string(tests().join("clusters/selinux/cluster.yaml")).unwrap();
    let text = text.replace("VERSION", "v1.21.14");
    let mut cluster = compiled(&text.replace(", ignition: [patch.ign]", ""), &[]);
    let rule = "patches-taken";
    let cases = [
        (rule, 0, PLAN, ARGUMENT, ""),
        (rule, 1, PLAN, "\"/etc/nkd/patches\"", "\"/etc/nkd\""),
        (rule, 1, PLAN, FEATURE, "\"open-pool\""),
    ];
    each_breaks(&mut cluster, &cases);
}

#[test]
fn whatever_opens_a_secret_to_others_is_found() {
    let mut cluster = compiled_from(&demo());
    let whole = cluster.nodes[1].ignition.clone();
    for mode in [json!(null), json!(0o640), json!(0o604)] {
        edit(&mut cluster, 1, |files| {
            entry(files, TOKEN)["mode"] = mode;
        });
        refused(&cluster, "secrets-private");
        cluster.nodes[1].ignition.clone_from(&whole);
    }
}

#[test]
fn every_kind_of_secret_is_roots_alone() {
    let password: &[_] = &[("password.txt", "a-password")];
    for (runtime, path) in [
        ("containerd", "/etc/nkd/pki/sa.key"),
        ("containerd", "/etc/nkd/report.json"),
        (
            "containerd",
            "/etc/containerd/certs.d/registry.example.org/hosts.toml",
        ),
        ("containerd", "/etc/containerd/config.toml"),
        ("crio", "/etc/crio/nkd-auth.json"),
    ] {
        let more = format!(
            "  report: {{url: \"https://nkd.example.org/report\"}}\n  runtime:\n    name: {runtime}\n    \
             registries: [{{host: registry.example.org, auth: {{username: me, passwordFile: password.txt}}}}]\n"
        );
        let mut cluster = demo_with("v1.31.2", &more, password);
        edit(&mut cluster, 0, |files| {
            entry(files, path)["mode"] = json!(0o644);
        });
        refused(&cluster, "secrets-private");
    }
}

#[test]
fn what_ignition_doesnt_take_is_no_node() {
    let mut cluster = compiled_from(&demo());
    let whole = cluster.nodes[1].ignition.clone();
    edit(&mut cluster, 1, |files| files[0]["contens"] = json!({}));
    let error = format!("{:#}", prove(&cluster).unwrap_err());
    assert!(error.starts_with("Ignition would warn: "), "{error}");
    cluster.nodes[1].ignition = whole;
    edit(&mut cluster, 1, |files| files.push(files[0].clone()));
    let error = format!("{:#}", prove(&cluster).unwrap_err());
    assert!(error.contains("duplicate path "), "{error}");
}

#[test]
fn extensions_are_those_of_the_list() {
    let sha256 = "0123456789abcdef".repeat(4);
    let url = "https://files.example.org/nkd.raw";
    let item = format!("{{name: nkd, sha256: {sha256}, architecture: arm64, url: '{url}'}}");
    let more = format!("  os: {{extensions: [{item}]}}\n");
    let mut cluster = compiled_with("containerd", "v1.31.2", &more);
    let rule = "extensions-verified";
    let case = |from, to| (rule, 0, "/etc/nkd/extensions", from, to);
    let cases = [
        case("nkd arm64 0123", "nkd arm64 3210"),
        case("nkd arm64", "other arm64"),
        case(" ignition", " disk=A"),
        case(" ignition", ""),
    ];
    each_breaks(&mut cluster, &cases);
    edit(&mut cluster, 0, |files| {
        let image = entry(files, "/var/lib/extensions/nkd.raw");
        image["contents"]["verification"] = json!({});
    });
    refused(&cluster, rule);
}
