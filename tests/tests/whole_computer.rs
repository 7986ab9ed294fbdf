//! Whole computers, from the firmware on: their Ignition runs in the initramfs and gets the config from a carrier.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use nkd_contract::{Event, Kind, paths};
use serde_json::{Value, json};
use testbed::computer::outcome::{Row, reports};
use testbed::events::is;
use testbed::scenario::{BOOT, Scenario};
use testbed::{Carrier, Cluster, Computer};

const NODE: &str = "cp1";

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
        Self {
            computer: scenario.computer(NODE, carrier).unwrap(),
            cluster,
            scenario,
        }
    }

    fn config(&self) -> PathBuf {
        self.cluster.ignition(NODE)
    }

    /// Has the receiver accept the node's callbacks.
    fn trust(&self) {
        self.scenario.trust(&self.cluster, NODE).unwrap();
    }
}

/// Boots a new computer until the container runtime runs, and switches it off.
fn installs(site: &Site) {
    site.trust();
    site.computer.insert(&site.config()).unwrap();
    site.computer.power_on().unwrap();
    site.scenario.await_first_stages(&site.computer).unwrap();
    site.computer.power_off().unwrap();
    // The events are on the disk as well.
    let log = site.computer.read(paths::EVENTS).unwrap();
    let events: Vec<Event> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for stage in Scenario::FIRST_STAGES {
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
    site.scenario.await_second_boot(&site.computer).unwrap();
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

#[test]
fn a_computer_whose_files_cannot_be_written_names_the_cause() {
    let link = json!({ "path": "/etc/a", "target": "/a/timeout", "hard": true });
    names_the_cause("a hard link", "files", &json!({ "links": [link] }));
}

#[test]
#[ignore = "long: systemd waits for a disk"]
fn a_computer_without_the_disk_of_its_config_names_the_cause() {
    let disk = json!({ "device": "/dev/disk/by-id/none", "wipeTable": true });
    names_the_cause("a missing disk", "disks", &json!({ "disks": [disk] }));
}

#[test]
#[ignore = "long: a computer for another failure"]
fn a_computer_whose_platform_ignition_does_not_support_names_the_kernel_argument() {
    let site = Site::new(Carrier::FirmwareConfig);
    site.computer.insert(&site.config()).unwrap();
    let argument = "ignition.platform.id=unknown";
    site.computer.add_kernel_arguments(argument).unwrap();
    site.computer.power_on().unwrap();
    let report = || reports(&site.computer.console()).pop();
    let reported = || report().is_some();
    site.computer
        .wait_for("the report", BOOT, reported)
        .unwrap();
    let report = report().unwrap();
    assert_eq!(report.cause, "other");
    assert!(report.message.contains("ignition.platform.id"));
    println!("{report:?}");
}

/// Boots a new computer with a config that is as long as that of a node, and asks for what Ignition cannot do.
fn names_the_cause(problem: &'static str, cause: &'static str, storage: &Value) {
    let site = Site::new(Carrier::FirmwareConfig);
    let text = fs::read_to_string(site.config()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, values) in storage.as_object().unwrap() {
        config["storage"][key] = values.clone();
    }
    let path = site.scenario.lab.scratch("failing").unwrap();
    let path = path.join("failing.ign");
    fs::write(&path, config.to_string()).unwrap();
    site.computer.insert(&path).unwrap();
    let carrier = "fw_cfg";
    let row = Row {
        carrier,
        problem,
        cause,
    };
    println!("{}", row.observe(&site.computer, BOOT).unwrap());
}

/// Boots a new computer with an invalid config, and pulls its plug.
fn stops(site: &Site) {
    site.computer.insert(&invalid_config(site)).unwrap();
    site.computer.power_on().unwrap();
    // The agent's part of the initramfs.
    let report = "nkd: Ignition failed in the stage fetch-offline [ignition.config-version]";
    let reported = || site.computer.console().contains(report);
    site.computer
        .wait_for("the report", BOOT, reported)
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
