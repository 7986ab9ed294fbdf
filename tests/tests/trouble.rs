//! Nodes that can't come up say why: in the journal, on D-Bus and by callback, and go on answering.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nkd_contract::{Cause, Class, Event, Kind, Stage, paths};
use testbed::Machine;
use testbed::impostor::{Guise, Impostor};
use testbed::scenario::{Scenario, property, wait_until_ready};

/// A permanent fault needs no longer than a boot, and another node's when it depends on that.
const PATIENCE: Duration = Duration::from_secs(240);

/// Boots the control plane after something was done to its disk, waits for it to stop, and
/// checks that all who listen hear the same cause.
fn stops_because(scenario: &Scenario, machine: &Machine, node: &str, cause: Cause) -> Event {
    machine.boot().unwrap();
    has_stopped_because(scenario, machine, node, cause)
}

fn has_stopped_because(scenario: &Scenario, machine: &Machine, node: &str, cause: Cause) -> Event {
    let stopped = [r#"s "failed""#.to_owned(), format!("s {:?}", cause.code())];
    let state = || anyhow::Ok([property(machine, "State")?, property(machine, "Cause")?]);
    let what = format!("the installation to stop because of {cause}");
    machine
        .wait_for(&what, PATIENCE, || Ok(state()? == stopped))
        .unwrap();

    let failed = format!("MESSAGE_ID={}", Kind::Failed.message_id());
    let code = format!("NKD_CAUSE={cause}");
    let explained = machine.journal(&["--catalog", &failed, &code]).unwrap();
    println!(
        "{}\n{explained}",
        machine.check(["nkd-agent", "status"]).unwrap()
    );
    assert!(explained.contains(cause.meaning()), "{explained}");
    assert!(explained.contains(cause.remedy()), "{explained}");

    let told = || scenario.callbacks.received_from(node).pop();
    machine
        .wait_for("the callback", Duration::from_secs(30), || {
            let is_it =
                |event: Event| event.kind == Kind::Failed && event.cause == Some(cause.into());
            Ok(told().is_some_and(is_it))
        })
        .unwrap();
    let told = told().unwrap();

    // Where only a person can help it isn't started over and over; else it looks on. Somebody still answers.
    let state = [
        "systemctl",
        "show",
        "--property=ActiveState,ExecMainStatus",
        "nkd-agent",
    ];
    let state = machine.check(state).unwrap();
    let expected = match cause.class() {
        Class::Permanent => ["ExecMainStatus=4", "ActiveState=failed"],
        Class::Transient => ["ExecMainStatus=0", "ActiveState=active"],
    };
    assert!(expected.iter().all(|line| state.contains(line)), "{state}");
    machine
        .check(["systemctl", "is-active", "nkd-reporter"])
        .unwrap();
    told
}

fn control_plane(scenario: &Scenario) -> Machine {
    let cluster = scenario.compile().unwrap();
    scenario.machine(&cluster, "cp1").unwrap()
}

/// Seconds instead of minutes for a stage: enough for several attempts.
fn shorten(machine: &Machine, stage: Stage) {
    let mut plan: serde_json::Value =
        serde_json::from_str(&machine.read(paths::PLAN).unwrap()).unwrap();
    plan["budgets"][stage.name()] = 6.into();
    machine.write(paths::PLAN, &plan.to_string()).unwrap();
}

/// Without a plan a machine has no other name than its own.
fn trust_by_hostname(scenario: &Scenario, machine: &Machine) {
    let target = machine.read(paths::REPORT).unwrap();
    let target: nkd_contract::ReportTarget = serde_json::from_str(&target).unwrap();
    scenario.callbacks.trust("localhost", &target.signing_key);
}

#[test]
fn a_node_without_a_plan_says_so() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    trust_by_hostname(&scenario, &machine);
    machine.remove(paths::PLAN).unwrap();
    stops_because(&scenario, &machine, "localhost", Cause::PlanMissing);
}

#[test]
fn a_plan_of_a_newer_schema_is_refused_by_name() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    trust_by_hostname(&scenario, &machine);
    machine
        .write(paths::PLAN, r#"{"schema": 2, "moreThanWeKnow": true}"#)
        .unwrap();
    let event = stops_because(&scenario, &machine, "localhost", Cause::PlanSchema);
    assert!(event.message.contains("schema 2"), "{}", event.message);
}

#[test]
fn a_missing_kubeadm_is_named() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    machine.remove("/usr/bin/kubeadm").unwrap();
    let event = stops_because(&scenario, &machine, "cp1", Cause::HostProgram);
    assert!(event.message.contains("kubeadm"), "{}", event.message);
}

#[test]
fn a_token_the_cluster_does_not_know_is_told_apart_from_a_cluster_that_is_not_up() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let control_plane = scenario.machine(&cluster, "cp1").unwrap();
    let worker = scenario.machine(&cluster, "w1").unwrap();
    let other = "unknow.0123456789abcdef";
    worker.write(paths::TOKEN, other).unwrap();
    control_plane.boot().unwrap();
    let event = stops_because(&scenario, &worker, "w1", Cause::KubeadmToken);
    assert!(event.message.contains("Unauthorized"), "{}", event.message);
}

