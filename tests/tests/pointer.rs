//! Whole computers whose config does not fit their carrier: the carrier has a pointer, and Ignition fetches the config
//! from an https server with a certificate of a private authority.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use base16ct::lower::encode_string as hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testbed::computer::outcome::{Report, Row, reports};
use testbed::dhcp::Dhcp;
use testbed::scenario::{BOOT, Scenario};
use testbed::web::{ConfigAuthority, WebServer};
use testbed::{Carrier, Cluster, Computer};

const NODE: &str = "cp1";
/// A text of the config that only the node may have.
const SECRET: &str = "not-for-the-console";

struct Site {
    scenario: Scenario,
    cluster: Cluster,
    computer: Computer,
    authority: ConfigAuthority,
    reports: WebServer,
    // The computer's network is gone without it.
    _dhcp: Dhcp,
}

impl Site {
    /// A computer that is switched off, without a config, and the compiled files.
    fn new(carrier: Carrier) -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.file.use_computer(NODE);
        let large = scenario.file.add_ignition(NODE, "large.ign", &large());
        large.unwrap();
        let authority = scenario.lab.config_authority("authority").unwrap();
        let ca = authority.certificate();
        let url = WebServer::configs_url();
        let options = ["--target", "openstack", "--url", &url, "--url-ca"];
        let options = [options.as_slice(), &[ca.to_str().unwrap()]].concat();
        let cluster = scenario.file.compile_with(&scenario.programs, &options);
        let lab = &scenario.lab;
        Self {
            cluster: cluster.unwrap(),
            computer: scenario.computer(NODE, carrier).unwrap(),
            authority,
            reports: lab.report_server().unwrap(),
            _dhcp: lab.dhcp(&[(NODE, "10.200.0.11")]).unwrap(),
            scenario,
        }
    }

    fn pointer(&self) -> PathBuf {
        self.cluster.carried("openstack", NODE)
    }

    /// Serves the configs as the operator would.
    fn serve(&self) -> WebServer {
        let nodes = self.cluster.out().join("nodes");
        let server = self.scenario.lab.config_server(&nodes, &self.authority);
        server.unwrap()
    }

    /// Has the receiver accept the node's callbacks.
    fn trust(&self) {
        self.scenario.trust(&self.cluster, NODE).unwrap();
    }

    fn wait_for(&self, what: &str, happened: impl FnMut() -> bool) {
        self.computer.wait_for(what, BOOT, happened).unwrap();
    }

    fn first_report(&self) -> Report {
        let report = || reports(&self.computer.console()).into_iter().next();
        self.wait_for("a report", || report().is_some());
        report().unwrap()
    }
}

/// An Ignition file that is too large for the user data of clouds, even compressed.
fn large() -> Value {
    let mut bytes = Vec::new();
    while bytes.len() < 60_000 {
        bytes.extend(Sha256::digest(&bytes));
    }
    let source = format!("data:;base64,{}", STANDARD.encode(bytes));
    let secret = format!("data:,{SECRET}");
    json!({
        "ignition": { "version": "3.3.0" },
        "storage": { "files": [
            { "path": "/etc/large", "mode": 0o600, "contents": { "source": source } },
            { "path": "/etc/secret", "mode": 0o600, "contents": { "source": secret } },
        ] },
    })
}

/// Boots a computer whose config is not served until it has waited for some time.
fn waits_and_continues(carrier: Carrier, waiting: Duration) {
    let site = Site::new(carrier);
    site.trust();
    let start = Instant::now();
    site.computer.insert(&site.pointer()).unwrap();
    site.computer.power_on().unwrap();
    let report = site.first_report();
    println!("{report:?} after {} s", start.elapsed().as_secs());
    assert!(report.waits && report.cause == "unreachable", "{report:?}");
    let server = WebServer::configs_url();
    let expected = format!("{server} refuses connections.");
    assert!(report.message.starts_with(&expected), "{report:?}");
    thread::sleep(waiting);
    let _server = site.serve();
    site.scenario.await_first_stages(&site.computer).unwrap();
    let console = site.computer.console();
    assert!(reports(&console).iter().all(|report| report.waits));
    assert!(!console.contains(SECRET), "{console}");
}

#[test]
fn a_computer_gets_its_config_from_a_config_drive_that_points_to_an_https_server() {
    waits_and_continues(Carrier::ConfigDrive, Duration::ZERO);
}

#[test]
#[ignore = "long: waits two minutes"]
fn a_computer_waits_two_minutes_for_the_server_of_its_config() {
    waits_and_continues(Carrier::FirmwareConfig, Duration::from_secs(120));
}

