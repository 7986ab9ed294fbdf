//! What holds for any input.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{demo, takes, tests};
use nkd::compile::{self, Request};
use nkd::failure::Failure;
use nkd::output::{self, Held};
use nkd_document::Diagnostics;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    ExternalEtcd,
    Airgap,
    Registries,
    Os,
    Overlays,
    TokenOfEachNode,
}

const EXTRAS: [Extra; 6] = [
    Extra::ExternalEtcd,
    Extra::Airgap,
    Extra::Registries,
    Extra::Os,
    Extra::Overlays,
    Extra::TokenOfEachNode,
];

/// What may be chosen in a cluster file that nkd takes.
#[derive(Debug)]
struct Choices {
    minor: u32,
    patch: u32,
    runtime: usize,
    /// One control plane, three behind kube-vip, or three behind a load balancer.
    control_planes: usize,
    /// IPv4, IPv6, or both.
    families: usize,
    port: Option<u16>,
    extras: Vec<Extra>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    name: String,
    labels: BTreeMap<String, String>,
    taints: usize,
    max_pods: Option<u32>,
    interface: bool,
}

fn worker() -> impl Strategy<Value = Worker> {
    let labels = prop::collection::btree_map(
        "[a-z]([a-z0-9-]{0,20}[a-z0-9])?",
        "[A-Za-z0-9]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?",
        0..3,
    );
    let name = "w[a-z0-9]{1,20}(\\.[a-z0-9]{1,8})?";
    (
        name,
        labels,
        0..3usize,
        prop::option::of(1..=10_000u32),
        any::<bool>(),
    )
        .prop_map(|(name, labels, taints, max_pods, interface)| Worker {
            name,
            labels,
            taints,
            max_pods,
            interface,
        })
}

fn choices() -> impl Strategy<Value = Choices> {
    let release = (20u32..=36, 0u32..20);
    let shape = (0..4usize, 0..3usize, 0..3usize, prop::option::of(1u16..));
    let extras = prop::sample::subsequence(&EXTRAS[..], 0..=EXTRAS.len());
    let workers = prop::collection::vec(worker(), 0..4);
    (release, shape, extras, workers).prop_map(|(release, shape, extras, mut workers)| {
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers.dedup_by(|a, b| a.name == b.name);
        Choices {
            minor: release.0,
            patch: release.1,
            runtime: shape.0,
            control_planes: shape.1,
            families: shape.2,
            port: shape.3,
            extras,
            workers,
        }
    })
}

impl Choices {
    fn has(&self, extra: Extra) -> bool {
        self.extras.contains(&extra)
    }

