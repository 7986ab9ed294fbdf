//! Whole computers become Ready nodes, from the firmware on: with images from a stick, again after they were
//! switched off, and with `SELinux` in enforcing mode.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nkd_contract::{Event, Kind};
use serde_json::json;
use testbed::denials::{Denial, Denials};
use testbed::emulator::Emulator;
use testbed::scenario::Scenario;
use testbed::stick::Stick;
use testbed::{Cache, Carrier, Cluster, Computer, DiskImage};

/// QEMU translates every instruction: Kubernetes takes minutes until it answers.
const PATIENCE: Duration = Duration::from_secs(1500);
const NODE: &str = "cp1";
const LABEL: &str = "NKD-IMAGES";
/// The profile of `mkosi` whose policy has types for containers.
const CONTAINERS: &str = "selinux-containers";
/// What the node prints before the label of a process.
const PRINTED: &str = "nkd-testbed-label: ";

struct Site {
    computer: Computer,
    cluster: Cluster,
    _stick: Stick,
    scenario: Scenario,
}

impl Site {
    /// A computer that is switched off, with its config and a stick with the images. Its disk is of the definition
    /// in `mkosi`, with some of its profiles.
    fn new(profiles: &[&str]) -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.file.use_computer(NODE);
        if profiles.contains(&CONTAINERS) {
            scenario.file.separate_containers();
        }
        print_labels(&mut scenario);
        let options = ["--role", "control-plane"];
        let bundle = scenario.bundle("cp.tar", &options).unwrap();
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
        let image = DiskImage::with_profiles(profiles, &cache, kubernetes, programs).unwrap();
        let emulator = Emulator::new(&cache).unwrap();
        let carrier = Carrier::FirmwareConfig;
        let computer = scenario.lab.computer(&emulator, &image, NODE, carrier);
        let mut computer = computer.unwrap();
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

    /// Switches a new computer on, and waits until the node is Ready. Prints the events with their seconds.
    fn becomes_ready(&self) {
        let events = || self.scenario.callbacks.received_from(NODE);
        let mut printed = events().len();
        let start = Instant::now();
        self.computer.power_on().unwrap();
        let ready = || {
            let mut is_ready = false;
            for event in events().iter().skip(printed) {
                print(event, start.elapsed());
                is_ready |= event.kind == Kind::Ready;
                printed += 1;
            }
            is_ready
        };
        self.computer
            .wait_for("the node to be Ready", PATIENCE, ready)
            .unwrap();
    }

    /// Switches an installed computer off and on, and waits until its node is Ready in the new boot. The agent has
    /// completed its work, and reports nothing.
    fn is_ready_again(&self) {
        let mut before = None;
        let answers = || {
            before = self.ready_boot();
            before.is_some()
        };
        self.computer
            .wait_for("the API", PATIENCE, answers)
            .unwrap();
        let start = Instant::now();
        self.computer.power_off().unwrap();
        println!("off after {} s", start.elapsed().as_secs());
        let start = Instant::now();
        self.computer.power_on().unwrap();
        // The API first has the state of the boot before.
        let ready = || {
            let boot = self.ready_boot();
            boot.is_some() && boot != before
        };
        self.computer
            .wait_for("the node to be Ready again", PATIENCE, ready)
            .unwrap();
        println!("Ready again after {} s", start.elapsed().as_secs());
        println!("{}", self.kubectl(&["get", "pods", "--all-namespaces"]));
    }

    fn ready_boot(&self) -> Option<String> {
        let Scenario {
            lab, kubernetes, ..
        } = &self.scenario;
        self.cluster.ready_boot(lab, kubernetes, NODE)
    }

    /// The labels of processes, each with the name of the program.
    fn processes(&self) -> BTreeSet<String> {
        let console = self.computer.console();
        let lines = console.lines().filter_map(|line| line.split_once(PRINTED));
        lines.map(|(_, line)| line.trim_end().to_owned()).collect()
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let Scenario {
            lab, kubernetes, ..
        } = &self.scenario;
        self.cluster.kubectl(lab, kubernetes, words).unwrap()
    }

