//! Whole computers, from the firmware on: their Ignition runs in the initramfs and gets the config from a carrier.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nkd_contract::{Event, Kind, Stage, paths};
use testbed::emulator::Emulator;
use testbed::events::is;
use testbed::scenario::Scenario;
use testbed::{Cache, Carrier, Cluster, Computer, DiskImage};

/// A boot takes 40 s, where nothing else uses the processors.
const PATIENCE: Duration = Duration::from_secs(400);
const NODE: &str = "cp1";
const STAGES: [Stage; 3] = [Stage::Clock, Stage::Host, Stage::Runtime];

struct Site {
    scenario: Scenario,
    cluster: Cluster,
    computer: Computer,
}

impl Site {
    /// A computer that is switched off, and its compiled config.
    fn new(carrier: Carrier) -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.file.use_computer(NODE);
        let cluster = scenario.compile().unwrap();
        let cache = Cache::open().unwrap();
        let image = DiskImage::build(&cache, &scenario.kubernetes, &scenario.programs).unwrap();
        let emulator = Emulator::new(&cache).unwrap();
        let computer = scenario
            .lab
            .computer(&emulator, &image, NODE, carrier)
            .unwrap();
        Self {
            scenario,
            cluster,
            computer,
        }
    }

    fn config(&self) -> PathBuf {
        self.cluster.ignition(NODE)
    }

    /// Has the receiver accept the node's callbacks.
    fn trust(&self) {
        self.scenario.trust(&self.cluster, NODE).unwrap();
    }

    /// Events in callbacks, after those that were `seen`.
    fn received(&self, seen: usize) -> Vec<Event> {
        self.scenario.callbacks.received().split_off(seen)
    }

    fn await_stage(&self, stage: Stage) {
        let done = || {
            self.received(0)
                .iter()
                .any(|event| is(event, Kind::StageDone, stage))
        };
        let what = format!("the stage {stage}");
        self.computer.wait_for(&what, PATIENCE, done).unwrap();
    }
}

/// Boots a new computer until the container runtime runs, and switches it off.
fn installs(site: &Site) {
    site.trust();
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs();
    site.computer.insert(&site.config()).unwrap();
    site.computer.power_on().unwrap();
    for stage in STAGES {
        site.await_stage(stage);
        println!("{stage} after {} s", elapsed());
    }
    site.computer.power_off().unwrap();
    println!("off after {} s", elapsed());
    // The events are on the disk as well.
    let log = site.computer.read(paths::EVENTS).unwrap();
    let events: Vec<Event> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for stage in STAGES {
        assert!(events.iter().any(|event| is(event, Kind::StageDone, stage)));
    }
    let arguments = site.computer.kernel_arguments().unwrap();
    assert!(!arguments.contains("ignition.firstboot"), "{arguments}");
}

#[test]
fn a_computer_gets_its_config_by_fw_cfg_and_its_second_boot_continues_without_ignition() {
    let site = Site::new(Carrier::FirmwareConfig);
    installs(&site);
    // Ignition would refuse this config, and stop the boot.
    site.computer.insert(&invalid_config(&site)).unwrap();
    let seen = site.received(0);
    let first_boot = &seen.last().unwrap().boot;
    let start = Instant::now();
    site.computer.power_on().unwrap();
    let continues = || {
        let mut events = site.received(seen.len()).into_iter();
        events.any(|event| event.boot != *first_boot)
    };
    site.computer
        .wait_for("an event of the second boot", PATIENCE, continues)
        .unwrap();
    println!("second boot: {} s", start.elapsed().as_secs());
}

#[test]
#[ignore = "long: another carrier of the same config"]
fn a_computer_gets_its_config_from_a_config_drive() {
    installs(&Site::new(Carrier::ConfigDrive));
}

#[test]
fn a_computer_with_an_invalid_config_reports_it_on_its_console_and_tries_again_at_the_next_boot() {
    let site = Site::new(Carrier::FirmwareConfig);
    stops(&site);
}

#[test]
#[ignore = "long: two boots"]
fn a_computer_that_had_an_invalid_config_is_installed_with_a_valid_one() {
    let site = Site::new(Carrier::FirmwareConfig);
    stops(&site);
    installs(&site);
}

/// Boots a new computer with an invalid config, and pulls its plug.
fn stops(site: &Site) {
    site.computer.insert(&invalid_config(site)).unwrap();
    site.computer.power_on().unwrap();
    // The agent's part of the initramfs.
    let report = "nkd: Ignition failed in the stage fetch-offline [ignition.config-version]";
    let reported = || site.computer.console().contains(report);
    site.computer
        .wait_for("the report", PATIENCE, reported)
        .unwrap();
    site.computer.pull_plug().unwrap();
    println!("{}", site.computer.console());
    // The next boot tries again.
    let arguments = site.computer.kernel_arguments().unwrap();
    assert!(arguments.contains("ignition.firstboot"), "{arguments}");
}

fn invalid_config(site: &Site) -> PathBuf {
    let path = site
        .scenario
        .lab
        .scratch("invalid")
        .unwrap()
        .join("invalid.ign");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(&path, text.replacen("3.3.0", "9.9.9", 1)).unwrap();
    path
}
