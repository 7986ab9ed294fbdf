//! Machines of an open pool: the plan has no name, and the platform names each machine.

use std::time::Duration;

use nkd_contract::{Cause, OPEN_POOL, Plan, Role, Stage, paths};

use super::cluster::joins;
use super::machine::{End, Machine};
use super::receiver::{Answer, Authority, Receiver};

const HOSTNAME: &str = "/proc/sys/kernel/hostname";

fn of_a_pool(plan: &mut Plan) {
    plan.requires = vec![OPEN_POOL.into()];
    plan.node = String::new();
    plan.pool = Some("workers".into());
}

/// A machine that joins at an API with these answers.
fn machine(answers: &[Answer]) -> (Machine, Receiver) {
    let machine = Machine::new();
    let authority = Authority::new();
    let api = Receiver::listen("127.0.0.1:0".parse().unwrap(), answers, Some(&authority));
    machine.write(paths::TOKEN, "abcdef.0123456789abcdef\n");
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.role = Role::JoinWorker;
        of_a_pool(plan);
        plan.budgets.insert(Stage::Ready, 0);
    });
    (machine, api)
}

#[test]
fn a_machine_waits_for_its_name_and_keeps_it() {
    let (machine, _api) = machine(&[]);
    machine.write(HOSTNAME, "localhost\n");
    let worker = machine.command().spawn().unwrap();
    while machine.warnings().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (cause, message) = machine.warnings().remove(0);
    assert_eq!(cause, Cause::HostNameMissing);
    assert_eq!(
        message,
        "the platform has not named this machine yet: its hostname is `localhost`"
    );
    machine.write(HOSTNAME, "worker-7\n");
    machine.end_of(worker, 0);
    machine.lacks_only_its_api();

    assert_eq!(machine.read(paths::NAME), "worker-7\n");
    assert_eq!(machine.read("/etc/hostname"), "worker-7\n");
    let join = "kubeadm join --config /etc/nkd/kubeadm.yaml --node-name worker-7";
    assert_eq!(machine.calls_of("kubeadm"), [join]);
    let events = machine.events();
    let of_pool = |event: &nkd_contract::Event| event.pool.as_deref() == Some("workers");
    assert!(events.iter().all(of_pool));
    let begun = "installing a machine of the pool workers as join-worker of demo";
    assert_eq!(events[0].message, begun);
    let named = |event: &nkd_contract::Event| event.node == "worker-7";
    let first = events.iter().position(named).unwrap();
    assert!(first > 0 && events[first..].iter().all(named));
    assert_eq!(events[first].stage, Some(Stage::Host.into()));
}

#[test]
fn a_kept_name_is_the_nodes_name_on_later_boots() {
    let (machine, _api) = machine(&[]);
    machine.write(paths::NAME, "worker-7\n");
    machine.write(HOSTNAME, "worker-7\n");
    machine.write("/etc/hostname", "another\n");
    machine.install();
    machine.lacks_only_its_api();
    assert_eq!(machine.read("/etc/hostname"), "worker-7\n");
    let events = machine.events();
    assert!(events.iter().all(|event| event.node == "worker-7"));
    let join = machine.calls_of("kubeadm").remove(0);
    assert!(join.ends_with(" --node-name worker-7"), "{join}");
}

#[test]
fn hooks_after_the_stage_that_names_the_node_have_its_name() {
    use std::os::unix::fs::PermissionsExt as _;

    let (machine, _api) = machine(&[]);
    machine.write(HOSTNAME, "worker-7\n");
    let hook = "/etc/nkd/hooks/post-host.d/10-name";
    let note = machine.path("/noted").display().to_string();
    machine.write(hook, &format!("#!/bin/sh\necho $NKD_NODE > {note}\n"));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(machine.path(hook), mode).unwrap();
    machine.install();
    assert_eq!(machine.read("/noted"), "worker-7\n");
}

#[test]
fn a_machine_without_a_name_is_told_after_the_budget() {
    let (machine, _api) = machine(&[]);
    machine.plan(|plan| {
        of_a_pool(plan);
        plan.budgets.insert(Stage::Host, 0);
    });
    machine.write(HOSTNAME, "my_worker\n");
    assert_eq!(machine.install(), End::Exhausted);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Host), Cause::HostNameMissing));
    assert!(
        message.starts_with("the hostname `my_worker` cannot be a node's name: "),
        "{message}"
    );
    assert_eq!(machine.read(paths::NAME), "");
}

const CONTROL_PLANE: Answer = Answer::Body(
    r#"{"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}, "status": {"conditions":
        [{"type": "Ready", "status": "Unknown"}]}}"#,
);
const NOT_READY: Answer =
    Answer::Body(r#"{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}"#);
const GONE: Answer =
    Answer::Body(r#"{"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}"#);

#[test]
fn a_machine_does_not_take_the_name_of_a_node_that_lives_or_is_a_control_plane() {
    let ok = Answer::Status(200);
    for (object, taken) in [
        (
            CONTROL_PLANE,
            Some("the cluster already has a control plane worker-7"),
        ),
        (
            NOT_READY,
            Some("the cluster already has a running kubelet of a node worker-7"),
        ),
        (GONE, None),
    ] {
        let (machine, _api) = machine(&[ok, ok, object]);
        machine.write(HOSTNAME, "worker-7\n");
        machine.attempt();
        let (stage, cause, message) = machine.failure();
        match taken {
            Some(expected) => {
                assert_eq!((cause, &*message), (Cause::KubeadmNameTaken, expected));
                assert!(machine.calls_of("kubeadm").is_empty());
            }
            None => assert_eq!(stage, Some(Stage::Ready), "{message}"),
        }
    }
}
