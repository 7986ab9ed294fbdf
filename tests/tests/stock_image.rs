//! Machines whose OS image has neither Kubernetes nor nkd-agent get both as system extensions.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nkd_contract::{Kind, paths};
use serde_json::{Value, json};
use testbed::extensions::Extension;
use testbed::scenario::{Scenario, property, wait_until_ready};
use testbed::web::WebServer;
use testbed::{Cache, Machine, OsImage};

const PATIENCE: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(30);
const LABEL: &str = "NKD-EXTENSIONS";

/// What the extensions bring.
const ABSENT: &[&str] = &[
    "/opt/cni",
    "/usr/bin/crictl",
    "/usr/bin/kubeadm",
    "/usr/bin/kubectl",
    "/usr/bin/kubelet",
    "/usr/bin/nkd-agent",
    "/usr/lib/cni",
    "/usr/lib/systemd/system/kubelet.service",
    "/usr/lib/systemd/system/nkd-agent.service",
    "/usr/libexec/cni",
];

#[test]
fn a_stock_image_becomes_a_ready_node_from_its_ignition_file_and_two_extensions() {
    let mut scenario = Scenario::new().unwrap();
    let cache = Cache::open().unwrap();
    scenario.image = OsImage::stock(&cache).unwrap();
    let directory = scenario.lab.scratch("extensions").unwrap();
    let agent = Extension::of_agent(&scenario.programs, &directory).unwrap();
    let kubernetes = Extension::of_kubernetes(&cache, &scenario.kubernetes, &directory).unwrap();
    let bundle = scenario.bundle("images.tar", &[]).unwrap();
    scenario.file.set_images(json!({
        "bundles": ["images.tar"],
        "sources": [{ "urls": [WebServer::url()] }],
    }));
    let spec = &mut scenario.file.document["spec"];
    let server = WebServer::url();
    spec["os"]["extensions"] = json!([agent.item("url", &server)]);
    let sources = [("disk", LABEL), ("url", &server)];
    for (node, (source, place)) in sources.into_iter().enumerate() {
        spec["nodes"][node]["os"]["extensions"] = json!([kubernetes.item(source, place)]);
    }
    let cluster = scenario.compile().unwrap();
    let files = [bundle, agent.file.clone(), kubernetes.file.clone()];
    let _server = scenario.lab.web_server(&files).unwrap();
    let stick = scenario.lab.stick(LABEL, &[&kubernetes.file]).unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    machines[0].attach(&stick);
    let start = Instant::now();
    for machine in &machines {
        for path in ABSENT {
            let path = machine.root().join(&path[1..]);
            assert!(!path.exists(), "{}", path.display());
        }
        machine.boot().unwrap();
    }
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
        let seconds = start.elapsed().as_secs();
        println!(
            "{} is Ready {seconds} s after the first power-on; Ignition's time is not counted",
            machine.name()
        );
        println!("{}", said(machine));
    }
    for machine in &machines {
        systemd_has_read_everything(machine);
        an_extension_can_be_replaced(machine);
        a_reboot_brings_the_node_back(machine);
    }
}

/// What nkd-extensions.service reported in this boot.
fn said(machine: &Machine) -> String {
    let arguments = [
        "--boot",
        "--output=cat",
        "--unit=nkd-extension-files.service",
        "--unit=nkd-extensions.service",
    ];
    machine.journal(&arguments).unwrap()
}

fn show(machine: &Machine, unit: &str, name: &str) -> String {
    let name = format!("--property={name}");
    let shown = machine.check(["systemctl", "show", "--value", &name, unit]);
    shown.unwrap().trim().to_owned()
}

/// Users, D-Bus, the message catalog and the clock, as on an image that contains the agent.
fn systemd_has_read_everything(machine: &Machine) {
    machine.check(["id", "nkd-reporter"]).unwrap();
    let name = property(machine, "Name").unwrap();
    assert_eq!(name, format!("s {:?}", machine.name()));
    let ready = format!("MESSAGE_ID={}", Kind::Ready.message_id());
    let explained = machine.journal(&["--catalog", &ready]).unwrap();
    let text = format!("The node {} is Ready", machine.name());
    assert!(explained.contains(&text), "{explained}");
    the_clock_comes_first(machine);
}

fn the_clock_comes_first(machine: &Machine) {
    let begun = |unit: &str| -> u64 {
        let begun = show(machine, unit, "ExecMainStartTimestampMonotonic");
        begun.parse().unwrap()
    };
    let clock = begun("nkd-clock.service");
    assert!(clock > 0 && clock < begun("containerd.service"));
    assert!(clock < begun("kubelet.service"));
    assert_eq!(show(machine, "nkd-tokens.timer", "ActiveState"), "active");
}

