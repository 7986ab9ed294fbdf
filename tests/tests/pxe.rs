//! Computers that boot from the network with nkd's iPXE scripts.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::computer::mac;
use testbed::computer::outcome::{INVALID, MEASURED, Row, wrong_pointer};
use testbed::dhcp::Dhcp;
use testbed::emulator::Emulator;
use testbed::scenario::{BOOT, Scenario, wait_until_ready};
use testbed::web::WebServer;
use testbed::{Cache, Cluster, Computer, DiskImage, Lab, LiveImage};

const NODE: &str = "w1";
const ADDRESS: &str = "10.200.0.12";

/// A node that runs from memory loads images and joins on an emulated processor.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Kernel arguments for a live image that does not contain the image that it installs.
const TO_INSTALL: &str =
    "coreos.inst.insecure coreos.inst.image_url=http://${next-server}:8080/disk.raw.zst";
/// Where the live image is, if it is not beside the configs.
const LIVE: &str = "set live http://${next-server}:8080/live";

/// The boot file that a site would write: nkd's, with kernel arguments for a serial console and others.
fn boot_file(arguments: &str, settings: &str) -> String {
    format!(
        "#!ipxe\nset arguments console=tty0 console=ttyS0 {arguments}\n{settings}\nchain pxe/boot.ipxe\n"
    )
}

/// A site with the files that nkd writes for PXE, and a computer that is off. The live image is not served yet.
struct Site {
    computer: Computer,
    web: WebServer,
    image: DiskImage,
    _dhcp: Dhcp,
    cluster: Cluster,
    scenario: Scenario,
}

impl Site {
    fn new() -> Self {
        Self::of(
            Scenario::new().unwrap(),
            &WebServer::url(),
            &boot_file("", ""),
        )
    }

    /// The site whose configs are at a URL, and with its own boot file.
    fn of(mut scenario: Scenario, url: &str, script: &str) -> Self {
        scenario.file.use_computer(NODE);
        let node = &mut scenario.file.document["spec"]["nodes"][1];
        assert_eq!(node["name"], NODE);
        node["mac"] = mac(NODE).into();
        let cluster = scenario.compile().unwrap();
        write_scripts(&scenario, &cluster, url);
        scenario.trust(&cluster, NODE).unwrap();

        let boot = scenario.lab.scratch("site").unwrap().join("site.ipxe");
        fs::write(&boot, script).unwrap();
        let web = scenario.lab.web_server(&[boot]).unwrap();
        web.add("pxe", &files_of(&cluster, "pxe")).unwrap();
        let script = format!("{}/site.ipxe", WebServer::url());
        let computers = [(NODE, ADDRESS)];
        let dhcp = scenario.lab.dhcp_with_script(&computers, &script).unwrap();

        let cache = Cache::open().unwrap();
        let image = DiskImage::build(&cache, &scenario.kubernetes, &scenario.programs).unwrap();
        let emulator = Emulator::new(&cache).unwrap();
        let computer = scenario.lab.diskless_computer(&emulator, NODE).unwrap();
        Self {
            computer,
            web,
            image,
            _dhcp: dhcp,
            cluster,
            scenario,
        }
    }

    fn serve_live_image(&self) {
        let live = LiveImage::build(&Cache::open().unwrap(), &self.image).unwrap();
        self.web.add("live", &live.files()).unwrap();
    }

    fn serve(&self, config: &Path) {
        self.web.add(".", &[config.to_owned()]).unwrap();
    }

    /// Waits until the node is Ready in another boot than an earlier one, and returns the id of the boot.
    fn ready_boot(&self, earlier: Option<&str>) -> String {
        let Scenario {
            lab, kubernetes, ..
        } = &self.scenario;
        let mut boot = None;
        let is_ready = || {
            boot = self.cluster.ready_boot(lab, kubernetes, NODE);
            boot.is_some() && boot.as_deref() != earlier
        };
        let what = "the node to be Ready";
        self.computer.wait_for(what, PATIENCE, is_ready).unwrap();
        boot.unwrap()
    }

    fn serve_text(&self, name: &str, text: &str) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        self.serve(&file);
    }

    fn await_console(&self, text: &str) {
        let is_there = || self.computer.console().contains(text);
        self.computer.wait_for(text, BOOT, is_there).unwrap();
    }

    /// Boots the computer from the live image until it reports this cause.
    fn reports(&self, problem: &'static str, cause: &'static str) {
        let row = Row {
            carrier: "iPXE",
            problem,
            cause,
        };
        println!("{}", row.observe(&self.computer, BOOT).unwrap());
        self.computer.pull_plug().unwrap();
    }
}

