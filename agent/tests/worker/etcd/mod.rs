//! A control plane that joins leaves etcd's members as they should be. etcd is the real one; kubeadm
//! and kubelet are played by a script.

mod node;
mod quorum;
mod server;

use nkd_contract::{Cause, Stage, paths};
use serde_json::json;

use node::ControlPlane;
use server::{Etcd, OWN, Pki};

fn own_peer() -> String {
    format!("https://{OWN}:2380")
}

#[test]
fn a_member_that_never_started_is_removed_before_the_node_joins_anew() {
    let pki = Pki::new(&["127.0.0.9"]);
    let etcd = Etcd::first(&pki, "127.0.0.9");
    let learner = json!({"peerURLs": [own_peer()], "isLearner": true});
    etcd.ask("cluster/member/add", &learner);
    assert_eq!(etcd.peers().len(), 2);
    let node = ControlPlane::beside(&pki, &[&etcd]);
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(etcd.peers(), ["https://127.0.0.9:2380"]);
    let events = node.machine.read(paths::EVENTS);
    assert!(
        events.contains("of an earlier attempt from etcd"),
        "{events}"
    );
    assert_eq!(node.kubeadm(), ["join"]);
}

#[test]
fn a_third_member_that_never_started_is_gone_before_the_reset() {
    let pki = Pki::new(&["127.0.0.11", "127.0.0.12"]);
    let first = Etcd::first(&pki, "127.0.0.11");
    let second = first.another("cp-b", "127.0.0.12");
    second.add(OWN);
    let node = ControlPlane::beside(&pki, &[&first, &second]);
    let node = node.with_traces().with_data();
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), ["reset", "join"]);
    let members = node.machine.read("/members-at-reset");
    assert!(members.contains("127.0.0.12"), "{members}");
    assert!(!members.contains(&own_peer()), "{members}");
    assert!(!node.data_are_here());
    assert_eq!(second.peers().len(), 2);
}

#[test]
fn the_data_of_a_member_that_is_gone_go_with_the_next_reset() {
    let pki = Pki::new(&["127.0.0.13"]);
    let etcd = Etcd::first(&pki, "127.0.0.13");
    let node = ControlPlane::beside(&pki, &[&etcd]).with_data();
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), ["reset", "join"]);
    assert!(!node.data_are_here());
    let mut calls = node.machine.calls_of("kubeadm");
    calls.retain(|call| call.starts_with("kubeadm reset"));
    assert!(calls[0].contains("--skip-phases=remove-etcd-member"));
}

#[test]
fn while_no_etcd_answers_the_traces_of_an_attempt_are_left_alone() {
    let pki = Pki::new(&["127.0.0.14"]);
    let mut etcd = Etcd::first(&pki, "127.0.0.14");
    etcd.stop();
    let node = ControlPlane::beside(&pki, &[&etcd]);
    let node = node.with_traces().with_data();
    node.machine.install();
    let (stage, cause, message) = node.machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Kubeadm), Cause::KubeadmEtcd));
    assert!(message.contains("https://127.0.0.14:2379: "), "{message}");
    assert!(node.kubeadm().is_empty());
    assert!(node.data_are_here());
}

#[test]
fn an_etcd_that_cannot_be_asked_is_left_to_kubeadm_where_there_is_nothing_to_lose() {
    let pki = Pki::new(&["127.0.0.10"]);
    let mut etcd = Etcd::first(&pki, "127.0.0.10");
    etcd.stop();
    let node = ControlPlane::beside(&pki, &[&etcd]);
    node.machine.install();
    node.machine.lacks_only_its_api();
    let warned = node.machine.warnings().into_iter();
    let warned: Vec<_> = warned
        .filter(|(cause, _)| *cause == Cause::KubeadmEtcd)
        .collect();
    assert!(
        warned[0].1.contains("https://127.0.0.10:2379: "),
        "{warned:?}"
    );
    assert_eq!(node.kubeadm(), ["join"]);
}
