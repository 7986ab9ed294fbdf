//! Machines of a cluster powered on all at once, in the wrong order.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use testbed::Machine;
use testbed::scenario::{Scenario, property};

#[test]
fn workers_powered_on_before_the_control_plane_wait_and_join() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_node("w2", "worker").unwrap();
    scenario.file.separate_containers();
    let (machines, kubectl) = become_ready(&scenario, &["w2", "w1", "cp1"]);
    static_pods_reach_the_host(&machines, &kubectl);
}

#[test]
#[ignore = "long: five nodes on two cores"]
fn three_control_planes_and_two_workers_powered_on_at_once_become_one_cluster() {
    let mut scenario = Scenario::new().unwrap();
    for (name, role) in [
        ("w2", "worker"),
        ("cp2", "control-plane"),
        ("cp3", "control-plane"),
    ] {
        scenario.file.add_node(name, role).unwrap();
    }
    // In the cluster file's order: cp1, w1, w2, cp2, cp3.
    let control_planes = ["10.200.0.11", "10.200.0.14", "10.200.0.15"];
    let balancer = scenario.lab.balancer(&control_planes).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    scenario.file.separate_containers();
    let (machines, kubectl) = become_ready(&scenario, &["cp3", "w2", "cp2", "w1", "cp1"]);
    static_pods_reach_the_host(&machines, &kubectl);
}

/// Where SELinux separates containers, the four static pods of each control plane have a type that may access the
/// files of the host. The host of the machines has no SELinux.
fn static_pods_reach_the_host(machines: &[Machine], kubectl: &impl Fn(&[&str]) -> String) {
    let selector = "--selector=tier=control-plane";
    let types = "--output=jsonpath={range .items[*]}{.metadata.name} \
                 {.spec.securityContext.seLinuxOptions.type}{\"\\n\"}{end}";
    let mut pods = String::new();
    // A kubelet posts its static pods to the API after their containers have started.
    let control_planes = machines
        .iter()
        .filter(|machine| machine.name().starts_with("cp"));
    let expected = 4 * control_planes.count();
    let all_posted = || {
        pods = kubectl(&["get", "pods", "--namespace=kube-system", selector, types]);
        Ok(pods.lines().count() == expected)
    };
    machines[0]
        .wait_for(
            "all static pods in the API",
            Duration::from_secs(120),
            all_posted,
        )
        .unwrap();
    assert_eq!(pods.matches(" spc_t\n").count(), expected, "{pods}");
}

#[test]
#[ignore = "long: four nodes on two cores"]
fn a_control_plane_that_never_comes_up_does_not_keep_the_others_waiting_for_ever() {
    let mut scenario = Scenario::new().unwrap();
    for (name, role) in [("cp2", "control-plane"), ("cp3", "control-plane")] {
        scenario.file.add_node(name, role).unwrap();
    }
    // In the cluster file's order: cp1, w1, cp2, cp3. A sixth of the gate's time is for cp2.
    let control_planes = ["10.200.0.11", "10.200.0.13", "10.200.0.14"];
    let balancer = scenario.lab.balancer(&control_planes).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    scenario.file.document["spec"]["budgets"] = serde_json::json!({ "gate": "6m" });
    let (_machines, _kubectl) = become_ready(&scenario, &["cp3", "w1", "cp1"]);
}

/// Powers the nodes on in this order and waits until they are one cluster that works. Gives the
/// machines, which live on, and the administrator's `kubectl`.
fn become_ready(scenario: &Scenario, names: &[&str]) -> (Vec<Machine>, impl Fn(&[&str]) -> String) {
    let cluster = scenario.compile().unwrap();
    let machines: Vec<_> = names
        .iter()
        .map(|name| scenario.machine(&cluster, name).unwrap())
        .collect();
    for machine in &machines {
        machine.boot().unwrap();
    }
    let start = Instant::now();
    for machine in &machines {
        machine
            .wait_for("the node to be Ready", Duration::from_secs(600), || {
                Ok(property(machine, "State")? == r#"s "ready""#)
            })
            .unwrap();
    }
    println!("all Ready after {} s", start.elapsed().as_secs());
    let kubectl = move |words: &[&str]| {
        let output = cluster.kubectl(&scenario.lab, &scenario.kubernetes, words);
        output.unwrap()
    };
    let nodes = kubectl(&["get", "nodes", "--no-headers"]);
    println!("{nodes}");
    assert_eq!(nodes.matches(" Ready ").count(), names.len(), "{nodes}");
    assert_eq!(scenario.callbacks.refused(), Vec::<String>::new());
    pods_reach_each_other(
        &machines,
        &kubectl(&["get", "pods", "-A", "-o", POD_ADDRESSES]),
    );
    (machines, kubectl)
}

const POD_ADDRESSES: &str =
    "jsonpath={.items[?(@.metadata.labels.k8s-app==\"kube-dns\")].status.podIP}";

/// The pods that have an address of the pod network answer on every node.
fn pods_reach_each_other(machines: &[Machine], addresses: &str) {
    assert!(!addresses.is_empty());
    for machine in machines {
        for address in addresses.split_whitespace() {
            let url = format!("http://{address}:8080/health");
            let answer =
                || Ok(machine.check(["curl", "--silent", "--max-time", "3", &url])? == "OK");
            machine
                .wait_for(&url, Duration::from_secs(60), answer)
                .unwrap();
        }
    }
}
