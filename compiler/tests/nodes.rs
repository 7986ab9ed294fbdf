//! What lands on the nodes, readable: one text per node and kubeadm API version.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{assert_ignition_takes, compile, ignition, tests, text};
use nkd_contract::paths;
use serde_json::{Value, json};

/// A Kubernetes version for each version of kubeadm's API.
const VERSIONS: [(&str, &str); 3] = [
    ("v1.20.2", "v1beta2"),
    ("v1.28.7", "v1beta3"),
    ("v1.31.2", "v1beta4"),
];

#[test]
fn every_kubeadm_api_version_gives_the_nodes_on_record() {
    for (version, api) in VERSIONS {
        on_record("full", version, api, &["cp1", "w1.example.org"]);
    }
}

#[test]
fn control_planes_join_one_after_another_behind_one_address() {
    for (version, api) in VERSIONS {
        on_record("ha", version, api, &["cp1", "cp3"]);
    }
}

#[test]
fn an_open_pool_has_one_config_without_a_name_or_an_address() {
    for (version, api) in VERSIONS {
        on_record("pools", version, api, &["cp1", "cloud"]);
    }
}

#[test]
fn two_ip_versions_and_an_etcd_of_others_are_as_kubeadm_wants_them() {
    on_record("external", "v1.31.2", "v1beta4", &["cp1", "w1"]);
}

#[test]
fn where_selinux_separates_containers_the_control_planes_pods_reach_the_host() {
    on_record("selinux", "v1.28.7", "v1beta3", &["cp1", "cp2", "w1"]);
}

#[test]
fn where_kubeadms_configuration_cannot_name_patches_the_agent_names_them() {
    on_record("selinux", "v1.21.14", "v1beta2", &["cp1", "cp2", "w1"]);
}

#[test]
fn bonds_vlans_and_routes_are_connections_of_network_manager() {
    on_record("network", "v1.31.2", "v1beta4", &["cp1", "w1"]);
}

/// Whether a runtime separates containers on a node of a cluster, by its own words.
fn separates(runtime: &str, version: &str, selinux: &str) -> [bool; 2] {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = copy_cluster(directory.path(), "selinux", version, "");
    let text = std::fs::read_to_string(&cluster_file).unwrap();
    let os = "  os: {selinux: container-separation, ignition: [patch.ign]}\n";
    assert!(text.contains(os));
    let spec = format!("  runtime: {{name: {runtime}}}\n{selinux}");
    std::fs::write(&cluster_file, text.replace(os, &spec)).unwrap();
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    ["cp1", "w1"].map(|node| {
        let config = ignition(&out, node);
        let (path, words) = match runtime {
            "containerd" => ("/etc/containerd/config.toml", "  enable_selinux = true\n"),
            "crio" => (
                "/etc/crio/crio.conf.d/92-nkd-selinux.conf",
                "selinux = true\n",
            ),
            "isulad" => ("/etc/isulad/daemon.json", "\"selinux-enabled\": true"),
            _ => ("/etc/docker/daemon.json", "\"selinux-enabled\": true"),
        };
        let text = common::file(&config, path);
        text.is_some_and(|text| text.contains(words))
    })
}

#[test]
fn every_runtime_can_separate_containers_and_does_so_only_when_asked() {
    let on = "  os: {selinux: container-separation}\n";
    for runtime in ["containerd", "crio", "isulad", "docker"] {
        assert_eq!(separates(runtime, "v1.31.2", on), [true; 2], "{runtime}");
        assert_eq!(separates(runtime, "v1.31.2", ""), [false; 2], "{runtime}");
    }
    // Workers need no patches.
    let pool = "  pools: [{name: a, role: worker, os: {selinux: container-separation}}]\n";
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = copy_cluster(directory.path(), "selinux", "v1.21.14", "");
    let text = std::fs::read_to_string(&cluster_file).unwrap();
    let os = "  os: {selinux: container-separation, ignition: [patch.ign]}\n";
    let text = text
        .replace(os, pool)
        .replace("w1, role: worker", "w1, pool: a");
    std::fs::write(&cluster_file, text).unwrap();
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    for (node, on) in [("cp1", false), ("w1", true)] {
        let text = common::file(&ignition(&out, node), "/etc/containerd/config.toml").unwrap();
        assert_eq!(text.contains("enable_selinux"), on, "{node}");
        for path in [paths::KUBEADM, paths::PLAN] {
            let text = common::file(&ignition(&out, node), path).unwrap();
            assert!(!text.contains("patches"), "{path} of {node}");
        }
    }
}

