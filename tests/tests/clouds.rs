//! Whole computers whose Ignition asks a cloud's metadata server or reads what an installer has left, with the files
//! that nkd writes for these carriers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use testbed::computer::outcome::{INVALID, Row, wrong_pointer};
use testbed::dhcp::Dhcp;
use testbed::ignition;
use testbed::scenario::{BOOT, Scenario};
use testbed::web::WebServer;
use testbed::{Carrier, Cloud, Cluster, Computer, MetadataServer};

const NODE: &str = "cp1";
const CLOUDS: [Cloud; 4] = [Cloud::OpenStack, Cloud::Aws, Cloud::Gcp, Cloud::Azure];
const URL_ARGUMENT: &str = "ignition.config.url=";

struct Site {
    computer: Computer,
    cluster: Cluster,
    // The computer's network is gone without it.
    _dhcp: Dhcp,
    scenario: Scenario,
}

/// The demo's cluster, with files for clouds.
fn compile() -> (Scenario, Cluster) {
    let mut scenario = Scenario::new().unwrap();
    scenario.file.use_computer(NODE);
    let clouds = CLOUDS.map(Cloud::name);
    let options = clouds.iter().flat_map(|name| ["--target", name]);
    let options: Vec<_> = options.collect();
    let cluster = scenario.file.compile_with(&scenario.programs, &options);
    (scenario, cluster.unwrap())
}

impl Site {
    /// A computer that is switched off, and the compiled files.
    fn new(carrier: Carrier) -> Self {
        let (scenario, cluster) = compile();
        scenario.trust(&cluster, NODE).unwrap();
        let lab = &scenario.lab;
        Self {
            computer: scenario.computer(NODE, carrier).unwrap(),
            cluster,
            _dhcp: lab.dhcp(&[(NODE, "10.200.0.11")]).unwrap(),
            scenario,
        }
    }

    /// A metadata server with the file that nkd has written for the cloud.
    fn metadata(&self, cloud: Cloud) -> MetadataServer {
        let user_data = fs::read(self.cluster.carried(cloud.name(), NODE)).unwrap();
        println!("{}: {} bytes of user data", cloud.name(), user_data.len());
        self.serve(cloud, Some(&user_data))
    }