/// What is wrong with a config, and the cause that names it.
const PROBLEMS: [(&str, &str); 7] = [
    ("invalid", "config-invalid"),
    ("pointer, invalid", "config-invalid"),
    ("pointer, no server", "unreachable"),
    ("pointer, wrong hash", "hash-mismatch"),
    ("pointer, other authority", "untrusted"),
    ("pointer, no file", "not-found"),
    ("pointer, no network", "unreachable"),
];

/// Each problem on a new computer. Prints a table.
fn problems_on(name: &'static str, carrier: Carrier) {
    let mut table = String::from(
        "| carrier | problem | cause | s after power-on | s after the error | message |\n\
         |---|---|---|---|---|---|\n",
    );
    for (problem, cause) in PROBLEMS {
        let row = Row {
            carrier: name,
            problem,
            cause,
        };
        let outcome = match problem_on(row, carrier) {
            Ok(outcome) => outcome,
            Err(error) => format!("FAILED: {row:?}: {error:#}"),
        };
        println!("{outcome}");
        writeln!(table, "{outcome}").unwrap();
    }
    println!("{table}");
    assert!(!table.contains("FAILED"));
}

fn problem_on(row: Row, carrier: Carrier) -> anyhow::Result<String> {
    let mut site = Site::new(carrier);
    let _server = prepare(&mut site, row.problem)?;
    let argument = format!("nkd.report={}", WebServer::reports_url());
    site.computer.add_kernel_arguments(&argument)?;
    let outcome = row.observe(&site.computer, BOOT)?;
    let mut console = site.computer.console();
    if row.problem != "pointer, no network" {
        let posted = || !site.reports.reports().unwrap_or_default().is_empty();
        site.computer.wait_for("a POST", BOOT, posted)?;
        let event = site.reports.reports()?.remove(0);
        let cause = format!("ignition.{}", row.cause);
        anyhow::ensure!(event["data"]["cause"] == cause, "{event}");
        console.push_str(&event.to_string());
    }
    anyhow::ensure!(!console.contains(SECRET), "a secret: {console}");
    Ok(outcome.to_string())
}

/// Gives the computer its config, and starts the server if the problem has one.
fn prepare(site: &mut Site, problem: &str) -> anyhow::Result<Option<WebServer>> {
    let lab = &site.scenario.lab;
    let invalid = format!("{{ \"{SECRET}\" }}");
    let nodes = site.cluster.out().join("nodes");
    let served = nodes.join(format!("{NODE}.ign"));
    let file = lab.scratch("config")?.join("config.ign");
    let mut pointer: Value = serde_json::from_str(&fs::read_to_string(site.pointer())?)?;
    let mut authority = None;
    match problem {
        "invalid" => {
            fs::write(&file, invalid)?;
            site.computer.insert(&file)?;
            return Ok(None);
        }
        "pointer, invalid" => {
            let hash = format!("sha256-{}", hex(&Sha256::digest(&invalid)));
            pointer["ignition"]["config"]["merge"][0]["verification"]["hash"] = json!(hash);
            fs::write(&served, invalid)?;
        }
        "pointer, wrong hash" => fs::write(&served, fs::read_to_string(&served)? + "\n")?,
        "pointer, no file" => fs::remove_file(&served)?,
        "pointer, other authority" => authority = Some(lab.config_authority("other")?),
        "pointer, no network" => {
            lab.ip(&["link", "set", "br0", "down"])?;
        }
        _ => (),
    }
    fs::write(&file, pointer.to_string())?;
    site.computer.insert(&file)?;
    let is_served = !matches!(problem, "pointer, no server" | "pointer, no network");
    let authority = authority.as_ref().unwrap_or(&site.authority);
    is_served
        .then(|| lab.config_server(&nodes, authority))
        .transpose()
}

#[test]
#[ignore = "long: a computer for each problem"]
fn a_computer_with_fw_cfg_names_the_cause_of_each_problem() {
    problems_on("fw_cfg", Carrier::FirmwareConfig);
}

#[test]
#[ignore = "long: a computer for each problem"]
fn a_computer_with_a_config_drive_names_the_cause_of_each_problem() {
    problems_on("config drive", Carrier::ConfigDrive);
}

#[test]
#[ignore = "long: two computers"]
fn a_computer_whose_clock_is_wrong_names_the_clock() {
    for time in ["1970-01-01T00:00:00", "2010-06-01T12:00:00"] {
        let mut site = Site::new(Carrier::FirmwareConfig);
        let _server = site.serve();
        site.computer.set_clock(time);
        site.computer.insert(&site.pointer()).unwrap();
        site.computer.power_on().unwrap();
        let report = site.first_report();
        println!("{time}: {report:?}");
        assert!(report.waits && report.cause == "untrusted", "{report:?}");
        let words = "Check the certificate, and the clock of this machine: 20";
        assert!(report.message.contains(words), "{report:?}");
    }
}