/// A cluster whose pool and node have a kubelet configuration of their own.
const OWN_KUBELETS: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  kubernetes: {version: v1.31.2, kubeadm: [all.yaml]}
  pools: [{name: big, role: worker, kubeadm: [pool.yaml]}]
  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11}
    - {name: w1, pool: big, address: 10.200.0.12}
    - {name: w2, pool: big, address: 10.200.0.13, kubeadm: [node.yaml]}
    - {name: w3, role: worker, address: 10.200.0.14}
";

#[test]
fn a_pools_and_a_nodes_kubelet_configuration_is_a_patch_on_their_nodes_alone() {
    let directory = tempfile::tempdir().unwrap();
    let kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    for (name, text) in [
        ("all.yaml", "maxPods: 100\n"),
        (
            "pool.yaml",
            "maxPods: 250\nevictionHard: {memory.available: 1Gi}\nsyncFrequency: null\n",
        ),
        (
            "node.yaml",
            "evictionHard: {nodefs.available: 5%}\nfailSwapOn: false\n",
        ),
    ] {
        std::fs::write(directory.path().join(name), format!("{kubelet}{text}")).unwrap();
    }
    let cluster_file = directory.path().join("cluster.yaml");
    std::fs::write(&cluster_file, OWN_KUBELETS).unwrap();
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    let path = "/etc/nkd/patches/kubeletconfiguration+merge.yaml";
    let pool = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "maxPods": 250,
        "evictionHard": {"memory.available": "1Gi"},
    });
    let mut node = pool.clone();
    node["evictionHard"]["nodefs.available"] = json!("5%");
    node["failSwapOn"] = json!(false);
    for (name, patch) in [
        ("cp1", None),
        ("w1", Some(pool)),
        ("w2", Some(node)),
        ("w3", None),
    ] {
        let config = ignition(&out, name);
        let found = common::file(&config, path);
        let found = found.map(|text| nkd_document::yaml::fragment(&text).unwrap().remove(0));
        assert_eq!(found, patch, "{name}");
        let kubeadm = common::file(&config, paths::KUBEADM).unwrap();
        let takes = kubeadm.contains("patches:\n  directory: /etc/nkd/patches\n");
        assert_eq!(takes, patch.is_some(), "{name}");
        assert_eq!(kubeadm.contains("maxPods: 100"), name == "cp1", "{name}");
        let plan: Value =
            serde_json::from_str(&common::file(&config, paths::PLAN).unwrap()).unwrap();
        assert_eq!(plan["machine"]["keepSwap"] == true, name == "w2", "{name}");
    }
}

#[test]
fn an_etcd_of_others_needs_no_patch() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = copy_cluster(directory.path(), "external", "v1.31.2", "v1beta4");
    let text = std::fs::read_to_string(&cluster_file).unwrap();
    let os = "  os: {selinux: container-separation}\n  nodes:\n";
    std::fs::write(&cluster_file, text.replace("  nodes:\n", os)).unwrap();
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    let config = ignition(&out, "cp1");
    let patch =
        |pod: &str| common::file(&config, &format!("/etc/nkd/patches/{pod}+strategic.yaml"));
    assert!(patch("kube-apiserver").is_some() && patch("etcd").is_none());
}

#[test]
fn every_runtime_is_set_up_in_its_own_way() {
    for (runtime, version, api) in [
        ("crio", "v1.31.2", "v1beta4"),
        // Before and after CRI's v1, which brings systemd's cgroups.
        ("isulad", "v1.20.2", "v1beta2"),
        ("isulad", "v1.28.7", "v1beta3"),
        // With dockershim, and with cri-dockerd.
        ("docker", "v1.20.2", "v1beta2"),
        ("docker", "v1.31.2", "v1beta4"),
    ] {
        on_record(&format!("runtimes/{runtime}"), version, api, &["cp1"]);
    }
}

/// An add-on with an etcd of its own, which is not the cluster's.
const OTHER_ETCD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {containers: [{name: etcd, image: docker.io/bitnami/etcd:3.5.16}]}
";

