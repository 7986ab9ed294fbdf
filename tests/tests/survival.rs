//! Troubles that pass: the node becomes Ready all the same, and tells everything once.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nkd_contract::{Cause, Event, Kind, Stage, paths};
use testbed::callbacks::Mood;
use testbed::events::{await_event, await_soon, events, is};
use testbed::scenario::{Scenario, property, wait_until_ready};
use testbed::{FileSystem, Machine};

const PATIENCE: Duration = Duration::from_secs(300);

/// A control plane that isn't started yet.
fn control_plane() -> (Scenario, Machine) {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    (scenario, machine)
}

/// Boots the machine, makes trouble, and sees it become Ready and all events told, once and in
/// order. Gives the events.
fn becomes_ready(
    scenario: &Scenario,
    machine: &Machine,
    trouble: impl FnOnce(&Machine),
) -> Vec<Event> {
    let start = Instant::now();
    machine.boot().unwrap();
    trouble(machine);
    wait_until_ready(machine, PATIENCE).unwrap();
    println!("Ready after {} s", start.elapsed().as_secs());
    all_is_told(scenario, machine)
}

fn all_is_told(scenario: &Scenario, machine: &Machine) -> Vec<Event> {
    let told = || scenario.callbacks.received_from(machine.name());
    machine
        .wait_for("the last callback", PATIENCE, || {
            Ok(told().last().is_some_and(|event| event.kind == Kind::Ready))
        })
        .unwrap();
    let events = events(machine);
    assert_eq!(told(), events);
    events
}

/// How many attempts at a stage failed.
fn failed_attempts(events: &[Event], stage: Stage) -> usize {
    let is_it =
        |event: &&Event| event.kind == Kind::AttemptFailed && event.stage == Some(stage.into());
    events.iter().filter(is_it).count()
}

fn kill(machine: &Machine, unit: &str) {
    machine
        .check(["systemctl", "kill", "--signal=SIGKILL", unit])
        .unwrap();
}

/// Puts a shell script before a program of the machine, which it finds as `$real`.
fn wrap(machine: &Machine, program: &str, script: &str) {
    let path = format!("/usr/bin/{program}");
    let real = format!("/usr/bin/{program}.real");
    fs::rename(
        machine.root().join(&path[1..]),
        machine.root().join(&real[1..]),
    )
    .unwrap();
    let text = format!("#!/bin/sh\nreal={real}\n{script}\nexec $real \"$@\"\n");
    machine.write(&path, &text).unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(machine.root().join(&path[1..]), executable).unwrap();
}

#[test]
fn containerd_dies_during_the_import_and_kubeadm_fails_once() {
    let (scenario, machine) = control_plane();
    // Not before it has begun to make a control plane.
    let script = r#"if [ "$1" = init ] && mkdir /var/tmp/once 2>/dev/null; then
    timeout 8 $real "$@"
    exit 1
fi"#;
    wrap(&machine, "kubeadm", script);
    // More than a pipe holds, so that ctr has read some of it, and has a connection.
    let script = r#"case "$*" in *" images import "*) if mkdir /var/tmp/import 2>/dev/null; then
    for archive; do :; done
    { head --bytes=131072; systemctl kill --signal=SIGKILL containerd; cat; } < $archive |
        $real --namespace k8s.io images import -
    exit
fi;; esac"#;
    wrap(&machine, "ctr", script);
    let events = becomes_ready(&scenario, &machine, |_| {});
    assert!(failed_attempts(&events, Stage::Images) >= 1);
    assert_eq!(failed_attempts(&events, Stage::Kubeadm), 1);
}