    /// Fails if the policy was not enforced, if it has denied something that is not in [`KNOWN`], or if a file has no
    /// label. Prints labels that differ from those that the policy defines for paths.
    fn nothing_was_denied(&self) {
        let journal = self.computer.journal(&["--output=cat"]).unwrap();
        assert!(journal.contains("enforcing=1 old_enforcing=0"), "{journal}");
        let mut denials = Denials::in_journal(&journal);
        for known in KNOWN {
            let taken = denials.take(|denial| known.is(denial));
            println!("known, because {}:\n{taken}", known.reason);
        }
        let mislabelled = self.computer.find_mislabelled().unwrap();
        println!("processes: {:#?}", self.processes());
        println!("labels that differ from the policy:\n{mislabelled}");
        assert!(denials.is_empty(), "denials:\n{denials}");
        // Files that no program has labelled.
        let unlabelled = mislabelled.lines().filter(|line| line.contains("(null)"));
        assert_eq!(unlabelled.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

/// Adds a unit to the node that prints the labels of all processes on the console.
fn print_labels(scenario: &mut Scenario) {
    // A login prompt hangs up whoever has the terminal open.
    let print =
        format!("ps -N --pid 2 --ppid 2 -o label,comm | sed \"s/^/{PRINTED}/\" >/dev/ttyS0");
    let unit = format!(
        "[Service]\nExecStart=/bin/sh -c 'while sleep 20; do {print}; done'\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    let name = "nkd-testbed-labels.service";
    let ignition = json!({
        "ignition": { "version": "3.3.0" },
        "systemd": { "units": [{ "name": name, "enabled": true, "contents": unit }] },
    });
    let file = "print-labels.ign";
    scenario.file.add(file, &ignition.to_string()).unwrap();
    let node = &mut scenario.file.document["spec"]["nodes"][0];
    let files = node["os"]["ignition"].as_array_mut().unwrap();
    files.push(json!(file));
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

/// A denial that has nothing to do with nkd.
struct Known {
    source: &'static str,
    target: &'static str,
    class: &'static str,
    reason: &'static str,
}

impl Known {
    fn is(&self, denial: &Denial) -> bool {
        (self.source, self.target, self.class) == (&*denial.source, &*denial.target, &*denial.class)
    }
}

const fn known(
    source: &'static str,
    target: &'static str,
    class: &'static str,
    reason: &'static str,
) -> Known {
    Known {
        source,
        target,
        class,
        reason,
    }
}

/// What Debian 12's policy denies to Debian's own programs, without an effect on the node.
const KNOWN: &[Known] = &[
    known(
        "getty_t",
        "getty_t",
        "capability2",
        "agetty of util-linux 2.38 asks for CAP_CHECKPOINT_RESTORE, which is newer than the policy",
    ),
    known(
        "udev_t",
        "udev_t",
        "process",
        "systemd-udevd raises its limit of open files, and works with the default",
    ),
    known(
        "udev_t",
        "sysctl_fs_t",
        "dir",
        "systemd-udevd reads the kernel's limit of open files for the same purpose",
    ),
    known(
        "systemd_sysctl_t",
        "tmpfs_t",
        "dir",
        "systemd-sysctl looks for credentials, and there are none",
    ),
    known(
        "systemd_tmpfiles_t",
        "user_home_dir_t",
        "dir",
        "systemd-tmpfiles labels /root, which has the label of the policy's file contexts",
    ),
    known(
        "systemd_tmpfiles_t",
        "etc_t",
        "lnk_file",
        "systemd-tmpfiles labels the links /etc/resolv.conf and /etc/mtab, which have their label",
    ),
];

#[test]
#[ignore = "long: Kubernetes starts twice on an emulated computer"]
fn a_computer_becomes_ready_from_a_stick_and_is_ready_again_after_it_was_switched_off() {
    let site = Site::new(&[]);
    site.becomes_ready();
    site.is_ready_again();
}

#[test]
#[ignore = "long: Kubernetes starts on an emulated computer"]
fn a_computer_in_enforcing_mode_becomes_ready_without_a_denial_that_nkd_causes() {
    let site = Site::new(&["selinux"]);
    site.becomes_ready();
    site.computer.power_off().unwrap();
    // The image's own unit may write to the boot partition.
    let arguments = site.computer.kernel_arguments().unwrap();
    assert!(!arguments.contains("ignition.firstboot"), "{arguments}");
    site.nothing_was_denied();
}

#[test]
#[ignore = "long: Kubernetes starts on an emulated computer"]
fn only_static_pods_of_a_computer_that_separates_containers_reach_the_host() {
    let site = Site::new(&["selinux", CONTAINERS]);
    site.becomes_ready();
    let runs = || {
        site.processes()
            .iter()
            .any(|line| line.ends_with(" coredns"))
    };
    site.computer.wait_for("CoreDNS", PATIENCE, runs).unwrap();
    let processes = site.processes();
    site.computer.power_off().unwrap();
    site.nothing_was_denied();
    let run_as = |program: &str, kind: &str| {
        let kind = format!(":{kind}:s0");
        let mut lines = processes.iter().filter(|line| line.ends_with(program));
        lines.any(|line| line.contains(&kind))
    };
    for program in [
        "kube-apiserver",
        "kube-controller",
        "kube-scheduler",
        "etcd",
    ] {
        assert!(run_as(program, "spc_t"), "{program}: {processes:#?}");
    }
    assert!(run_as("coredns", "container_t"), "{processes:#?}");
}
