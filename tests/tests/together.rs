//! Machines of a cluster powered on all at once, in the wrong order.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use testbed::Machine;
use testbed::scenario::{Scenario, property};

#[test]
fn workers_powered_on_before_the_control_plane_wait_and_join() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_node("w2", "worker").unwrap();
    let cluster = scenario.compile().unwrap();
    let names = ["w2", "w1", "cp1"];
    let machines = names.map(|name| scenario.machine(&cluster, name).unwrap());
    for machine in &machines {
        machine.boot().unwrap();
    }
    for machine in &machines {
        machine
            .wait_for("the node to be Ready", Duration::from_secs(400), || {
                Ok(property(machine, "State")? == r#"s "ready""#)
            })
            .unwrap();
    }
    let kubectl = |words: &[&str]| {
        let output = cluster.kubectl(&scenario.lab, &scenario.kubernetes, words);
        output.unwrap()
    };
    let nodes = kubectl(&["get", "nodes", "--no-headers"]);
    println!("{nodes}");
    assert_eq!(nodes.matches(" Ready ").count(), 3, "{nodes}");
    assert_eq!(scenario.callbacks.refused(), Vec::<String>::new());
    pods_reach_each_other(
        &machines,
        &kubectl(&["get", "pods", "-A", "-o", POD_ADDRESSES]),
    );
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
