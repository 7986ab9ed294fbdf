//! The whole way once: a cluster file, `nkd compile`, Ignition, first boot, Ready, told.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nkd_contract::{Event, Kind, Stage, paths};
use serde_json::json;
use testbed::Machine;
use testbed::cluster::Cluster;
use testbed::scenario::{Scenario, property};
use testbed::snapshot::Snapshot;
use testbed::usage::{Process, REPORTER, WORKER};

const PATIENCE: Duration = Duration::from_secs(300);

/// The worker's peak memory, in KiB, that a small machine can spare.
const WORKER_MEMORY: u64 = 16 * 1024;

#[test]
fn a_cluster_file_becomes_ready_nodes_that_say_so() {
    let mut scenario = Scenario::new().unwrap();
    add_manifests(&mut scenario);
    let cluster = scenario.compile().unwrap();
    let machines: Vec<_> = ["cp1", "w1"]
        .map(|node| scenario.machine(&cluster, node).unwrap())
        .into();
    for machine in &machines {
        machine.boot().unwrap();
    }
    let mut peak = 0;
    for machine in &machines {
        machine
            .wait_for("the node to be Ready", PATIENCE, || {
                let worker = machine.process(WORKER);
                let used = worker.and_then(Process::usage);
                peak = peak.max(used.map_or(0, |usage| usage.memory));
                Ok(property(machine, "State")? == r#"s "ready""#)
            })
            .unwrap();
    }
    println!("the worker's peak memory was {peak} KiB");
    assert!(peak > 0 && peak <= WORKER_MEMORY);

    let [control_plane, worker] = &machines[..] else {
        unreachable!("two nodes");
    };
    the_administrator_sees_both_ready(&scenario, &cluster);
    the_manifests_are_applied(&scenario, &cluster, control_plane);
    dns_needs_no_name_server(&scenario, &cluster);
    the_clock_is_looked_after(control_plane);
    tokens_that_a_set_clock_has_expired_come_back(&scenario, &cluster, control_plane);
    for machine in &machines {
        the_bus_knows_the_node(machine);
        the_journal_has_fields_and_explanations(machine);
        others_can_hook_on(machine);
        the_callbacks_tell_the_whole_story(&scenario, machine);
        no_secret_is_left_in_the_open(machine);
    }
    assert!(scenario.callbacks.refused().is_empty());
    assert!(control_plane.read("/etc/nkd/pki/ca.key").is_ok());
    assert!(worker.read("/etc/nkd/pki/ca.key").is_err());
    a_power_cut_changes_nothing(worker);
    the_agent_writes_nothing_in_the_second_boot(&scenario, control_plane);
}

/// What add-ons are like: a definition too large for the annotation of `kubectl apply`, as a generator
/// of Kubernetes' own writes it, with an object of the new kind in the same file; and a Service that
/// leaves out the protocol, as most do.
fn add_manifests(scenario: &mut Scenario) {
    let description = "An operator's options. ".repeat(15_000);
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "larges.example.org", "creationTimestamp": null},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Large", "plural": "larges"},
            "scope": "Cluster",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "description": description}},
            }],
        },
        "status": {
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": [],
            "storedVersions": [],
        },
    });
    let object = json!({
        "apiVersion": "example.org/v1",
        "kind": "Large",
        "metadata": {"name": "one"},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "short"},
        "spec": {"selector": {"app": "short"}, "ports": [{"port": 80}]},
    });
    // kubectl 1.20 panics on large JSON documents in one file, and reads them as YAML.
    let large = format!("---\n{definition}\n---\n{object}\n");
    scenario.file.add("large.yaml", &large).unwrap();
    let service = service.to_string();
    scenario.file.add("service.yaml", &service).unwrap();
    scenario.file.document["spec"]["network"]["manifests"] = json!(["large.yaml", "service.yaml"]);
}

fn the_manifests_are_applied(scenario: &Scenario, cluster: &Cluster, control_plane: &Machine) {
    let journal = control_plane.journal(&["--output=cat"]).unwrap();
    let refused = "metadata.annotations: Too long: must have at most 262144 bytes";
    assert!(journal.contains(refused), "the manifest is not too large");
    let named = ["get", "larges/one", "services/short", "--output=name"];
    let found = cluster
        .kubectl(&scenario.lab, &scenario.kubernetes, &named)
        .unwrap();
    assert_eq!(found, "large.example.org/one\nservice/short\n");
}