#[test]
fn a_disk_that_stalls_and_a_network_add_on_that_comes_late_are_waited_for() {
    let (scenario, machine) = control_plane();
    let network = "/etc/cni/net.d/10-testbed.conflist";
    let add_on = machine.read(network).unwrap();
    machine.remove(network).unwrap();
    let drop_in = "/etc/systemd/system/nkd-agent.service.d";
    fs::create_dir_all(machine.root().join(&drop_in[1..])).unwrap();
    // Longer than a question to the API may take.
    let hasty = "[Service]\nWatchdogSec=15s\n";
    machine
        .write(&format!("{drop_in}/hasty.conf"), hasty)
        .unwrap();
    let mut plan: serde_json::Value =
        serde_json::from_str(&machine.read(paths::PLAN).unwrap()).unwrap();
    plan["budgets"] = serde_json::json!({ "ready": 5 });
    machine.write(paths::PLAN, &plan.to_string()).unwrap();

    let events = becomes_ready(&scenario, &machine, |machine| {
        let images = |event: &Event| is(event, Kind::StageStarted, Stage::Images);
        await_event(machine, 0, PATIENCE, images).unwrap();
        let stalled = machine.stall_disk().unwrap();
        std::thread::sleep(Duration::from_secs(25));
        drop(stalled);
        let cause = || property(machine, "Cause");
        machine
            .wait_for("the node to miss its network", PATIENCE, || {
                Ok(cause()? == format!("s {:?}", Cause::ReadyNoNetwork.code()))
            })
            .unwrap();
        // Twice its budget.
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(property(machine, "State").unwrap(), r#"s "installing""#);
        machine.write(network, &add_on).unwrap();
    });
    assert_eq!(failed_attempts(&events, Stage::Ready), 0);
    let restarts = ["systemctl", "show", "--property=NRestarts", "nkd-agent"];
    let journal = machine.journal(&["--unit=nkd-agent"]).unwrap();
    assert_eq!(
        machine.check(restarts).unwrap().trim(),
        "NRestarts=0",
        "{journal}"
    );
}

#[test]
#[ignore = "long: a cluster of its own"]
fn containerd_dies_during_kubeadm() {
    let (scenario, machine) = control_plane();
    becomes_ready(&scenario, &machine, |machine| {
        let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        await_soon(machine, manifest, PATIENCE, || {
            machine.read(manifest).is_ok()
        })
        .unwrap();
        kill(machine, "containerd");
    });
}

#[test]
#[ignore = "long: a cluster of its own"]
fn kubelet_crashes_when_it_first_starts() {
    let (scenario, machine) = control_plane();
    wrap(
        &machine,
        "kubelet",
        "mkdir /var/tmp/once 2>/dev/null && exit 1",
    );
    becomes_ready(&scenario, &machine, |_| {});
    assert!(machine.root().join("var/tmp/once").exists());
}

#[test]
#[ignore = "long: a cluster of its own"]
fn the_receiver_of_callbacks_is_down_then_busy_then_slow() {
    let (scenario, machine) = control_plane();
    scenario.callbacks.set(Mood::Down);
    machine.boot().unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
    assert!(scenario.callbacks.received().is_empty());
    scenario.callbacks.set(Mood::Unavailable);
    machine
        .wait_for("a callback to be turned away", PATIENCE, || {
            Ok(scenario.callbacks.turned_away() > 0)
        })
        .unwrap();
    scenario.callbacks.set(Mood::Slow);
    all_is_told(&scenario, &machine);
}

#[test]
#[ignore = "long: ten minutes without a receiver"]
fn ten_minutes_without_a_receiver_lose_nothing() {
    let (scenario, machine) = control_plane();
    scenario.callbacks.set(Mood::Down);
    machine.boot().unwrap();
    std::thread::sleep(Duration::from_secs(600));
    scenario.callbacks.set(Mood::Open);
    all_is_told(&scenario, &machine);
}

#[test]
#[ignore = "long: a cluster of its own"]
fn a_receiver_that_cannot_be_trusted_gets_nothing_and_holds_nothing_up() {
    let (mut scenario, other) = (Scenario::new().unwrap(), Scenario::new().unwrap());
    scenario.file.report_to(&other.callbacks).unwrap();
    scenario.file.document["spec"]["report"]["url"] = scenario.callbacks.url().into();
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    machine.boot().unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
    assert!(scenario.callbacks.received().is_empty());
    let said = machine.journal(&["--unit=nkd-reporter"]).unwrap();
    assert!(said.contains("invalid peer certificate"), "{said}");
}

#[test]
#[ignore = "long: a cluster of its own"]
fn without_a_bus_at_the_start_the_node_is_there_as_soon_as_the_bus_is() {
    let (scenario, machine) = control_plane();
    let units = ["dbus.service", "dbus.socket"];
    for unit in units {
        let mask = machine.root().join("etc/systemd/system").join(unit);
        std::os::unix::fs::symlink("/dev/null", mask).unwrap();
    }
    machine.boot().unwrap();
    machine
        .wait_for("the node to be Ready", PATIENCE, || {
            Ok(events(&machine)
                .last()
                .is_some_and(|event| event.kind == Kind::Ready))
        })
        .unwrap();
    assert!(property(&machine, "State").is_err());
    machine
        .check(["systemctl", "unmask"].into_iter().chain(units))
        .unwrap();
    machine
        .check(["systemctl", "start", "dbus.socket"])
        .unwrap();
    machine
        .wait_for("the bus to know the node", PATIENCE, || {
            Ok(property(&machine, "State")? == r#"s "ready""#)
        })
        .unwrap();
    all_is_told(&scenario, &machine);
}

/// Joins, and is held up for good when kubelet has its credentials, the first time alone.
const HELD_UP: &str = r#"if [ "$1" = join ] && mkdir /var/tmp/once 2>/dev/null; then
    $real "$@" &
    until [ -s /etc/kubernetes/kubelet.conf ]; do sleep 0.01; done
    kill -STOP $!
    wait
fi"#;

#[test]
#[ignore = "long: a cluster of its own"]
fn a_worker_whose_power_is_cut_before_kubeadms_last_step_gets_its_cri_socket_annotated() {
    let mut scenario = Scenario::new().unwrap();
    scenario.image = scenario.image.on(FileSystem::Xfs);
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    let worker = &machines[1];
    wrap(worker, "kubeadm", HELD_UP);
    for machine in &machines {
        machine.boot().unwrap();
    }
    wait_until_ready(&machines[0], PATIENCE).unwrap();
    let kubectl = |words: &[&str]| cluster.kubectl(&scenario.lab, &scenario.kubernetes, words);
    let annotation = || {
        kubectl(&[
            "get",
            "node",
            "w1",
            "--output=jsonpath={.metadata.annotations}",
        ])
    };
    worker
        .wait_for("kubelet to register the node", PATIENCE, || {
            Ok(annotation().is_ok())
        })
        .unwrap();
    let registered = annotation().unwrap();
    assert!(!registered.contains("cri-socket"), "{registered}");
    worker.check(["sync"]).unwrap();
    worker.cut_power().unwrap();
    worker.boot().unwrap();
    wait_until_ready(worker, PATIENCE).unwrap();
    let annotations = annotation().unwrap();
    let socket = r#""kubeadm.alpha.kubernetes.io/cri-socket":"/run/containerd/containerd.sock""#;
    assert!(annotations.contains(socket), "{annotations}");
    let reset = "cleaning up after an earlier attempt";
    let events = all_is_told(&scenario, worker);
    assert!(events.iter().all(|event| event.message != reset));
}
