//! Nodes that are cut off from everything but each other: a lab's network leads nowhere else. Their
//! images come with them, or from what the operator has beside them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nkd_contract::{Cause, Kind, Stage, paths};
use serde_json::json;
use testbed::Machine;
use testbed::containerd::has_what_the_plan_pins;
use testbed::events::{await_event, events, is};
use testbed::registry::{Login, Registry};
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::web::WebServer;

const PATIENCE: Duration = Duration::from_secs(300);
const LABEL: &str = "NKD-IMAGES";

/// What the journal says of the stage `images`.
fn said_of_images(machine: &Machine) -> String {
    machine
        .journal(&["--output=cat", "NKD_STAGE=images"])
        .unwrap()
}

#[test]
fn nodes_find_their_bundles_on_a_stick_in_the_image_or_on_a_server() {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.add_node("w2", "worker").unwrap();
    let first = scenario
        .bundle("cp.tar", &["--role", "control-plane"])
        .unwrap();
    let worker = scenario
        .bundle("worker.tar", &["--role", "worker"])
        .unwrap();
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
        .web_server(std::slice::from_ref(&worker))
        .unwrap();
    let [cp1, w1, w2] = ["cp1", "w1", "w2"].map(|node| scenario.machine(&cluster, node).unwrap());
    cp1.attach(&stick);
    w1.add(&worker, paths::BUNDLES).unwrap();
    for machine in [&cp1, &w1, &w2] {
        machine.boot().unwrap();
    }
    for machine in [&cp1, &w1, &w2] {
        wait_until_ready(machine, PATIENCE).unwrap();
        has_what_the_plan_pins(machine).unwrap();
        println!("{}", said_of_images(machine));
    }
    let requests = server.requests().unwrap();
    assert!(requests.contains("GET /worker.tar"), "{requests}");
    assert!(!requests.contains("cp.tar"), "{requests}");
}

/// A byte in the middle of a bundle is another one.
fn damaged(bundle: &Path, directory: &Path) -> PathBuf {
    let mut bytes = fs::read(bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = directory.join(bundle.file_name().unwrap());
    fs::write(&damaged, bytes).unwrap();
    damaged
}

/// Waits for an event with a cause, and returns what it says.
fn says(machine: &Machine, cause: Cause) -> String {
    let event = await_event(machine, 0, PATIENCE, |event| {
        event.cause == Some(cause.into())
    });
    event.unwrap().message
}

#[test]
fn a_damaged_stick_and_one_pulled_out_are_named_and_the_next_attempt_works() {
    let mut scenario = Scenario::new().unwrap();
    let whole = scenario
        .bundle("cp.tar", &["--role", "control-plane"])
        .unwrap();
    let directory = scenario.lab.scratch("damaged").unwrap();
    scenario.file.set_images(json!({
        "bundles": ["cp.tar"],
        "sources": [{ "disk": LABEL }],
    }));
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    let stick = scenario
        .lab
        .stick(LABEL, &[&damaged(&whole, &directory)])
        .unwrap();
    machine.attach(&stick);
    machine.boot().unwrap();
    let said = says(&machine, Cause::ImagesDigest);
    assert!(said.contains(LABEL), "{said}");
    let loaded = machine
        .check(["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"])
        .unwrap();
    let names = loaded.lines().filter(|name| said.contains(name));
    assert_eq!(names.count(), 0, "{said}\n{loaded}");

    let seen = events(&machine).len();
    stick.plug_in(&[&whole]).unwrap();
    // Other bytes don't get better by waiting: a person who has seen to it starts the agent again.
    machine
        .check(["systemctl", "start", "--no-block", "nkd-agent"])
        .unwrap();
    // The first bytes have come; how fast the others would come is the machine's affair.
    await_event(&machine, seen, PATIENCE, |event| {
        is(event, Kind::Progress, Stage::Images) && event.message.contains("loading cp.tar")
    })
    .unwrap();
    stick.pull_out().unwrap();
    let said = says(&machine, Cause::ImagesSource);
    assert!(said.contains(LABEL), "{said}");

    stick.plug_in(&[&whole]).unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
    has_what_the_plan_pins(&machine).unwrap();
    println!("{}", said_of_images(&machine));
}

#[test]
fn a_disk_that_fills_up_half_way_is_named_and_with_more_room_the_node_becomes_ready() {
    let mut scenario = Scenario::new().unwrap();
    let bundle = scenario.bundle_in_image().unwrap();
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    machine.add(&bundle, paths::BUNDLES).unwrap();
    machine.limit_containerd("150m").unwrap();
    machine.boot().unwrap();
    let said = says(&machine, Cause::ImagesDisk);
    assert!(said.contains("/var/lib/containerd"), "{said}");
    machine
        .check(["mount", "-o", "remount,size=3g", "/var/lib/containerd"])
        .unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
    has_what_the_plan_pins(&machine).unwrap();
    println!("{}", said_of_images(&machine));
}

#[test]
#[ignore = "long: a cluster of its own, with Docker"]
fn dockers_images_come_from_a_bundle_too() {
    let mut scenario = Scenario::new().unwrap();
    let bundle = scenario.bundle("images.tar", &[]).unwrap();
    scenario.file.set_runtime(json!({ "name": "docker" }));
    scenario.file.set_images(json!({
        "bundles": ["images.tar"],
        "sources": [{ "disk": LABEL }],
    }));
    let cluster = scenario.compile().unwrap();
    let stick = scenario.lab.stick(LABEL, &[&bundle]).unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    for machine in &machines {
        machine.attach(&stick);
        machine.boot().unwrap();
    }
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
        println!("{}", said_of_images(machine));
        let pods = machine.check(["docker", "ps", "--format", "{{.Image}} {{.Names}}"]);
        println!("{}", pods.unwrap());
    }
}

#[test]
fn a_registry_with_an_authority_and_a_user_of_its_own_gives_the_images() {
    let mut scenario = Scenario::new().unwrap();
    let registry = scenario.lab.registry(Login::Token).unwrap();
    let other = scenario.lab.registry(Login::Basic).unwrap();
    for archive in scenario.kubernetes.image_archives() {
        registry.push(&scenario.lab, archive).unwrap();
        if archive.to_string_lossy().contains("/pause") {
            other.push(&scenario.lab, archive).unwrap();
        }
    }
    let mirrors = scenario.mirror(&registry).unwrap();
    let mut by_name = scenario.access(&other).unwrap();
    by_name["host"] = json!(other.host());
    scenario.file.set_images(json!({}));
    scenario
        .file
        .set_runtime(json!({ "registries": [mirrors, by_name] }));
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    for machine in &machines {
        machine.boot().unwrap();
    }
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
        println!("{}", said_of_images(machine));
        let journal = machine.journal(&["--output=export"]).unwrap();
        assert!(!journal.contains(Registry::PASSWORD));
        // Under a name that the node has no image of.
        let pause = scenario.kubernetes.image("pause").unwrap();
        let (_, name) = pause.split_once('/').unwrap();
        let image = format!("{}/{name}", other.project());
        machine.check(["crictl", "pull", &image]).unwrap();
    }
}