/// `CoreDNS` is a stand-in here. The real one needs a server that it can forward to, and its node has none.
fn dns_needs_no_name_server(scenario: &Scenario, cluster: &Cluster) {
    let corefile = ["configmap", "coredns", "--output=jsonpath={.data.Corefile}"];
    let wanted = ["--namespace=kube-system", "get"]
        .into_iter()
        .chain(corefile);
    let wanted: Vec<_> = wanted.collect();
    let corefile = cluster
        .kubectl(&scenario.lab, &scenario.kubernetes, &wanted)
        .unwrap();
    let forward = "    forward . /etc/resolv.conf 127.0.0.1:9 {\n       policy sequential\n       \
                   max_concurrent 1000\n    }\n";
    assert!(corefile.contains(forward), "{corefile}");
}

/// Machines of the testbed share the host's clock, so here it is never set. Only the units can be checked:
/// that they are up, and come before what needs the clock.
fn the_clock_is_looked_after(machine: &Machine) {
    let show = |unit: &str, property: &str| {
        let property = format!("--property={property}");
        let shown = machine.check(["systemctl", "show", "--value", &property, unit]);
        shown.unwrap().trim().to_owned()
    };
    assert_eq!(show("nkd-clock.service", "Result"), "success");
    assert_eq!(show("nkd-tokens.timer", "ActiveState"), "active");
    assert_eq!(show("nkd-tokens.timer", "OnClockChange"), "yes");
    let begun = |unit: &str| -> u64 {
        let begun = show(unit, "ExecMainStartTimestampMonotonic");
        begun.parse().unwrap()
    };
    let clock = begun("nkd-clock.service");
    assert!(clock > 0 && clock < begun("containerd.service"));
    assert!(clock < begun("kubelet.service"));
}

/// The tokens are deleted, as Kubernetes deletes those that have expired, and the timer's unit is started, as
/// it is when the clock is set.
fn tokens_that_a_set_clock_has_expired_come_back(
    scenario: &Scenario,
    cluster: &Cluster,
    machine: &Machine,
) {
    let tokens = |verb: &str| {
        let wanted = [
            "--namespace=kube-system",
            verb,
            "secrets",
            "--field-selector=type=bootstrap.kubernetes.io/token",
            "--output=name",
        ];
        cluster.kubectl(&scenario.lab, &scenario.kubernetes, &wanted)
    };
    let made = tokens("get").unwrap();
    assert!(made.starts_with("secret/bootstrap-token-"), "{made}");
    tokens("delete").unwrap();
    let mark = "echo 4000000000 > /run/nkd/tokens-made-too-early";
    machine.check(["sh", "-c", mark]).unwrap();
    machine
        .check(["systemctl", "start", "nkd-tokens.service"])
        .unwrap();
    let come_back = machine.wait_for("the tokens", Duration::from_secs(60), || {
        Ok(tokens("get")? == made)
    });
    let journal = machine.journal(&["--unit=nkd-tokens"]).unwrap();
    let there_are = tokens("get");
    assert!(come_back.is_ok(), "{there_are:?}, not {made:?}: {journal}");
}

fn the_administrator_sees_both_ready(scenario: &Scenario, cluster: &Cluster) {
    let wanted = ["get", "nodes", "--no-headers"];
    let nodes = cluster
        .kubectl(&scenario.lab, &scenario.kubernetes, &wanted)
        .unwrap();
    let ready = nodes
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("Ready"));
    assert_eq!(ready.count(), 2, "{nodes}");
}

