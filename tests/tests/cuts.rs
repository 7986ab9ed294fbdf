//! A node whose worker is killed and whose power is cut, again and again, becomes Ready all the same:
//! once, as a node of the one cluster, with nothing lost and nothing told twice. A power cut loses
//! what was not synced.
#![allow(clippy::unwrap_used)]

mod cut;

use std::time::Duration;

use cut::{Blow, MANIFEST, Moment, Table, UP};
use nkd_contract::{Kind, Role, Stage, paths};
use testbed::FileSystem;
use testbed::scenario::Scenario;

/// Cuts at random moments; with those at the boundaries, a table.
const RANDOM: usize = 60;

#[test]
fn a_node_cut_off_at_a_few_moments_becomes_ready() {
    let at = |kind, stage| Moment::At(kind, stage);
    let cuts = [
        (Blow::Worker, at(Kind::StageStarted, Stage::Host)),
        (Blow::Power, at(Kind::StageStarted, Stage::Runtime)),
        (Blow::Reporter, at(Kind::StageDone, Stage::Runtime)),
        (Blow::Power, Moment::Told(Stage::Images, 3)),
        (Blow::Power, at(Kind::StageDone, Stage::Images)),
        (Blow::Worker, Moment::Written(Stage::Kubeadm, MANIFEST)),
        (Blow::Power, Moment::Logged(Stage::Kubeadm, UP)),
        (Blow::Power, at(Kind::StageDone, Stage::Kubeadm)),
    ];
    let mut scenario = Scenario::new().unwrap();
    scenario.image = scenario.image.on(FileSystem::Xfs);
    let balancer = scenario.lab.balancer(&["10.200.0.11"]).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    let cluster = scenario.compile().unwrap();
    let table = Table::new(&scenario, &cluster, "cp1");
    let missed = table.cut_at(&cuts);
    assert!(missed.is_empty(), "past {missed:?}");
    table.ends_well(1);
}

#[test]
fn a_node_cut_off_again_and_again_while_it_loads_a_bundle_becomes_ready() {
    let mut scenario = Scenario::new().unwrap();
    let bundle = scenario.bundle_in_image().unwrap();
    let cluster = scenario.compile().unwrap();
    let table = Table::new(&scenario, &cluster, "cp1");
    table.machine.add(&bundle, paths::BUNDLES).unwrap();
    let blows = [Blow::Power, Blow::Worker].into_iter().cycle();
    // Each later than the one before, so that in the end all is loaded.
    let moments = (1..=20).map(|place| Duration::from_millis(80 * place));
    let into = |into| Moment::Into(Stage::Images, into);
    let cuts: Vec<_> = blows.zip(moments.map(into)).collect();
    let struck = cuts.len() - table.cut_at(&cuts).len();
    assert!(struck >= 8, "only {struck} cuts");
    table.ends_well(1);
}

#[test]
fn an_init_node_cut_off_at_every_boundary_becomes_ready() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let table = Table::new(&scenario, &cluster, "cp1");
    table.cut_at_all_boundaries(Role::Init);
    table.ends_well(1);
}

#[test]
#[ignore = "long: sixty cuts"]
fn an_init_node_whose_power_is_cut_at_random_moments_becomes_ready() {
    let mut struck = 0;
    while struck < RANDOM {
        let scenario = Scenario::new().unwrap();
        let cluster = scenario.compile().unwrap();
        let table = Table::new(&scenario, &cluster, "cp1");
        struck += table.cut_at_random(Role::Init, 15.min(RANDOM - struck));
        table.ends_well(1);
    }
}

#[test]
#[ignore = "long: a control plane, then one that is cut"]
fn a_joining_control_plane_cut_off_at_every_boundary_becomes_ready() {
    let role = Role::JoinControlPlane;
    joins(role, &["cp2"], |table| table.cut_at_all_boundaries(role));
}

#[test]
#[ignore = "long: sixty cuts"]
fn a_joining_control_plane_whose_power_is_cut_at_random_moments_becomes_ready() {
    let role = Role::JoinControlPlane;
    let mut struck = 0;
    while struck < RANDOM {
        struck += joins(role, &["cp2", "cp3"], |table| table.cut_at_random(role, 15));
    }
}

#[test]
#[ignore = "long: a control plane, then a worker that is cut"]
fn a_worker_cut_off_at_every_boundary_becomes_ready() {
    let role = Role::JoinWorker;
    joins(role, &["w2"], |table| table.cut_at_all_boundaries(role));
}

#[test]
#[ignore = "long: sixty cuts"]
fn a_worker_whose_power_is_cut_at_random_moments_becomes_ready() {
    let role = Role::JoinWorker;
    let mut struck = 0;
    while struck < RANDOM {
        let workers = ["w2", "w3", "w4", "w5", "w6"];
        struck += joins(role, &workers, |table| table.cut_at_random(role, 15));
    }
}

/// Makes a cluster of one control plane, cuts the power of nodes that join it one after another, and
/// checks how that ends. Gives the number of cuts.
fn joins(role: Role, names: &[&str], cut: impl Fn(&Table<'_>) -> usize) -> usize {
    let mut scenario = Scenario::new().unwrap();
    let nodes = scenario.file.document["spec"]["nodes"].as_array_mut();
    nodes
        .unwrap()
        .retain(|node| node["role"] == "control-plane");
    for name in names {
        let role = match role {
            Role::JoinWorker => "worker",
            Role::Init | Role::JoinControlPlane => "control-plane",
        };
        scenario.file.add_node(name, role).unwrap();
    }
    let control_planes: &[&str] = match role {
        Role::JoinControlPlane => &["10.200.0.11", "10.200.0.12", "10.200.0.13"],
        Role::Init | Role::JoinWorker => &["10.200.0.11"],
    };
    let balancer = scenario.lab.balancer(control_planes).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    let cluster = scenario.compile().unwrap();
    let first = Table::new(&scenario, &cluster, "cp1");
    first.ends_well(1);
    let (mut struck, mut joined) = (0, vec![first]);
    for name in names {
        let table = Table::new(&scenario, &cluster, name);
        struck += cut(&table);
        joined.push(table);
        joined.last().unwrap().ends_well(joined.len());
    }
    struck
}