#[test]
#[ignore = "long: a cluster of its own"]
fn a_name_that_another_ready_node_has_is_refused_and_what_is_others_stays() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let control_plane = scenario.machine(&cluster, "cp1").unwrap();
    let worker = scenario.machine(&cluster, "w1").unwrap();
    // As after a machine got another one's name by mistake.
    for path in [paths::PLAN, paths::KUBEADM] {
        let taken = worker.read(path).unwrap().replace("w1", "cp1");
        worker.write(path, &taken).unwrap();
    }
    let mut plan: serde_json::Value =
        serde_json::from_str(&worker.read(paths::PLAN).unwrap()).unwrap();
    plan["budgets"]["kubeadm"] = 1.into();
    worker.write(paths::PLAN, &plan.to_string()).unwrap();
    // The worker has an etcd of somebody else's. After the first attempt it is reset.
    let foreign = "/var/lib/etcd/member/snap";
    fs::create_dir_all(worker.root().join(&foreign[1..])).unwrap();
    worker.write(&format!("{foreign}/db"), "precious").unwrap();
    control_plane.boot().unwrap();
    control_plane
        .wait_for("the control plane to be Ready", PATIENCE, || {
            Ok(property(&control_plane, "State")? == r#"s "ready""#)
        })
        .unwrap();
    let target = worker.read(paths::REPORT).unwrap();
    let target: nkd_contract::ReportTarget = serde_json::from_str(&target).unwrap();
    scenario.callbacks.trust("cp1", &target.signing_key);
    stops_because(&scenario, &worker, "cp1", Cause::KubeadmNameTaken);
    let journal = worker.journal(&["--unit=nkd-agent"]).unwrap();
    assert!(journal.contains("kubeadm: [reset]"), "{journal}");
    assert_eq!(worker.read(&format!("{foreign}/db")).unwrap(), "precious");
    let nodes = ["get", "nodes", "--no-headers"];
    let nodes = cluster
        .kubectl(&scenario.lab, &scenario.kubernetes, &nodes)
        .unwrap();
    assert!(
        nodes.contains(" Ready ") && nodes.lines().count() == 1,
        "{nodes}"
    );
}

#[test]
#[ignore = "long: imports all images"]
fn a_kubeadm_that_always_fails_is_named_within_its_budget() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    let script = "#!/bin/sh\n[ $1 = reset ] && exit 0\necho 'error: nothing works' >&2; exit 1\n";
    machine.remove("/usr/bin/kubeadm").unwrap();
    machine.write("/usr/bin/kubeadm", script).unwrap();
    let program = machine.root().join("usr/bin/kubeadm");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    shorten(&machine, Stage::Kubeadm);
    let event = stops_because(&scenario, &machine, "cp1", Cause::KubeadmFailed);
    assert!(event.attempt > 1, "{event:?}");
    assert!(event.message.contains("nothing works"), "{event:?}");
}

#[test]
#[ignore = "long: fills a disk"]
fn a_full_disk_is_named_and_does_not_keep_the_node_from_answering() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    machine.limit_containerd("150m").unwrap();
    shorten(&machine, Stage::Images);
    let event = stops_because(&scenario, &machine, "cp1", Cause::ImagesDisk);
    assert!(event.message.contains("no space left"), "{event:?}");
}

#[test]
fn a_dead_runtime_is_retried_and_then_named() {
    let scenario = Scenario::new().unwrap();
    let machine = control_plane(&scenario);
    machine
        .write("/etc/containerd/config.toml", "this is no configuration")
        .unwrap();
    shorten(&machine, Stage::Runtime);
    let event = stops_because(&scenario, &machine, "cp1", Cause::RuntimeStart);
    assert!(event.attempt > 1, "{event:?}");
}

#[test]
#[ignore = "long: waits for a name server that does not answer"]
fn a_name_server_that_does_not_answer_is_named_and_the_node_goes_on_by_itself_without_it() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.set_endpoint("api.example.test:6443");
    let machine = control_plane(&scenario);
    // Nobody has this address.
    machine
        .write("/etc/resolv.conf", "nameserver 10.200.0.254\n")
        .unwrap();
    shorten(&machine, Stage::Host);
    let event = stops_because(&scenario, &machine, "cp1", Cause::HostResolution);
    assert!(event.message.contains("api.example.test"), "{event:?}");

    let hosts = machine.read("/etc/hosts").unwrap();
    let hosts = format!("{hosts}\n10.200.0.11 api.example.test\n");
    machine.write("/etc/hosts", &hosts).unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
}

#[test]
fn a_worker_names_what_is_wrong_with_the_endpoint() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.set_endpoint(&Impostor::endpoint());
    let cluster = scenario.compile().unwrap();
    // Never started: its disk has the cluster's authority.
    let control_plane = scenario.machine(&cluster, "cp1").unwrap();
    let worker = scenario.machine(&cluster, "w1").unwrap();
    shorten(&worker, Stage::Gate);

    let event = stops_because(&scenario, &worker, "w1", Cause::GateUnreachable);
    assert!(event.message.contains("refused"), "{}", event.message);

    let pki = control_plane.root().join("etc/nkd/pki");
    for (guise, cause) in [
        (Guise::Silent, Cause::GateUnreachable),
        (Guise::OtherCluster, Cause::GateUntrusted),
        (Guise::NotReady(&pki), Cause::GateNotReady),
    ] {
        let _impostor = scenario.lab.impostor(guise).unwrap();
        let event = has_stopped_because(&scenario, &worker, "w1", cause);
        println!("{guise:?}: {}", event.message);
    }
}
