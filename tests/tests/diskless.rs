//! Nodes that run from memory: a reboot leaves nothing of them, and Ignition runs at every boot.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use testbed::Machine;
use testbed::cluster::Cluster;
use testbed::scenario::{Scenario, wait_until_ready};

const PATIENCE: Duration = Duration::from_secs(900);

#[test]
#[ignore = "long: three nodes on two cores, and five boots"]
fn a_worker_and_a_further_control_plane_that_keep_nothing_join_again_under_their_names() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_node("cp2", "control-plane").unwrap();
    // In the cluster file's order: cp1, w1, cp2.
    let balancer = scenario.lab.balancer(&["10.200.0.11", "10.200.0.13"]);
    let balancer = balancer.unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    let cluster = scenario.compile().unwrap();
    let start = Instant::now();
    let init_node = boot(&scenario, &cluster, "cp1");
    let worker = boot(&scenario, &cluster, "w1");
    let control_plane = boot(&scenario, &cluster, "cp2");
    for machine in [&init_node, &worker, &control_plane] {
        wait_until_ready(machine, PATIENCE).unwrap();
    }
    println!(
        "three nodes are Ready after {} s",
        start.elapsed().as_secs()
    );

    let worker = reboot(&scenario, &cluster, worker);
    let control_plane = reboot(&scenario, &cluster, control_plane);
    let kubectl = |words: &[&str]| {
        let output = cluster.kubectl(&scenario.lab, &scenario.kubernetes, words);
        output.unwrap()
    };
    let nodes = kubectl(&["get", "nodes", "--no-headers"]);
    assert_eq!(nodes.matches(" Ready ").count(), 3, "{nodes}");
    let members = members(&init_node);
    assert_eq!(members.matches("clientURLs").count(), 2, "{members}");
    drop((init_node, worker, control_plane));
}

fn boot(scenario: &Scenario, cluster: &Cluster, name: &str) -> Machine {
    let machine = scenario.machine(cluster, name).unwrap();
    machine.boot().unwrap();
    machine
}

/// Cuts the power, boots a machine with an empty disk and the same config, and waits until its node is Ready.
fn reboot(scenario: &Scenario, cluster: &Cluster, machine: Machine) -> Machine {
    let name = machine.name().to_owned();
    drop(machine);
    let start = Instant::now();
    let machine = boot(scenario, cluster, &name);
    wait_until_ready(&machine, PATIENCE).unwrap();
    let seconds = start.elapsed().as_secs();
    println!("{name} is Ready again after {seconds} s");
    machine
}

/// The members of etcd, as JSON.
fn members(control_plane: &Machine) -> String {
    let pki = "/etc/kubernetes/pki/etcd";
    let list = format!(
        "curl --silent --fail --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt \
         --key {pki}/healthcheck-client.key --data '{{}}' https://127.0.0.1:2379/v3/cluster/member/list"
    );
    control_plane.check(["sh", "-c", &list]).unwrap()
}