#[test]
fn etcd_is_run_where_kubeadm_runs_it_whatever_images_there_are() {
    for (cluster, control_planes, workers, runs) in [
        ("external", &["cp1"][..], &["w1"][..], false),
        ("ha", &["cp1", "cp2", "cp3"], &["w1"], true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let cluster_file = copy_cluster(directory.path(), cluster, "v1.31.2", "v1beta4");
        std::fs::write(directory.path().join("other.yaml"), OTHER_ETCD).unwrap();
        let text = std::fs::read_to_string(&cluster_file).unwrap();
        let network = "  network: {manifests: [other.yaml]}\n  nodes:\n";
        std::fs::write(&cluster_file, text.replace("  nodes:\n", network)).unwrap();
        let out = directory.path().join("out");
        compile(&cluster_file, &out, &[]);
        let with = control_planes.iter().map(|node| (node, runs));
        let without = workers.iter().map(|node| (node, false));
        for (node, runs) in with.chain(without) {
            let plan = common::file(&ignition(&out, node), paths::PLAN).unwrap();
            assert!(plan.contains("docker.io/bitnami/etcd:3.5.16"), "{plan}");
            let plan: Value = serde_json::from_str(&plan).unwrap();
            let expected = runs.then_some(Value::Bool(true));
            assert_eq!(plan.get("runsEtcd"), expected.as_ref(), "{node}");
        }
    }
}

#[test]
fn the_workers_of_a_large_cluster_spread_their_joins_in_proportion_to_its_nodes() {
    for (more, spread) in [(0, None), (15, None), (16, Some(1)), (96, Some(5))] {
        let directory = tempfile::tempdir().unwrap();
        let cluster_file = copy_cluster(directory.path(), "ha", "v1.31.2", "v1beta4");
        let mut text = std::fs::read_to_string(&cluster_file).unwrap();
        for node in 1..=more {
            let _ = writeln!(
                text,
                "    - {{name: more{node}, role: worker, address: 10.200.1.{node}}}"
            );
        }
        std::fs::write(&cluster_file, text).unwrap();
        let out = directory.path().join("out");
        compile(&cluster_file, &out, &[]);
        for (node, spread) in [("cp1", None), ("cp2", None), ("w1", spread)] {
            let plan = common::file(&ignition(&out, node), paths::PLAN).unwrap();
            let plan: Value = serde_json::from_str(&plan).unwrap();
            let expected = spread.map(Value::from);
            assert_eq!(plan.get("joinSpread"), expected.as_ref(), "{more} {node}");
        }
    }
}

/// The feature gates that the init node's kubeadm is given, with an overlay's.
fn feature_gates(cluster: &str, version: &str, api: &str, overlay: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = copy_cluster(directory.path(), cluster, version, api);
    let text = std::fs::read_to_string(&cluster_file).unwrap();
    let version_line = format!("    version: {version}\n");
    let overlaid = format!("{version_line}    kubeadm: [gates.yaml]\n");
    std::fs::write(&cluster_file, text.replace(&version_line, &overlaid)).unwrap();
    let overlay = format!(
        "apiVersion: kubeadm.k8s.io/{api}\nkind: ClusterConfiguration\nfeatureGates: {overlay}\n"
    );
    std::fs::write(directory.path().join("gates.yaml"), overlay).unwrap();
    let out = directory.path().join("out");
    compile(&cluster_file, &out, &[]);
    let documents = common::file(&ignition(&out, "cp1"), paths::KUBEADM).unwrap();
    let documents = nkd_document::yaml::fragment(&documents).unwrap();
    let mut documents = documents.iter();
    let configuration = documents.find(|document| document["kind"] == "ClusterConfiguration");
    configuration.unwrap()["featureGates"].clone()
}

#[test]
fn etcd_takes_learners_wherever_kubeadm_can_be_told_to() {
    let gates = |version, api, overlay| feature_gates("ha", version, api, overlay);
    let on = json!({"EtcdLearnerMode": true});
    assert_eq!(gates("v1.26.15", "v1beta3", "{}"), json!({}));
    assert_eq!(gates("v1.27.16", "v1beta3", "{}"), on);
    assert_eq!(gates("v1.28.7", "v1beta3", "{}"), on);
    assert_eq!(gates("v1.29.0", "v1beta3", "{}"), json!({}));
    assert_eq!(
        gates("v1.28.7", "v1beta3", "{RootlessControlPlane: true}"),
        json!({"EtcdLearnerMode": true, "RootlessControlPlane": true})
    );
    let off = gates("v1.28.7", "v1beta3", "{EtcdLearnerMode: false}");
    assert_eq!(off, json!({"EtcdLearnerMode": false}));
    let external = feature_gates("external", "v1.28.7", "v1beta3", "{}");
    assert_eq!(external, json!({}));
}

/// Compiles a cluster, `DIRECTORY` or `DIRECTORY/FILE`, for a version and holds some of its nodes
/// against their record.
fn on_record(cluster: &str, version: &str, api: &str, nodes: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = copy_cluster(directory.path(), cluster, version, api);
    let secrets = common::full_secrets();
    let out = directory.path().join("out");
    compile(
        &cluster_file,
        &out,
        &["--secrets", secrets.to_str().unwrap()],
    );
    assert_ignition_takes(&out);
    for node in nodes {
        let (cluster, file) = parts(cluster);
        let of = file.map_or(version.to_owned(), |file| format!("{file}-{version}"));
        let record = tests().join(format!("clusters/{cluster}/nodes/{of}/{node}.txt"));
        let record = snapbox::Data::read_from(&record, None).raw();
        snapbox::assert_data_eq!(tree(&ignition(&out, node)), record);
    }
}

fn parts(cluster: &str) -> (&str, Option<&str>) {
    match cluster.split_once('/') {
        Some((directory, file)) => (directory, Some(file)),
        None => (cluster, None),
    }
}

fn copy_cluster(to: &Path, cluster: &str, version: &str, api: &str) -> std::path::PathBuf {
    let (cluster, file) = parts(cluster);
    for entry in std::fs::read_dir(tests().join("clusters").join(cluster)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let cluster_file = to.join(format!("{}.yaml", file.unwrap_or("cluster")));
    let file = std::fs::read_to_string(&cluster_file).unwrap();
    let file = file.replace("VERSION", version).replace("KUBEADM", api);
    std::fs::write(&cluster_file, file).unwrap();
    cluster_file
}

/// Everything in a node's config, as it is on the node. Keys and certificates are left out: they
/// say nothing to a reader.
fn tree(config: &Value) -> String {
    let mut tree = String::new();
    for user in config["passwd"]["users"].as_array().into_iter().flatten() {
        section(&mut tree, "user", &user.to_string());
    }
    for argument in config["kernelArguments"]["shouldExist"]
        .as_array()
        .into_iter()
        .flatten()
    {
        section(&mut tree, "kernel argument", argument.as_str().unwrap());
    }
    for directory in config["storage"]["directories"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let title = format!(
            "{} {}/",
            mode(directory),
            directory["path"].as_str().unwrap()
        );
        section(&mut tree, &title, "");
    }
    for file in config["storage"]["files"].as_array().unwrap() {
        let title = format!("{} {}", mode(file), file["path"].as_str().unwrap());
        section(&mut tree, &title, &text(&file["contents"]));
    }
    for unit in config["systemd"]["units"].as_array().unwrap() {
        let name = unit["name"].as_str().unwrap();
        let title = format!("unit {name}, enabled: {}", unit["enabled"]);
        section(&mut tree, &title, unit["contents"].as_str().unwrap());
        for dropin in unit["dropins"].as_array().into_iter().flatten() {
            let title = format!("drop-in {name}.d/{}", dropin["name"].as_str().unwrap());
            section(&mut tree, &title, dropin["contents"].as_str().unwrap());
        }
    }
    tree
}

fn mode(item: &Value) -> String {
    let mode = item["mode"].as_u64();
    mode.map_or("----".to_owned(), |mode| format!("{mode:04o}"))
}

fn section(tree: &mut String, title: &str, content: &str) {
    writeln!(tree, "===== {title}").unwrap();
    let mut in_pem = false;
    for line in content.lines() {
        let pem_in_json = line.find("-----BEGIN").filter(|_| line.contains("\\n"));
        match pem_in_json {
            Some(at) => writeln!(tree, "{}…", &line[..at]).unwrap(),
            None if line.starts_with("-----END") => in_pem = false,
            None if in_pem => {}
            None if line.contains("certificate-authority-data") => {
                writeln!(tree, "{}: …", line.split(':').next().unwrap()).unwrap();
            }
            None => writeln!(tree, "{line}").unwrap(),
        }
        in_pem |= line.starts_with("-----BEGIN");
    }
}
