//! Computers that boot from the network with nkd's iPXE scripts.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nkd_contract::{Kind, Stage};
use testbed::computer::mac;
use testbed::dhcp::Dhcp;
use testbed::emulator::Emulator;
use testbed::events::is;
use testbed::scenario::Scenario;
use testbed::web::WebServer;
use testbed::{Cache, Cluster, Computer, DiskImage, LiveImage};

/// A boot takes a minute, where nothing else uses the processors.
const PATIENCE: Duration = Duration::from_secs(400);
const NODE: &str = "w1";
const ADDRESS: &str = "10.200.0.12";

/// The boot file that a site would write: nkd's, with kernel arguments for a serial console.
const SCRIPT: &str = "#!ipxe\nset arguments console=tty0 console=ttyS0\nchain pxe/boot.ipxe\n";

/// A site with the files that nkd writes for PXE, and a computer that is off. The live image is not served yet.
struct Site {
    computer: Computer,
    web: WebServer,
    _dhcp: Dhcp,
    live: LiveImage,
    scenario: Scenario,
}

impl Site {
    fn new() -> Self {
        let mut scenario = Scenario::new().unwrap();
        scenario.file.use_computer(NODE);
        let node = &mut scenario.file.document["spec"]["nodes"][1];
        assert_eq!(node["name"], NODE);
        node["mac"] = mac(NODE).into();
        let cluster = scenario.compile().unwrap();
        write_scripts(&scenario, &cluster);
        scenario.trust(&cluster, NODE).unwrap();

        let boot = scenario.lab.scratch("site").unwrap().join("site.ipxe");
        fs::write(&boot, SCRIPT).unwrap();
        let web = scenario.lab.web_server(&[boot]).unwrap();
        web.add("pxe", &files_of(&cluster, "pxe")).unwrap();
        web.add(".", &[cluster.ignition(NODE)]).unwrap();
        let script = format!("{}/site.ipxe", WebServer::url());
        let computers = [(NODE, ADDRESS)];
        let dhcp = scenario.lab.dhcp_with_script(&computers, &script).unwrap();

        let cache = Cache::open().unwrap();
        let image = DiskImage::build(&cache, &scenario.kubernetes, &scenario.programs).unwrap();
        let live = LiveImage::build(&cache, &image).unwrap();
        let emulator = Emulator::new(&cache).unwrap();
        let computer = scenario.lab.diskless_computer(&emulator, NODE).unwrap();
        Self {
            computer,
            web,
            _dhcp: dhcp,
            live,
            scenario,
        }
    }

    fn serve_live_image(&self) {
        self.web.add("live", &self.live.files()).unwrap();
    }

    fn await_console(&self, text: &str) {
        let is_there = || self.computer.console().contains(text);
        self.computer.wait_for(text, PATIENCE, is_there).unwrap();
    }

    fn await_stage(&self, stage: Stage) {
        let done = || {
            let mut events = self.scenario.callbacks.received().into_iter();
            events.any(|event| is(&event, Kind::StageDone, stage))
        };
        let what = format!("the stage {stage}");
        self.computer.wait_for(&what, PATIENCE, done).unwrap();
    }
}

/// Compiles the scripts of the node that runs from memory.
fn write_scripts(scenario: &Scenario, cluster: &Cluster) {
    let mut nkd = Command::new(&scenario.programs.nkd);
    nkd.arg("compile").arg(scenario.file.write().unwrap());
    nkd.arg("-o").arg(cluster.out());
    nkd.args(["--node", NODE, "--target", "pxe"]);
    nkd.args(["--url", &WebServer::url()]);
    assert!(nkd.status().unwrap().success());
}

fn files_of(cluster: &Cluster, directory: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(cluster.out().join(directory)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_computer_without_a_disk_boots_by_ipxe_with_the_script_found_by_its_mac() {
    let site = Site::new();
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs();
    site.computer.power_on().unwrap();
    // The live image is served later.
    site.await_console("nkd: w1 cannot boot");
    println!("the script tries again after {} s", elapsed());
    site.serve_live_image();
    for stage in [Stage::Clock, Stage::Host, Stage::Runtime] {
        site.await_stage(stage);
        println!("{stage} after {} s", elapsed());
    }
    let by_mac = format!("/pxe/mac-{}.ipxe", mac(NODE).replace(':', "-"));
    let requests = site.web.requests().unwrap();
    assert!(requests.contains(&by_mac), "{requests}");
}
