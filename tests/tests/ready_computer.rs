//! A whole computer becomes a Ready node, from the firmware on, and is one again after it was switched off.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use nkd_contract::{Event, Kind};
use serde_json::json;
use testbed::denials::Denials;
use testbed::emulator::Emulator;
use testbed::scenario::Scenario;
use testbed::stick::Stick;
use testbed::{Cache, Carrier, Cluster, Computer, DiskImage};

/// QEMU translates every instruction: Kubernetes takes minutes until it answers.
const PATIENCE: Duration = Duration::from_secs(1500);
const NODE: &str = "cp1";
const LABEL: &str = "NKD-IMAGES";

struct Site {
    computer: Computer,
    cluster: Cluster,
    _stick: Stick,
    scenario: Scenario,
}

impl Site {
    /// A computer that is switched off, with its config and a stick with the images. Its disk is of the definition
    /// in `mkosi`, with a profile if there is one.
    fn new(profile: Option<&str>) -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.file.use_computer(NODE);
        let bundle = scenario
            .bundle("cp.tar", &["--role", "control-plane"])
            .unwrap();
        scenario.file.set_images(json!({
            "bundles": ["cp.tar"],
            "sources": [{ "disk": LABEL }],
        }));
        let cluster = scenario.compile().unwrap();
        let cache = Cache::open().unwrap();
        let Scenario {
            kubernetes,
            programs,
            ..
        } = &scenario;
        let image = DiskImage::with_profile(profile, &cache, kubernetes, programs).unwrap();
        let emulator = Emulator::new(&cache).unwrap();
        let computer = scenario
            .lab
            .computer(&emulator, &image, NODE, Carrier::FirmwareConfig)
            .unwrap();
        let stick = scenario.lab.stick(LABEL, &[&bundle]).unwrap();
        computer.attach(&stick);
        computer.insert(&cluster.ignition(NODE)).unwrap();
        scenario.trust(&cluster, NODE).unwrap();
        Self {
            computer,
            cluster,
            _stick: stick,
            scenario,
        }
    }

    /// Switches the computer on, and waits until the node is Ready. Prints the events with their seconds.
    fn becomes_ready(&self) {
        let seen = self.scenario.callbacks.received().len();
        let mut printed = seen;
        let start = Instant::now();
        self.computer.power_on().unwrap();
        let ready = || {
            let events = self.scenario.callbacks.received();
            for event in &events[printed..] {
                print(event, start.elapsed());
            }
            printed = events.len();
            events[seen..].iter().any(|event| event.kind == Kind::Ready)
        };
        self.computer
            .wait_for("the node to be Ready", PATIENCE, ready)
            .unwrap();
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let Scenario {
            lab, kubernetes, ..
        } = &self.scenario;
        self.cluster.kubectl(lab, kubernetes, words).unwrap()
    }
}

fn print(event: &Event, elapsed: Duration) {
    let stage = event.stage.as_ref().map(ToString::to_string);
    println!(
        "{} s: {} {} {}",
        elapsed.as_secs(),
        event.kind,
        stage.unwrap_or_default(),
        event.message
    );
}

#[test]
#[ignore = "long: Kubernetes starts twice on an emulated computer"]
fn a_computer_becomes_ready_from_a_stick_and_is_ready_again_after_it_was_switched_off() {
    let site = Site::new(None);
    site.becomes_ready();
    println!("{}", site.kubectl(&["get", "nodes", "--output=wide"]));
    site.computer.power_off().unwrap();
    site.becomes_ready();
    println!("{}", site.kubectl(&["get", "pods", "--all-namespaces"]));
}

#[test]
#[ignore = "long: Kubernetes starts on an emulated computer"]
fn a_computer_in_enforcing_mode_becomes_ready_without_a_denial_that_nkd_causes() {
    let site = Site::new(Some("selinux"));
    if std::env::var_os("NKD_TESTBED_PERMISSIVE").is_some() {
        site.computer.add_kernel_arguments("enforcing=0").unwrap();
    }
    site.becomes_ready();
    site.computer.power_off().unwrap();
    println!("{}", site.computer.journal(&["--output=short-monotonic"]).unwrap());
    println!("==== mislabelled\n{}", site.computer.find_mislabelled().unwrap());
    let denials = Denials::in_journal(&site.computer.journal(&["--output=cat"]).unwrap());
    println!("==== denials\n{denials}");
}
