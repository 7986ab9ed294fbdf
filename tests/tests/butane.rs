//! The user's own operating system beside the Kubernetes part: the example with Butane files.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use testbed::Machine;
use testbed::scenario::{Scenario, wait_until_ready};

const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn what_butane_files_ask_for_is_on_ready_nodes() {
    let scenario = Scenario::of("butane").unwrap();
    let cluster = scenario.compile().unwrap();
    let machines: Vec<_> = ["cp1", "w1"]
        .map(|node| scenario.machine(&cluster, node).unwrap())
        .into();
    for machine in &machines {
        machine.boot().unwrap();
    }
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
    }
    for machine in &machines {
        the_user_is_there_with_the_key(machine);
        the_files_are_there(machine);
        the_unit_has_run_and_the_drop_in_counts(machine);
    }
    let [control_plane, worker] = &machines[..] else {
        unreachable!("two nodes");
    };
    let keyfile = "/etc/NetworkManager/system-connections/local0.nmconnection";
    assert!(
        worker
            .read(keyfile)
            .unwrap()
            .contains("route1=198.51.100.0/24")
    );
    assert!(control_plane.read(keyfile).is_err());
}

fn the_user_is_there_with_the_key(machine: &Machine) {
    let user = machine.check(["getent", "passwd", "ops"]).unwrap();
    assert!(user.contains(":Operators:/home/ops:/bin/bash"), "{user}");
    let groups = machine.check(["id", "-nG", "ops"]).unwrap();
    assert!(groups.contains("systemd-journal"), "{groups}");
    let keys = "cat /home/ops/.ssh/authorized_keys /home/ops/.ssh/authorized_keys.d/* || true";
    let keys = machine.check(["sh", "-c", keys]).unwrap();
    assert_eq!(keys.matches("ssh-ed25519 AAAAC3").count(), 1, "{keys}");
}

fn the_files_are_there(machine: &Machine) {
    let motd = machine.read("/etc/motd").unwrap();
    assert!(motd.starts_with("This machine is a node"), "{motd}");
    assert_eq!(
        machine.read("/etc/site/contact").unwrap(),
        "ops@example.org\n"
    );
    let zone = machine.check(["readlink", "/etc/localtime"]).unwrap();
    assert_eq!(zone.trim(), "../usr/share/zoneinfo/Asia/Shanghai");
    let directory = machine
        .check(["stat", "-c", "%a %G", "/var/log/site"])
        .unwrap();
    assert_eq!(directory.trim(), "750 systemd-journal");
    // nkd's part and the user's, one after the other.
    let settings = machine.read("/etc/sysctl.d/90-kubernetes.conf").unwrap();
    let (own, added) = settings.split_once("# Many pods").unwrap();
    assert!(own.contains("net.ipv4.ip_forward = 1"), "{settings}");
    assert!(added.contains("max_user_instances = 8192"), "{settings}");
}

fn the_unit_has_run_and_the_drop_in_counts(machine: &Machine) {
    let inventory = machine.read("/var/log/site/inventory").unwrap();
    assert!(inventory.starts_with("Linux "), "{inventory}");
    let weight = ["systemctl", "show", "--property=CPUWeight", "kubelet"];
    assert_eq!(machine.check(weight).unwrap().trim(), "CPUWeight=1000");
}