    fn runtime(&self) -> &'static str {
        ["containerd", "crio", "isulad", "docker"][self.runtime]
    }

    /// An address of each IP version there is, with commas.
    fn address(&self, third: u8, last: usize) -> String {
        let (v4, v6) = (
            format!("10.200.{third}.{last}"),
            format!("fd00::{third}:{last}"),
        );
        self.of_families(&v4, &v6)
    }

    fn of_families(&self, v4: &str, v6: &str) -> String {
        // Both are possible from 1.21 on.
        match self.families {
            0 => v4.to_owned(),
            2 if self.minor > 20 => format!("{v4},{v6}"),
            _ => v6.to_owned(),
        }
    }

    fn nodes(&self) -> Vec<Value> {
        let control_planes = if self.control_planes == 0 { 1 } else { 3 };
        let mut nodes: Vec<_> = (1..=control_planes)
            .map(|number| {
                json!({
                    "name": format!("cp{number}"),
                    "role": "control-plane",
                    "address": self.address(0, number),
                })
            })
            .collect();
        for (number, worker) in (1..).zip(&self.workers) {
            let address = self.address(1, number);
            let mut node = json!({
                "name": worker.name,
                "role": "worker",
                "labels": worker.labels,
                "mac": format!("52:54:00:00:00:{number:02x}"),
                "kubelet": {"systemReserved": {"cpu": "100m"}, "extraArgs": {"v": "2"}},
                "os": {"kernelArguments": ["quiet"]},
            });
            if worker.interface {
                let bits = |address: &str| if address.contains(':') { 64 } else { 24 };
                let addresses = address
                    .split(',')
                    .map(|address| format!("{address}/{}", bits(address)));
                let addresses: Vec<_> = addresses.collect();
                node["interfaces"] = json!([{"name": "eth0", "addresses": addresses}]);
            }
            node["address"] = json!(address);
            match worker.taints {
                1 => node["taints"] = json!([]),
                2 => node["taints"] = json!([{"key": "a", "effect": "NoExecute"}]),
                _ => {}
            }
            if let Some(max_pods) = worker.max_pods {
                node["kubelet"]["maxPods"] = json!(max_pods);
            }
            nodes.push(node);
        }
        nodes
    }

    fn kubernetes(&self) -> Value {
        let mut kubernetes = json!({
            "version": format!("1.{}.{}", self.minor, self.patch),
            "networking": {
                "podSubnet": self.of_families("10.244.0.0/16", "fd00:10:244::/56"),
                "serviceSubnet": self.of_families("10.96.0.0/16", "fd00:10:96::/112"),
            },
        });
        let port = self.port.unwrap_or(6443);
        let endpoint = match self.control_planes {
            1 if self.families == 0 => format!("10.200.0.100:{port}"),
            1 => format!("[fd00::100]:{port}"),
            _ => format!("api.example.org:{port}"),
        };
        if self.control_planes > 0 || self.port.is_some() {
            kubernetes["endpoint"] = json!(endpoint);
        }
        if self.control_planes == 1 {
            kubernetes["kubeVip"] = json!({"interface": "eth0"});
        }
        if self.has(Extra::ExternalEtcd) {
            kubernetes["etcd"]["external"] = json!({
                "endpoints": ["https://etcd.example.org:2379"],
                "caFile": "ca.crt",
                "certFile": "client.crt",
                "keyFile": "client.key",
            });
        }
        if self.has(Extra::TokenOfEachNode) {
            kubernetes["bootstrapTokens"] = json!({"each": "node", "ttl": "30d"});
        }
        if self.has(Extra::Overlays) {
            kubernetes["kubeadm"] = json!(["components.yaml"]);
        }
        kubernetes
    }

    /// Puts the cluster file and what it names into a directory.
    fn write(&self, directory: &Path) -> PathBuf {
        for (from, names) in [
            ("external", &["ca.crt", "client.crt", "client.key"][..]),
            (
                "full",
                &["components.yaml", "password.txt", "users.ign", "cni.yaml"],
            ),
        ] {
            for name in names {
                let from = tests().join("clusters").join(from).join(name);
                std::fs::copy(from, directory.join(name)).unwrap();
            }
        }
        let mut spec = json!({
            "kubernetes": self.kubernetes(),
            "runtime": {"name": self.runtime()},
            "network": {"manifests": ["cni.yaml"]},
            "report": {"url": "http://nkd.example.org:8080/report"},
            "nodes": self.nodes(),
        });
        if self.has(Extra::Airgap) && self.runtime == 0 {
            spec["airgap"] = json!({"images": "/usr/share/nkd/images"});
        }
        if self.has(Extra::Registries) {
            spec["runtime"]["registries"] = json!([
                {"host": "docker.io", "mirrors": [{"url": "https://mirror.example.org", "caFile": "ca.crt"}]},
                {
                    "host": "r.example.org:5000",
                    "caFile": "ca.crt",
                    "auth": {"username": "puller", "passwordFile": "password.txt"},
                },
            ]);
        }
        if self.has(Extra::Os) {
            spec["os"] = json!({
                "ignition": ["users.ign"],
                "users": [{"name": "me", "groups": ["wheel"]}],
                "ntp": ["ntp.example.org"],
                "proxy": {"https": "http://proxy.example.org:3128", "noProxy": [".example.org"]},
                "hosts": [{"address": "10.200.0.5", "names": ["r.example.org"]}],
                "trust": ["ca.crt"],
            });
        }
        let file = json!({
            "apiVersion": "nkd.openeuler.org/v1alpha1",
            "kind": "Cluster",
            "metadata": {"name": "full"},
            "spec": spec,
        });
        // JSON is YAML.
        let cluster_file = directory.join("cluster.yaml");
        std::fs::write(&cluster_file, serde_json::to_string_pretty(&file).unwrap()).unwrap();
        cluster_file
    }
}