/// Another file with the same contents stands for the next release of Kubernetes.
fn an_extension_can_be_replaced(machine: &Machine) {
    let replace = "cd /var/lib/extensions && cp kubernetes.raw .next && echo >> .next && sync .next && \
                   mv .next kubernetes.raw && sync . && systemd-sysext refresh && systemctl restart kubelet";
    machine.check(["sh", "-c", replace]).unwrap();
    machine
        .wait_for("kubelet to be healthy", PATIENCE, || {
            let health = [
                "curl",
                "--fail",
                "--silent",
                "http://127.0.0.1:10248/healthz",
            ];
            Ok(machine.run(health)?.status.success())
        })
        .unwrap();
}

fn a_reboot_brings_the_node_back(machine: &Machine) {
    let before = machine.read(paths::EVENTS).unwrap();
    machine.cut_power().unwrap();
    let start = Instant::now();
    machine.boot().unwrap();
    for unit in ["kubelet.service", "nkd-node-ready.target"] {
        machine
            .wait_for(unit, PATIENCE, || {
                Ok(show(machine, unit, "ActiveState") == "active")
            })
            .unwrap();
    }
    wait_until_ready(machine, PATIENCE).unwrap();
    let seconds = start.elapsed().as_secs();
    println!("{} is back after {seconds} s", machine.name());
    the_clock_comes_first(machine);
    assert_eq!(show(machine, "nkd-agent.service", "ExecMainPID"), "0");
    assert_eq!(machine.read(paths::EVENTS).unwrap(), before);
}

/// A control plane with the agent's extension from a web server and another one from a directory.
struct Stock {
    scenario: Scenario,
    agent: Extension,
    directory: PathBuf,
    _server: WebServer,
}

impl Stock {
    fn new() -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.image = OsImage::stock(&Cache::open().unwrap()).unwrap();
        let directory = scenario.lab.scratch("extensions").unwrap();
        let agent = Extension::of_agent(&scenario.programs, &directory).unwrap();
        let file = std::slice::from_ref(&agent.file);
        Self {
            _server: scenario.lab.web_server(file).unwrap(),
            scenario,
            agent,
            directory,
        }
    }

    fn machine(&mut self, extensions: &[Value]) -> anyhow::Result<Machine> {
        self.scenario.file.document["spec"]["os"]["extensions"] = json!(extensions);
        let cluster = self.scenario.compile()?;
        self.scenario.machine(&cluster, "cp1")
    }

    /// Makes an extension with this extension-release file, or without one.
    fn other(&self, place: &str, release: Option<&str>) -> Extension {
        let directory = self.directory.join(place);
        fs::create_dir_all(&directory).unwrap();
        Extension::with_release(release, directory.join("other.raw")).unwrap()
    }
}

#[test]
fn ignition_refuses_an_extension_with_another_hash() {
    let mut stock = Stock::new();
    let mut item = stock.agent.item("url", &WebServer::url());
    fs::write(&stock.agent.file, "another file").unwrap();
    let known = json!({ "name": "nkd", "architecture": "x86-64" });
    let keys = item.as_object_mut().unwrap();
    keys.remove("file");
    keys.extend(known.as_object().unwrap().clone());
    let refused = format!("{:#}", stock.machine(&[item]).unwrap_err());
    println!("{refused}");
    assert!(refused.contains("hash verification failed"), "{refused}");
}

