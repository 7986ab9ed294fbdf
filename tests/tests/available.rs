//! A highly available cluster from its first boot to a power cut of the whole room. Its endpoint is an
//! address that keepalived moves between the control planes, as in examples/keepalived.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use testbed::cluster::Cluster;
use testbed::programs::workspace;
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::{Machine, Operator};

const PATIENCE: Duration = Duration::from_secs(900);
/// The address of the endpoint, in keepalived.bu and the cluster file.
const ADDRESS: &str = "10.200.0.10";
/// How long the API may be away after the control plane with this address is lost.
const FAILOVER: Duration = Duration::from_secs(10);

#[test]
#[ignore = "long: seven nodes on two cores"]
fn a_cluster_of_three_control_planes_survives_the_loss_of_one_grows_and_survives_a_power_cut() {
    let mut scenario = with_keepalived();
    let cluster = scenario.compile().unwrap();
    let start = Instant::now();
    let names = ["w2", "cp3", "w1", "cp2", "cp1"];
    let mut machines: Vec<_> = names.map(|name| boot(&scenario, &cluster, name)).into();
    wait_until_all_ready(&machines);
    println!("five nodes are Ready after {} s", start.elapsed().as_secs());
    lose_a_control_plane(&mut scenario, &cluster, &mut machines);

    // More workers, from the same secrets.
    for name in ["w3", "w4"] {
        scenario.file.add_node(name, "worker").unwrap();
    }
    scenario.compile().unwrap();
    for name in ["w3", "w4"] {
        machines.push(boot(&scenario, &cluster, name));
    }
    wait_until_all_ready(&machines);

    let operator = Operator::new(&scenario, &cluster).unwrap();
    assert_eq!(ready_nodes(&operator), 7);
    cut_the_power_of_all(&operator, &machines);
}

/// The control plane that has the endpoint's address is lost for good, and another machine takes its name. If it
/// was the first one in the cluster file, another one is the init node from now on.
fn lose_a_control_plane(scenario: &mut Scenario, cluster: &Cluster, machines: &mut Vec<Machine>) {
    let lost = machines.iter().position(has_address).unwrap();
    let lost = machines.swap_remove(lost);
    let name = lost.name().to_owned();
    println!("{name} has the address, and is lost");
    let operator = Operator::new(scenario, cluster).unwrap();
    drop(lost);
    let failover = until_api_answers(&operator);
    println!("the API answers {} ms later", failover.as_millis());
    assert!(failover <= FAILOVER, "{failover:?}");

    let nodes = scenario.file.document["spec"]["nodes"].as_array_mut();
    let nodes = nodes.unwrap();
    if nodes[0]["name"] == name.as_str() {
        nodes[..3].rotate_left(1);
    }
    let operator = Operator::new(scenario, cluster).unwrap();
    for block in ["delete-node", "compile-again"] {
        let commands = operator.block(block).unwrap();
        operator.shell(&commands.replace("cp1", &name)).unwrap();
    }
    machines.push(boot(scenario, cluster, &name));
    wait_until_all_ready(machines);
}

fn cut_the_power_of_all(operator: &Operator<'_>, machines: &[Machine]) {
    for machine in machines {
        machine.cut_power().unwrap();
    }
    let start = Instant::now();
    for machine in machines {
        machine.boot().unwrap();
    }
    until_api_answers(operator);
    // What the Node objects state was written before the cut. New Leases prove that the kubelets are back.
    operator
        .shell("kubectl delete leases --all --namespace kube-node-lease")
        .unwrap();
    let leases = "kubectl get leases --namespace kube-node-lease --no-headers";
    let are_back = || {
        let leases = operator.shell(leases)?.lines().count();
        Ok(leases == machines.len() && ready_nodes(operator) == machines.len())
    };
    machines[0]
        .wait_for("all nodes after the power cut", PATIENCE, are_back)
        .unwrap();
    println!("all are back after {} s", start.elapsed().as_secs());
}

fn boot(scenario: &Scenario, cluster: &Cluster, name: &str) -> Machine {
    let machine = scenario.machine(cluster, name).unwrap();
    machine.boot().unwrap();
    machine
}

fn wait_until_all_ready(machines: &[Machine]) {
    for machine in machines {
        wait_until_ready(machine, PATIENCE).unwrap();
    }
}

/// The cluster of examples/keepalived, on the interface of the testbed's machines.
fn with_keepalived() -> Scenario {
    let mut scenario = Scenario::of("keepalived").unwrap();
    let file = workspace().join("examples/keepalived/keepalived.bu");
    let butane = fs::read_to_string(file).unwrap();
    assert!(butane.contains(ADDRESS));
    let butane = butane.replace("eth0", "host0");
    scenario.file.add("keepalived.bu", &butane).unwrap();
    scenario.file.set_endpoint(&format!("{ADDRESS}:6443"));
    scenario
}

fn has_address(machine: &Machine) -> bool {
    let addresses = machine.check(["ip", "-4", "-brief", "address"]).unwrap();
    addresses.contains(&format!("{ADDRESS}/"))
}

/// Waits until the API server answers through the endpoint, and returns how long this took.
fn until_api_answers(operator: &Operator<'_>) -> Duration {
    let start = Instant::now();
    let ready = "kubectl get --raw /readyz --request-timeout=1s";
    while operator.shell(ready).unwrap_or_default() != "ok" {
        assert!(start.elapsed() < PATIENCE, "the API does not answer");
        thread::sleep(Duration::from_millis(200));
    }
    start.elapsed()
}

fn ready_nodes(operator: &Operator<'_>) -> usize {
    let nodes = operator.shell("kubectl get nodes --no-headers");
    nodes.unwrap_or_default().matches(" Ready ").count()
}