fn compile(directory: &Path, text: &[u8], secrets: Option<&Path>) -> (bool, String) {
    let cluster_file = directory.join("cluster.yaml");
    std::fs::write(&cluster_file, text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let request = Request {
        cluster_file: &cluster_file,
        out: None,
        secrets,
        nodes: &[],
    };
    let compiled = compile::compile(&request, &mut diagnostics);
    match &compiled {
        Ok(compiled) => {
            let held = Held::take(&directory.join("out"), || {}).unwrap();
            output::write(&held, compiled, Vec::new(), &mut Diagnostics::new()).unwrap();
        }
        Err(Failure::Input(_)) => {}
        Err(Failure::Nkd(error)) => panic!("{error:#}"),
    }
    (compiled.is_ok(), diagnostics.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The files themselves, and inside and out what carriers get: both go through the proof and
    /// through the real `ignition-validate`.
    #[test]
    fn any_accepted_cluster_file_gives_what_ignition_takes(choices in choices()) {
        let directory = tempfile::tempdir().unwrap();
        let cluster_file = choices.write(directory.path());
        let out = directory.path().join("out");
        let secrets = common::full_secrets();
        let arguments = ["--secrets", secrets.to_str().unwrap(), "--target", "openstack"];
        common::compile(&cluster_file, &out, &[&arguments[..], &["--target", "gcp"]].concat());
        for files in ["nodes", "openstack", "gcp"] {
            takes(&out.join(files));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_cluster_files_are_taken_or_explained(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut text = std::fs::read(demo()).unwrap();
        for (index, byte) in changes {
            let index = index.index(text.len());
            text[index] = byte;
        }
        taken_or_explained(&text)?;
    }

    #[test]
    fn damaged_files_it_names_are_taken_or_explained(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let from = tests().join("clusters/full");
        for name in ["components.yaml", "overlay-v1beta4.yaml", "w1.ign", "users.ign", "cni.yaml", "report-ca.crt"] {
            let mut bytes = std::fs::read(from.join(name)).unwrap();
            for (index, byte) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        let file = std::fs::read_to_string(from.join("cluster.yaml")).unwrap();
        let file = file.replace("VERSION", "1.31.2").replace("KUBEADM", "v1beta4");
        let (compiled, diagnostics) = compile(directory.path(), file.as_bytes(), None);
        prop_assert!(compiled != diagnostics.contains("error["), "{}", diagnostics);
    }

    #[test]
    fn any_bytes_are_explained(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        taken_or_explained(&bytes)?;
    }

    #[test]
    fn any_yaml_like_text_is_explained(text in "([a-z]{1,6}: ?|- |\\{|\\}|\\[|\\]|&a |\\*a|<<: |\"|'|\\||> |# |\n *|!!str |[0-9.]{1,4}){0,40}") {
        taken_or_explained(text.as_bytes())?;
    }
}

fn taken_or_explained(text: &[u8]) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    std::fs::write(&cluster_file, text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let cluster = nkd::cluster_file::read(&cluster_file, &mut diagnostics);
    prop_assert_eq!(cluster.is_ok(), diagnostics.is_empty());
    prop_assert!(
        diagnostics.to_string().is_empty() || !diagnostics.to_string().contains("PRIVATE KEY")
    );
    Ok(())
}
