//! Control planes that join a cluster, and whose join was cut off.

use nkd_contract::{Cause, Stage, paths};

use super::cluster::{LABELLED, joins, was_made};
use super::machine::Machine;
use super::ready::give_credentials;
use super::receiver::{Answer, Authority, Receiver};

/// The Node object of a control plane that kubelet has registered and kubeadm has not labelled yet.
const REGISTERED: Answer = Answer::Body(r#"{"metadata": {"labels": {"a": "b"}}}"#);

fn listen(answers: &[Answer], authority: &Authority) -> Receiver {
    Receiver::listen("127.0.0.1:0".parse().unwrap(), answers, Some(authority))
}

/// A control plane all of whose files are there, in a cluster that gives this Node object. Its own API
/// server listens at a port.
fn cut_off(authority: &Authority, object: Answer, own_port: u16) -> (Machine, Receiver) {
    let machine = Machine::new();
    let ok = Answer::Status(200);
    let api = listen(&[ok, ok, object], authority);
    give_credentials(&machine);
    was_made(&machine);
    machine.plan(|plan| {
        joins(plan, authority, api.address);
        plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
        plan.machine.api_port = Some(own_port);
    });
    machine.program(
        "kubeadm",
        r#"[ "$1" = join ] || rm -r $ROOT/etc/kubernetes"#,
    );
    (machine, api)
}

#[test]
fn a_control_plane_that_has_joined_and_works_is_left_alone() {
    let authority = Authority::new();
    let own_api = listen(&[], &authority);
    let (machine, _api) = cut_off(&authority, LABELLED, own_api.address.port());
    machine.install();
    machine.lacks_only_its_api();
    assert!(machine.calls_of("kubeadm").is_empty());
}

#[test]
fn a_control_plane_that_was_cut_off_before_its_label_or_has_torn_files_joins_anew() {
    let scheduler = "/etc/kubernetes/manifests/kube-scheduler.yaml";
    for (object, contents) in [(REGISTERED, "whole"), (LABELLED, "")] {
        let (machine, _api) = cut_off(&Authority::new(), object, 1);
        machine.write(scheduler, contents);
        machine.resets_and_joins();
    }
}

#[test]
fn a_control_plane_has_its_delivered_static_pods_before_it_joins() {
    let machine = Machine::new();
    let authority = Authority::new();
    let api = listen(&[], &authority);
    machine.write("/etc/nkd/manifests/kube-vip.yaml", "a pod");
    machine.plan(|plan| joins(plan, &authority, api.address));
    machine.program(
        "kubeadm",
        "cmp $ROOT/etc/nkd/manifests/kube-vip.yaml $ROOT/etc/kubernetes/manifests/kube-vip.yaml",
    );
    machine.install();
    machine.lacks_only_its_api();
}

#[test]
fn a_ready_node_of_this_machine_itself_does_not_take_its_name() {
    let machine = Machine::new();
    let authority = Authority::new();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let object = serde_json::json!({"status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"bootID": boot.trim()},
    }});
    let object = Answer::Body(object.to_string().leak());
    let ok = Answer::Status(200);
    let api = listen(&[ok, ok, object], &authority);
    machine.write(paths::TOKEN, "abcdef.0123456789abcdef\n");
    machine.program("kubeadm", "echo on its way; exit 1");
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.runs_etcd = true;
    });
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Kubeadm), Cause::KubeadmFailed);
    assert_eq!((stage, cause), expected, "{message}");
    assert!(!machine.calls_of("kubeadm").is_empty());
}
