//! Machines of an open pool: one Ignition file, and names from the platform.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nkd_contract::paths;
use testbed::Machine;
use testbed::scenario::{Scenario, property, wait_until_ready};

const POOL: &str = "cloud";
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn machines_with_one_file_become_nodes_with_the_names_of_their_platform_and_keep_them() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_open_pool(POOL).unwrap();
    let nodes = scenario.file.document["spec"]["nodes"].as_array_mut();
    nodes.unwrap().truncate(1);
    let cluster = scenario.compile().unwrap();
    let control_plane = scenario.machine(&cluster, "cp1").unwrap();
    let machine = |name, address| {
        let machine = scenario.pool_machine(&cluster, POOL, (name, address));
        machine.unwrap()
    };
    let (early, late) = (machine("m1", "10.200.0.21"), machine("m2", "10.200.0.22"));
    assert!(early.read("/etc/hostname").is_err());
    // As afterburn does in the initramfs.
    early.write("/etc/hostname", "Cloud-A\n").unwrap();
    for machine in [&control_plane, &early, &late] {
        machine.boot().unwrap();
    }
    let cause = || Ok(property(&late, "Message")?.contains("its hostname is `localhost`"));
    late.wait_for("the agent to wait for a name", PATIENCE, cause)
        .unwrap();
    // As NetworkManager does when DHCP answers.
    late.check(["hostnamectl", "set-hostname", "--transient", "cloud-b"])
        .unwrap();
    for machine in [&control_plane, &early, &late] {
        wait_until_ready(machine, PATIENCE).unwrap();
    }
    for (machine, name) in [(&early, "cloud-a"), (&late, "cloud-b")] {
        has_name(machine, name);
    }
    assert_eq!(nodes_of(&scenario, &cluster), ["cloud-a", "cloud-b", "cp1"]);
    assert_eq!(scenario.callbacks.refused(), Vec::<String>::new());
    let told = scenario.callbacks.received_from("cloud-b");
    assert!(told.iter().all(|event| event.pool.as_deref() == Some(POOL)));
    assert!(!told.is_empty());
    keeps_its_name(&scenario, &cluster, &late, "cloud-b");
}

fn has_name(machine: &Machine, name: &str) {
    assert_eq!(machine.read(paths::NAME).unwrap(), format!("{name}\n"));
    assert_eq!(machine.read("/etc/hostname").unwrap(), format!("{name}\n"));
    assert_eq!(machine.check(["uname", "-n"]).unwrap(), format!("{name}\n"));
    assert_eq!(property(machine, "Name").unwrap(), format!("s \"{name}\""));
}

/// A reboot, after which the platform has not named the machine.
fn keeps_its_name(
    scenario: &Scenario,
    cluster: &testbed::cluster::Cluster,
    machine: &Machine,
    name: &str,
) {
    let boot = |scenario: &Scenario| {
        let path = "jsonpath={.status.nodeInfo.bootID}";
        let words = ["get", "node", name, "-o", path];
        cluster.kubectl(&scenario.lab, &scenario.kubernetes, &words)
    };
    let before = boot(scenario).unwrap();
    machine.power_off().unwrap();
    machine.boot().unwrap();
    machine
        .wait_for("kubelet to report the new boot", PATIENCE, || {
            Ok(boot(scenario)? != before)
        })
        .unwrap();
    has_name(machine, name);
    let all = nodes_of(scenario, cluster);
    assert_eq!(all, ["cloud-a", "cloud-b", "cp1"]);
}

/// The names of all nodes, which are Ready.
fn nodes_of(scenario: &Scenario, cluster: &testbed::cluster::Cluster) -> Vec<String> {
    let words = ["get", "nodes", "--no-headers"];
    let nodes = cluster
        .kubectl(&scenario.lab, &scenario.kubernetes, &words)
        .unwrap();
    println!("{nodes}");
    let ready = nodes.lines().filter(|line| line.contains(" Ready "));
    let name = |line: &str| line.split(' ').next().unwrap().to_owned();
    ready.map(name).collect()
}