    fn serve(&self, cloud: Cloud, user_data: Option<&[u8]>) -> MetadataServer {
        self.scenario.lab.metadata(cloud, user_data).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scenario.lab.scratch("files").unwrap().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Boots the computer until the container runtime runs, and switches it off.
    fn installs(&self) {
        self.computer.power_on().unwrap();
        self.scenario.await_first_stages(&self.computer).unwrap();
        self.computer.power_off().unwrap();
        let arguments = self.computer.kernel_arguments().unwrap();
        assert!(!arguments.contains("ignition.firstboot"), "{arguments}");
    }

    /// Boots it again, without what it got its config from.
    fn continues(&self) {
        self.scenario.await_second_boot(&self.computer).unwrap();
    }
}

/// What a config that Ignition has merged makes.
fn made_by(config: &Value) -> Vec<String> {
    let lists = [("/storage/files", "path"), ("/systemd/units", "name")];
    let names = lists.into_iter().flat_map(|(list, key)| {
        let items = config.pointer(list).and_then(Value::as_array);
        let items = items.into_iter().flatten();
        items.map(move |item| item[key].to_string())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
#[ignore = "long: needs a built release of Kubernetes, but no computer"]
fn ignition_gets_the_same_config_from_each_cloud() {
    let (scenario, cluster) = compile();
    let expected = made_by(&ignition::merged(&cluster.ignition(NODE)).unwrap());
    assert!(expected.contains(&r#""/etc/nkd/plan.json""#.to_owned()));
    for cloud in CLOUDS {
        let user_data = fs::read(cluster.carried(cloud.name(), NODE)).unwrap();
        println!("{}: {} bytes", cloud.name(), user_data.len());
        let _server = scenario.lab.metadata(cloud, Some(&user_data)).unwrap();
        let fetched = ignition::fetched(&scenario.lab, cloud.name()).unwrap();
        assert_eq!(made_by(&fetched), expected, "{}", cloud.name());
    }
}

fn installs_from_the_metadata_server_of(cloud: Cloud) {
    let site = Site::new(Carrier::Metadata(cloud));
    let server = site.metadata(cloud);
    site.installs();
    let requests = server.requests();
    println!("{requests:?}");
    assert!(requests.iter().all(|request| request.ends_with(": 200")));
    drop(server);
    site.continues();
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_metadata_server_of_openstack() {
    installs_from_the_metadata_server_of(Cloud::OpenStack);
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_metadata_server_of_aws() {
    installs_from_the_metadata_server_of(Cloud::Aws);
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_metadata_server_of_google() {
    installs_from_the_metadata_server_of(Cloud::Gcp);
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_metadata_server_of_azure() {
    installs_from_the_metadata_server_of(Cloud::Azure);
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_custom_data_of_azure() {
    let site = Site::new(Carrier::CustomData);
    let file = site.cluster.carried("azure", NODE);
    site.computer.insert(&file).unwrap();
    let server = site.serve(Cloud::Azure, None);
    site.installs();
    drop(server);
    site.continues();
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_its_boot_partition() {
    let site = Site::new(Carrier::BootPartition);
    site.computer.insert(&site.cluster.ignition(NODE)).unwrap();
    site.installs();
    site.continues();
}

#[test]
#[ignore = "long: two boots of a computer"]
fn a_computer_gets_its_config_from_the_url_in_its_kernel_arguments() {
    let site = Site::new(Carrier::BootPartition);
    let config = site.cluster.ignition(NODE);
    let server = site.scenario.lab.web_server(&[config]).unwrap();
    let argument = format!("{URL_ARGUMENT}{}/{NODE}.ign", WebServer::url());
    site.computer.add_kernel_arguments(&argument).unwrap();
    site.installs();
    drop(server);
    site.continues();
}

/// What is wrong, and the cause that names it. The last problem is the only one with which the computer continues.
const PROBLEMS: [(&str, &str); 5] = [
    ("invalid", "config-invalid"),
    ("wrong hash", "hash-mismatch"),
    ("no route", "unreachable"),
    ("connections refused", "unreachable"),
    ("no user data", "no-config"),
];

/// Boots a computer with each problem, and prints a row of a table for each.
fn names_the_cause(
    carrier: &'static str,
    site: &Site,
    problems: &[(&'static str, &'static str)],
    prepare: impl Fn(&str) -> Option<MetadataServer>,
) {
    for &(problem, cause) in problems {
        let _server = prepare(problem);
        let row = Row {
            carrier,
            problem,
            cause,
        };
        let outcome = row.observe(&site.computer, BOOT).unwrap();
        println!("{outcome}");
        site.computer.pull_plug().unwrap();
    }
}

fn names_the_cause_on(cloud: Cloud) {
    let site = Site::new(Carrier::Metadata(cloud));
    let lab = &site.scenario.lab;
    let _web = lab.web_server(&[site.file("other", "other")]).unwrap();
    let mut problems = PROBLEMS;
    if cloud == Cloud::Azure {
        problems[4].0 = "no user data, no CD";
    }
    names_the_cause(cloud.name(), &site, &problems, |problem| match problem {
        "invalid" => Some(site.serve(cloud, Some(INVALID.as_bytes()))),
        "wrong hash" => Some(site.serve(cloud, Some(wrong_pointer().as_bytes()))),
        "no route" => {
            lab.ip(&["address", "flush", "to", MetadataServer::ADDRESS])
                .unwrap();
            None
        }
        "connections refused" => {
            lab.metadata_refuses().unwrap();
            None
        }
        _ => Some(site.serve(cloud, None)),
    });
}

#[test]
#[ignore = "long: five boots of a computer"]
fn a_computer_on_openstack_names_the_cause_of_each_problem() {
    names_the_cause_on(Cloud::OpenStack);
}

#[test]
#[ignore = "long: five boots of a computer"]
fn a_computer_on_aws_names_the_cause_of_each_problem() {
    names_the_cause_on(Cloud::Aws);
}

#[test]
#[ignore = "long: five boots of a computer"]
fn a_computer_on_google_names_the_cause_of_each_problem() {
    names_the_cause_on(Cloud::Gcp);
}

#[test]
#[ignore = "long: five boots of a computer"]
fn a_computer_on_azure_names_the_cause_of_each_problem() {
    names_the_cause_on(Cloud::Azure);
}

#[test]
#[ignore = "long: three boots of a computer"]
fn a_computer_with_custom_data_names_the_cause_of_each_problem() {
    let site = Site::new(Carrier::CustomData);
    let lab = &site.scenario.lab;
    let _web = lab.web_server(&[site.file("other", "other")]).unwrap();
    let problems = [PROBLEMS[0], PROBLEMS[1], ("no custom data", "no-config")];
    names_the_cause("azure, CD", &site, &problems, |problem| {
        match problem {
            "invalid" => site.computer.insert(&site.file("config", INVALID)),
            "wrong hash" => site.computer.insert(&site.file("config", &wrong_pointer())),
            _ => site.computer.remove_custom_data(),
        }
        .unwrap();
        Some(site.serve(Cloud::Azure, None))
    });
}

#[test]
#[ignore = "long: three boots of a computer"]
fn a_computer_of_metal_names_the_cause_of_each_problem() {
    let site = Site::new(Carrier::BootPartition);
    let lab = &site.scenario.lab;
    let _web = lab.web_server(&[site.file("other", "other")]).unwrap();
    names_the_cause("metal", &site, &PROBLEMS[..2], |problem| {
        let config = match problem {
            "invalid" => INVALID.to_owned(),
            _ => wrong_pointer(),
        };
        site.computer.insert(&site.file("config", &config)).unwrap();
        None
    });
    let empty = Site::new(Carrier::BootPartition);
    names_the_cause("metal", &empty, &[("no config", "no-config")], |_| None);
}

#[test]
#[ignore = "long: four boots of a computer"]
fn a_computer_with_a_url_names_the_cause_of_each_problem() {
    let site = Site::new(Carrier::BootPartition);
    let argument = format!("{URL_ARGUMENT}{}/config", WebServer::url());
    site.computer.add_kernel_arguments(&argument).unwrap();
    names_the_cause("metal, URL", &site, &[PROBLEMS[3]], |_| None);
    let missing = site.scenario.lab.web_server(&[]).unwrap();
    let problems = [("no file", "not-found")];
    names_the_cause("metal, URL", &site, &problems, |_| None);
    drop(missing);
    let files = [
        site.file("config", &wrong_pointer()),
        site.file("other", "other"),
    ];
    let _web = site.scenario.lab.web_server(&files).unwrap();
    names_the_cause("metal, URL", &site, &[PROBLEMS[1]], |_| None);
}