#[test]
fn an_extension_that_cannot_be_used_has_one_cause_and_the_right_one_then_works() {
    const SOURCE: &str = "/var/lib/media";
    let mut stock = Stock::new();
    let right = stock.other("right", Some("ID=_any\nARCHITECTURE=x86-64\n"));
    let items = [
        stock.agent.item("url", &WebServer::url()),
        right.item("directory", SOURCE),
    ];
    let machine = stock.machine(&items).unwrap();
    machine.boot().unwrap();
    fails_with(&machine, "extension.missing");

    let list = machine.read("/etc/nkd/extensions").unwrap();
    let wrong = [
        ("ID=_any\nARCHITECTURE=arm64\n", "extension.architecture"),
        ("ID=nestos\nVERSION_ID=24.03\n", "extension.os"),
        ("ID=debian\nVERSION_ID=11\n", "extension.os"),
        ("ID=debian\nSYSEXT_LEVEL=1\n", "extension.os"),
        ("", "extension.invalid"),
    ];
    for (release, cause) in wrong {
        let release = Some(release).filter(|release| !release.is_empty());
        let wrong = stock.other("wrong", release);
        machine.add(&wrong.file, SOURCE).unwrap();
        restart(&machine);
        fails_with(&machine, "extension.digest-mismatch");

        let compiled_with_it = list.replace(&right.sha256, &wrong.sha256);
        machine
            .write("/etc/nkd/extensions", &compiled_with_it)
            .unwrap();
        restart(&machine);
        fails_with(&machine, cause);
        machine.write("/etc/nkd/extensions", &list).unwrap();
    }
    let compiled = list.replace("other x86-64", "other arm64");
    machine.write("/etc/nkd/extensions", &compiled).unwrap();
    restart(&machine);
    fails_with(&machine, "extension.architecture");
    machine.write("/etc/nkd/extensions", &list).unwrap();

    let sysext = "/usr/bin/systemd-sysext";
    let hide = ["mount", "--bind", "/etc/hosts", sysext];
    machine.check(hide).unwrap();
    restart(&machine);
    fails_with(&machine, "extension.unsupported");
    machine.check(["umount", sysext]).unwrap();

    machine.add(&right.file, SOURCE).unwrap();
    programs_fail_one_after_another(&machine);
    restart(&machine);
    works(&machine);
    machine.power_off().unwrap();
    machine.boot().unwrap();
    works(&machine);
    println!("{}", said(&machine));
}

/// The extension is the right one, but cannot be copied, merged or activated.
fn programs_fail_one_after_another(machine: &Machine) {
    let check = |script: &str| machine.check(["sh", "-c", script]).unwrap();
    let in_the_way = "/var/lib/extensions/.other.part/other.raw";
    check(&format!("mkdir -p {in_the_way}"));
    restart(machine);
    fails_with(machine, "extension.copy");
    check("rm -r /var/lib/extensions/.other.part");

    // Programs in this directory come before those of the OS.
    let unit = "/run/systemd/system/nkd-extensions.service.d";
    let path = "[Service]\\nEnvironment=PATH=/run/failing:/usr/bin:/usr/sbin\\n";
    check(&format!(
        "mkdir -p /run/failing {unit}; printf '{path}' > {unit}/path.conf"
    ));
    machine.check(["systemctl", "daemon-reload"]).unwrap();
    for (program, cause) in [
        ("systemd-sysext", "extension.merge"),
        ("systemctl", "extension.activation"),
    ] {
        check(&format!("ln -s /usr/bin/false /run/failing/{program}"));
        restart(machine);
        fails_with(machine, cause);
        check(&format!("rm /run/failing/{program}"));
    }
}

fn restart(machine: &Machine) {
    machine.run(["systemctl", "reset-failed"]).unwrap();
    let restart = ["systemctl", "restart", "nkd-extensions.service"];
    machine.run(restart).unwrap();
}

/// The unit has failed or waits for the next attempt, its last line in the journal has this cause, and the console
/// shows the same line. Nothing of the extensions runs.
fn fails_with(machine: &Machine, cause: &str) {
    let code = format!("[{cause}]");
    machine
        .wait_for(cause, SOON, || {
            let state = show(machine, "nkd-extensions.service", "SubState");
            let failed = ["failed", "auto-restart"].contains(&&*state);
            let errors = [
                "--priority=err",
                "--unit=nkd-extensions.service",
                "--output=cat",
            ];
            let errors = machine.journal(&errors)?;
            let last = errors.lines().rfind(|line| line.contains("[extension."));
            let last = last.unwrap_or_default();
            Ok(failed && last.ends_with(&code))
        })
        .unwrap();
    let console = fs::read_to_string(machine.console_log()).unwrap();
    let line = console
        .lines()
        .rfind(|line| line.contains("nkd: extension"));
    let line = line.unwrap_or_default();
    println!("{line}");
    assert!(line.trim_end().ends_with(&code), "{line}");
    let issue = machine.check(["cat", "/run/issue.d/50-nkd.issue"]).unwrap();
    assert!(issue.trim_end().ends_with(&code), "{issue}");
    for unit in ["nkd-agent.service", "nkd-reporter.service"] {
        let begun = show(machine, unit, "ExecMainStartTimestampMonotonic");
        assert!(["", "0"].contains(&&*begun), "{unit}: {begun}");
    }
}

/// The agent has started.
fn works(machine: &Machine) {
    machine
        .wait_for("the agent", SOON, || {
            let state = show(machine, "nkd-extensions.service", "ActiveState");
            let begun = show(
                machine,
                "nkd-agent.service",
                "ExecMainStartTimestampMonotonic",
            );
            Ok(state == "active" && begun != "0")
        })
        .unwrap();
}