/// Compiles the scripts of the node that runs from memory.
fn write_scripts(scenario: &Scenario, cluster: &Cluster, url: &str) {
    let mut nkd = Command::new(&scenario.programs.nkd);
    nkd.arg("compile").arg(scenario.file.write().unwrap());
    nkd.arg("-o").arg(cluster.out());
    nkd.args(["--node", NODE, "--target", "pxe"]);
    nkd.args(["--url", url]);
    assert!(nkd.status().unwrap().success());
}

fn files_of(cluster: &Cluster, directory: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(cluster.out().join(directory)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_computer_without_a_disk_boots_by_ipxe_with_the_script_found_by_its_mac() {
    let site = Site::new();
    site.serve(&site.cluster.ignition(NODE));
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs();
    site.computer.power_on().unwrap();
    // The live image is served later.
    site.await_console("nkd: w1 cannot boot");
    println!("the script tries again after {} s", elapsed());
    site.serve_live_image();
    site.scenario.await_first_stages(&site.computer).unwrap();
    let by_mac = format!("/pxe/mac-{}.ipxe", mac(NODE).replace(':', "-"));
    let requests = site.web.requests().unwrap();
    assert!(requests.contains(&by_mac), "{requests}");
}

#[test]
#[ignore = "long: four boots of a computer"]
fn a_computer_that_boots_from_the_network_names_the_cause_of_each_problem() {
    let site = Site::of(
        Scenario::new().unwrap(),
        &WebServer::url(),
        &boot_file(MEASURED, ""),
    );
    site.serve_live_image();
    site.reports("no file", "not-found");
    site.serve_text("other", "other");
    let config = format!("{NODE}.ign");
    site.serve_text(&config, INVALID);
    site.reports("invalid", "config-invalid");
    site.serve_text(&config, &wrong_pointer());
    site.reports("wrong hash", "hash-mismatch");
    drop(site);
    // The live image is on a server that runs.
    let site = Site::of(
        Scenario::new().unwrap(),
        &format!("http://{}:8081", Lab::GATEWAY),
        &boot_file(MEASURED, LIVE),
    );
    site.serve_live_image();
    site.reports("connections refused", "unreachable");
}

#[test]
#[ignore = "long: a control plane, and two boots of a computer"]
fn a_worker_that_runs_from_memory_joins_again_under_its_name_after_a_power_cut() {
    let mut scenario = Scenario::new().unwrap();
    let bundles = ["control-plane", "worker"].map(|role| {
        let name = format!("{role}.tar");
        scenario.bundle(&name, &["--role", role]).unwrap()
    });
    scenario.file.set_images(json!({
        "bundles": ["control-plane.tar", "worker.tar"],
        "sources": [{ "urls": [WebServer::url()] }],
    }));
    let site = Site::of(scenario, &WebServer::url(), &boot_file("", ""));
    site.web.add(".", &bundles).unwrap();
    site.serve(&site.cluster.ignition(NODE));
    site.serve_live_image();
    let init_node = site.scenario.machine(&site.cluster, "cp1").unwrap();
    init_node.boot().unwrap();
    wait_until_ready(&init_node, PATIENCE).unwrap();

    let start = Instant::now();
    site.computer.power_on().unwrap();
    let boot = site.ready_boot(None);
    println!("Ready after {} s", start.elapsed().as_secs());
    site.computer.pull_plug().unwrap();
    let start = Instant::now();
    site.computer.power_on().unwrap();
    site.ready_boot(Some(&boot));
    println!("Ready again after {} s", start.elapsed().as_secs());
}

#[test]
#[ignore = "long: the installer is built, and two boots"]
fn the_live_image_installs_the_os_and_the_config_to_the_disk_in_the_cluster_file() {
    let mut scenario = Scenario::new().unwrap();
    let node = &mut scenario.file.document["spec"]["nodes"][1];
    node["installDisk"] = "/dev/vda".into();
    let mut site = Site::of(scenario, &WebServer::url(), &boot_file(TO_INSTALL, ""));
    site.serve(&site.cluster.ignition(NODE));
    let disk = site.scenario.lab.scratch("disk").unwrap();
    let disk = disk.join("disk.raw.zst");
    site.image.export("metal", &disk).unwrap();
    site.serve(&disk);
    let live = LiveImage::with_installer(&Cache::open().unwrap(), &site.image).unwrap();
    site.web.add("live", &live.files()).unwrap();
    site.computer.add_empty_disk().unwrap();

    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs();
    site.computer.power_on().unwrap();
    site.await_console("Install complete.");
    println!("installed after {} s", elapsed());
    site.scenario.await_first_stages(&site.computer).unwrap();
    site.computer.power_off().unwrap();
    let arguments = site.computer.kernel_arguments().unwrap();
    assert!(!arguments.contains("ignition.firstboot"), "{arguments}");
}
