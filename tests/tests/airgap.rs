//! Nodes that are cut off from everything but each other: a lab's network leads nowhere else. Their
//! images come with them, or from what the operator has beside them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use nkd_contract::{ImageSource, Plan, paths};
use serde_json::json;
use testbed::Machine;
use testbed::scenario::{Scenario, property};
use testbed::web::WebServer;

const PATIENCE: Duration = Duration::from_secs(300);
const LABEL: &str = "NKD-IMAGES";

fn bundle(scenario: &Scenario, name: &str, options: &[&str]) -> PathBuf {
    let Scenario {
        file,
        programs,
        kubernetes,
        ..
    } = scenario;
    file.bundle(programs, kubernetes, name, options).unwrap()
}

fn becomes_ready(machine: &Machine) {
    machine
        .wait_for("the node to be Ready", PATIENCE, || {
            Ok(property(machine, "State")? == r#"s "ready""#)
        })
        .unwrap();
}

/// What the journal says of the stage `images`.
fn said_of_images(machine: &Machine) -> String {
    machine
        .journal(&["--output=cat", "NKD_STAGE=images"])
        .unwrap()
}

/// Every image has the digest that the plan pins, and is kept from the kubelet's garbage collector.
fn containerd_has_what_the_plan_pins(machine: &Machine) {
    let plan: Plan = serde_json::from_str(&machine.read(paths::PLAN).unwrap()).unwrap();
    assert!(matches!(plan.images.source, ImageSource::Bundles(_)));
    let listed = machine
        .check(["ctr", "--namespace", "k8s.io", "images", "list"])
        .unwrap();
    for image in &plan.images.required {
        let digest = image.digest.as_deref().unwrap();
        let mut rows = listed
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[0] == image.name).unwrap();
        assert_eq!(row[2], digest, "{listed}");
        let labels = row.last().unwrap();
        assert!(
            labels.contains("io.cri-containerd.pinned=pinned"),
            "{listed}"
        );
    }
}

#[test]
fn nodes_find_their_bundles_on_a_stick_in_the_image_or_on_a_server() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_node("w2", "worker").unwrap();
    let first = bundle(&scenario, "cp.tar", &["--role", "control-plane"]);
    let worker = bundle(&scenario, "worker.tar", &["--role", "worker"]);
    let nobody = format!("http://{}:9", testbed::Lab::GATEWAY);
    scenario.file.set_images(json!({
        "bundles": ["cp.tar", "worker.tar"],
        "sources": [
            { "disk": LABEL },
            { "directory": paths::BUNDLES },
            { "urls": [nobody, WebServer::url()] },
        ],
    }));
    let cluster = scenario.compile().unwrap();
    let stick = scenario.lab.stick(LABEL, &[&first]).unwrap();
    let server = scenario
        .lab
        .web_server(worker.parent().unwrap(), None)
        .unwrap();
    let [cp1, w1, w2] = ["cp1", "w1", "w2"].map(|node| scenario.machine(&cluster, node).unwrap());
    cp1.attach(&stick);
    let baked = w1.root().join(paths::BUNDLES.trim_start_matches('/'));
    std::fs::create_dir_all(&baked).unwrap();
    std::fs::copy(&worker, baked.join("worker.tar")).unwrap();
    for machine in [&cp1, &w1, &w2] {
        machine.boot().unwrap();
    }
    for machine in [&cp1, &w1, &w2] {
        becomes_ready(machine);
        containerd_has_what_the_plan_pins(machine);
        println!("{}", said_of_images(machine));
    }
    let requests = server.requests().unwrap();
    assert!(requests.contains("GET /worker.tar"), "{requests}");
    assert!(!requests.contains("cp.tar"), "{requests}");
}
