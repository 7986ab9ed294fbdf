//! Clusters with IPv6.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use testbed::Machine;
use testbed::cluster::Cluster;
use testbed::scenario::{Scenario, wait_until_ready};

const PATIENCE: Duration = Duration::from_secs(300);

/// The Kubernetes of the testbed supports only one IP version at once. There, machines with both become nodes with
/// IPv6 addresses. With `NKD_TESTBED_KUBERNETES`, the nodes have both.
#[test]
fn machines_with_ipv4_and_ipv6_become_a_cluster_with_ipv6() {
    let mut scenario = Scenario::new().unwrap();
    let version = scenario.kubernetes.version().trim_start_matches('v');
    let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
    scenario.file.use_ipv6(minor >= 21).unwrap();
    let proxy = "http://10.200.0.1:3128";
    scenario.file.document["spec"]["os"] = json!({ "proxy": { "http": proxy, "https": proxy } });
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    for machine in &machines {
        machine.boot().unwrap();
    }
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
    }
    let [control_plane, _] = &machines;
    for node in cluster.nodes() {
        let found = internal_addresses(&scenario, &cluster, &node.name);
        assert_eq!(found, addresses(&node.address), "{}", node.name);
    }
    the_certificate_names(control_plane, &addresses(&cluster.nodes()[0].address));
    for (machine, node) in machines.iter().zip(cluster.nodes()) {
        spares_the_node_from_the_proxy(machine, &addresses(&node.address));
        reaches_pods(machine, &pods(&scenario, &cluster));
    }
    assert_eq!(scenario.callbacks.refused(), Vec::<String>::new());
}

/// The addresses of a node in the cluster file.
fn addresses(text: &str) -> Vec<IpAddr> {
    text.split(',')
        .map(|address| address.parse().unwrap())
        .collect()
}

fn kubectl(scenario: &Scenario, cluster: &Cluster, words: &[&str]) -> String {
    let output = cluster.kubectl(&scenario.lab, &scenario.kubernetes, words);
    output.unwrap()
}

/// The addresses that kubelet has reported for its node.
fn internal_addresses(scenario: &Scenario, cluster: &Cluster, node: &str) -> Vec<IpAddr> {
    let path = "jsonpath={.status.addresses[?(@.type==\"InternalIP\")].address}";
    let text = kubectl(scenario, cluster, &["get", "node", node, "--output", path]);
    let texts = text.split_whitespace();
    texts.map(|address| address.parse().unwrap()).collect()
}

fn the_certificate_names(control_plane: &Machine, addresses: &[IpAddr]) {
    let show = "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName";
    let shown = control_plane.check(["sh", "-c", show]).unwrap();
    let names = shown
        .split(", ")
        .filter_map(|name| name.trim().strip_prefix("IP Address:"));
    let names: Vec<IpAddr> = names.map(|name| name.parse().unwrap()).collect();
    for address in addresses {
        assert!(names.contains(address), "{address} is not in {names:?}");
    }
}

/// The container runtime and kubelet reach their own node directly.
fn spares_the_node_from_the_proxy(machine: &Machine, addresses: &[IpAddr]) {
    for unit in ["containerd", "kubelet"] {
        let show = ["systemctl", "show", "--property=Environment", unit];
        let shown = machine.check(show).unwrap();
        assert!(shown.contains("HTTP_PROXY="), "{shown}");
        for address in addresses {
            assert!(shown.contains(&address.to_string()), "{address}: {shown}");
        }
    }
}

/// The addresses of pods in the pod network: all of a pod's, if it has several.
fn pods(scenario: &Scenario, cluster: &Cluster) -> Vec<IpAddr> {
    let path = "jsonpath={.items[*].status.podIPs[*].ip}";
    let select = ["--namespace=kube-system", "--selector=k8s-app=kube-dns"];
    let words = ["get", "pods", "--output", path];
    let text = kubectl(scenario, cluster, &[&words[..], &select].concat());
    let texts = text.split_whitespace();
    let pods: Vec<IpAddr> = texts.map(|address| address.parse().unwrap()).collect();
    assert!(pods.iter().any(IpAddr::is_ipv6), "{pods:?}");
    pods
}

fn reaches_pods(machine: &Machine, pods: &[IpAddr]) {
    for pod in pods {
        let host = match pod {
            IpAddr::V4(pod) => pod.to_string(),
            IpAddr::V6(pod) => format!("[{pod}]"),
        };
        let url = format!("http://{host}:8080/health");
        let answer = || Ok(machine.check(["curl", "--silent", "--max-time", "3", &url])? == "OK");
        machine
            .wait_for(&url, Duration::from_secs(60), answer)
            .unwrap();
    }
}
