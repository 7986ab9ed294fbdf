//! A cluster whose API server answers nobody without credentials.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nkd_contract::{Cause, paths};
use serde_json::{Value, json};
use testbed::Machine;
use testbed::events::events;
use testbed::scenario::{Scenario, wait_until_ready};

const PATIENCE: Duration = Duration::from_secs(300);
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

#[test]
#[ignore = "long: a cluster whose API server is restarted"]
fn a_worker_joins_a_cluster_that_refuses_anonymous_requests_once_it_has_a_token_that_is_known() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let control_plane = scenario.machine(&cluster, "cp1").unwrap();
    let worker = scenario.machine(&cluster, "w1").unwrap();
    control_plane.boot().unwrap();
    wait_until_ready(&control_plane, PATIENCE).unwrap();
    refuse_anonymous_requests(&control_plane);

    let token = worker.read(paths::TOKEN).unwrap();
    worker
        .write(paths::TOKEN, "unknow.0123456789abcdef")
        .unwrap();
    worker.boot().unwrap();
    worker
        .wait_for("the node to wait for its token", PATIENCE, || {
            Ok(causes(&worker).contains(&Cause::GateToken))
        })
        .unwrap();
    println!("{}", worker.check(["nkd-agent", "status"]).unwrap());
    worker.write(paths::TOKEN, &token).unwrap();
    wait_until_ready(&worker, PATIENCE).unwrap();

    let causes = causes(&worker);
    let of_the_gate = |cause: &Cause| cause.code().starts_with("gate.");
    let others: Vec<_> = causes
        .iter()
        .filter(|cause| of_the_gate(cause) && **cause != Cause::GateToken)
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(anonymous_answer(&control_plane), "401");
}

/// What an administrator changes who wants no anonymous requests: the API server's argument, and the
/// probes that kubelet would send it without credentials.
fn refuse_anonymous_requests(control_plane: &Machine) {
    let text = control_plane.read(MANIFEST).unwrap();
    let mut pod: Value = serde_saphyr::from_str(&text).unwrap();
    let container = &mut pod["spec"]["containers"][0];
    let command = container["command"].as_array_mut().unwrap();
    command.push(json!("--anonymous-auth=false"));
    for probe in PROBES {
        let probe = container[probe].as_object_mut().unwrap();
        let request = probe.remove("httpGet").unwrap();
        let socket = json!({ "host": request["host"], "port": request["port"] });
        probe.insert("tcpSocket".into(), socket);
    }
    // JSON is YAML.
    control_plane.write(MANIFEST, &pod.to_string()).unwrap();
    control_plane
        .wait_for(
            "the API server to refuse anonymous requests",
            PATIENCE,
            || Ok(anonymous_answer(control_plane) == "401"),
        )
        .unwrap();
}

/// The status of the answer to a request without credentials.
fn anonymous_answer(control_plane: &Machine) -> String {
    let url = "https://10.200.0.11:6443/readyz";
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let curl = ["curl", "--silent", "--insecure", "--max-time", "3"];
    let words = curl.into_iter().chain(status).chain([url]);
    let output = control_plane.run(words).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The causes that a node has told of.
fn causes(machine: &Machine) -> Vec<Cause> {
    let events = events(machine).into_iter();
    events.filter_map(|event| event.cause?.known()).collect()
}
