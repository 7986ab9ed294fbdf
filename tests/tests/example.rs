//! The example's cluster, on real machines.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nkd_contract::Kind;
use testbed::programs::workspace;
use testbed::{Cache, ClusterFile, Image, Kubernetes, Lab, Programs, requirements};

#[test]
fn the_example_becomes_a_cluster_of_ready_nodes_that_say_so() {
    requirements::ensure().unwrap();
    let cache = Cache::open().unwrap();
    let kubernetes = Kubernetes::chosen(&cache).unwrap();
    let programs = Programs::build().unwrap();
    let image = Image::build(&cache, &kubernetes, &programs).unwrap();
    let lab = Lab::new(&cache).unwrap();
    let callbacks = lab.callbacks().unwrap();

    let example = workspace().join("examples/demo/cluster.yaml");
    let mut file = ClusterFile::from_example(&lab, &example, &kubernetes).unwrap();
    file.report_to(&callbacks).unwrap();
    let cluster = file.compile(&programs).unwrap();
    let machines = cluster.machines(&lab, &image).unwrap();
    for machine in &machines {
        callbacks.trust_machine(machine).unwrap();
        machine.boot().unwrap();
    }
    for machine in &machines {
        machine
            .wait_for("its Ready event", Duration::from_secs(300), || {
                let events = callbacks.received_from(machine.name());
                Ok(events.iter().any(|event| event.kind == Kind::Ready))
            })
            .unwrap();
    }
    assert_eq!(callbacks.refused(), Vec::<String>::new());
    let nodes = cluster.kubectl(&lab, &kubernetes, &["get", "nodes", "-o", "wide"]).unwrap();
    println!("{nodes}");
    assert_eq!(nodes.matches(" Ready ").count(), machines.len());
}