fn the_bus_knows_the_node(machine: &Machine) {
    assert_eq!(
        property(machine, "Name").unwrap(),
        format!("s {:?}", machine.name())
    );
    assert_eq!(property(machine, "Cluster").unwrap(), r#"s "demo""#);
    assert_eq!(property(machine, "Cause").unwrap(), r#"s """#);
}

fn the_journal_has_fields_and_explanations(machine: &Machine) {
    let node = format!("NKD_NODE={}", machine.name());
    let kubeadm = machine
        .journal(&["--output=cat", "NKD_STAGE=kubeadm", "NKD_ATTEMPT=1", &node])
        .unwrap();
    assert!(kubeadm.contains("kubeadm: "), "{kubeadm}");
    let ready = format!("MESSAGE_ID={}", Kind::Ready.message_id());
    let explained = machine.journal(&["--catalog", &ready]).unwrap();
    assert!(
        explained.contains(&format!("The node {} is Ready", machine.name())),
        "{explained}"
    );
}

fn others_can_hook_on(machine: &Machine) {
    machine
        .check(["systemctl", "is-active", "nkd-node-ready.target"])
        .unwrap();
    machine.check(["test", "-e", paths::CAPI_SENTINEL]).unwrap();
}

fn the_callbacks_tell_the_whole_story(scenario: &Scenario, machine: &Machine) {
    let told = || scenario.callbacks.received_from(machine.name());
    machine
        .wait_for("the last callback", Duration::from_secs(30), || {
            Ok(told().last().is_some_and(|event| event.kind == Kind::Ready))
        })
        .unwrap();
    let told = told();
    let log = machine.read(paths::EVENTS).unwrap();
    let written: Vec<Event> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told, written);
    let done: Vec<_> = told
        .iter()
        .filter(|event| event.kind == Kind::StageDone)
        .filter_map(|event| event.stage.clone())
        .collect();
    assert_eq!(done, Stage::ALL);
}

/// Neither token nor key is in what anybody may read.
fn no_secret_is_left_in_the_open(machine: &Machine) {
    // The init node makes the tokens: they are in its kubeadm.yaml, and it has none to join with.
    let token = machine.read(paths::TOKEN).unwrap_or_else(|_| {
        let documents = machine.read(paths::KUBEADM).unwrap();
        let mut lines = documents.lines();
        let token = lines.find_map(|line| {
            let line = line.trim().trim_start_matches("- ");
            line.strip_prefix("token: ")
        });
        token.unwrap().trim_matches('"').to_owned()
    });
    let target: nkd_contract::ReportTarget =
        serde_json::from_str(&machine.read(paths::REPORT).unwrap()).unwrap();
    let open = [
        machine.journal(&["--output=export"]).unwrap(),
        machine.read(paths::EVENTS).unwrap(),
        fs::read_to_string(machine.console_log()).unwrap_or_default(),
    ];
    for text in open {
        assert!(!text.contains(token.trim()) && !text.contains(&target.signing_key));
        assert!(!text.contains("PRIVATE KEY-----"));
    }
}

fn a_power_cut_changes_nothing(machine: &Machine) {
    let before = machine.read(paths::EVENTS).unwrap();
    machine.cut_power().unwrap();
    machine.boot().unwrap();
    machine
        .wait_for("the reporter", PATIENCE, || {
            Ok(property(machine, "State")? == r#"s "ready""#)
        })
        .unwrap();
    machine
        .wait_for("kubelet", PATIENCE, || {
            Ok(machine
                .run(["systemctl", "is-active", "kubelet"])?
                .status
                .success())
        })
        .unwrap();
    assert_eq!(machine.read(paths::EVENTS).unwrap(), before);
}

/// Where the agent writes during the installation. In these directories, no other program writes at boot either.
const WRITABLE: &[&str] = &["/etc", "/var/lib/nkd", "/var/lib/nkd-reporter"];

fn the_agent_writes_nothing_in_the_second_boot(scenario: &Scenario, machine: &Machine) {
    let repeated = scenario.callbacks.repeated();
    let received = scenario.callbacks.received();
    machine.power_off().unwrap();
    let before = Snapshot::take(&machine.root(), WRITABLE).unwrap();
    machine.boot().unwrap();
    machine
        .wait_for("the end of the boot", PATIENCE, || {
            let jobs = machine.check(["systemctl", "list-jobs", "--no-legend"])?;
            Ok(jobs.trim().is_empty() && property(machine, "State")? == r#"s "ready""#)
        })
        .unwrap();
    // The reporter is idle once it has read the whole event log.
    let mut used = None;
    machine
        .wait_for("the reporter to be idle", PATIENCE, || {
            let reporter = machine.process(REPORTER).and_then(Process::usage);
            let now = reporter.map(|usage| usage.processor);
            Ok(std::mem::replace(&mut used, now) == now && now.is_some())
        })
        .unwrap();
    for (unit, state) in [
        ("nkd-agent.service", "inactive"),
        ("nkd-clock.service", "active"),
        ("nkd-node-ready.target", "active"),
    ] {
        let is_active = machine.run(["systemctl", "is-active", unit]).unwrap();
        assert_eq!(String::from_utf8_lossy(&is_active.stdout).trim(), state);
    }
    let after = Snapshot::take(&machine.root(), WRITABLE).unwrap();
    assert_eq!(before.changes(&after), Vec::<PathBuf>::new());
    assert_eq!(scenario.callbacks.repeated(), repeated);
    assert_eq!(scenario.callbacks.received(), received);
}
