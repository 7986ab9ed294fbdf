//! etcd without a quorum. Each of these has the machine's own address to itself.

use std::fs;
use std::net::TcpListener;

use nkd_contract::{Cause, Stage};

use super::super::cluster::{LABELLED, write_control_plane};
use super::super::ready::give_credentials;
use super::super::receiver::{Answer, Authority, Receiver};
use super::node::ControlPlane;
use super::own_peer;
use super::server::{Etcd, OWN, Pki, own_address};

const REPAIRED: [&str; 5] = [
    "init phase kubeconfig kubelet",
    "init phase kubelet-start",
    "init phase etcd local",
    "reset",
    "join",
];

fn hostname() -> String {
    let name = nix::unistd::gethostname().unwrap();
    name.into_string().unwrap()
}

#[test]
fn a_cut_between_the_second_member_and_its_etcd_is_repaired() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.21"]);
    let etcd = Etcd::first(&pki, "127.0.0.21");
    etcd.put("precious", "1");
    etcd.add(OWN);
    let node = ControlPlane::beside(&pki, &[&etcd]);
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), REPAIRED);
    // etcd's pod is patched as in the join that follows.
    let mut patched = node.machine.calls_of("kubeadm");
    patched.retain(|call| call.contains(" --experimental-patches /etc/nkd/patches"));
    assert_eq!(patched.len(), 2, "{patched:#?}");
    let members = node.machine.read("/members-at-reset");
    assert!(!members.contains(&own_peer()), "{members}");
    assert_eq!(etcd.peers(), ["https://127.0.0.21:2380"]);
    assert!(etcd.has("precious"));
    assert!(!node.data_are_here());
}

#[test]
fn an_etcd_that_was_restarted_while_it_waits_for_this_node_is_repaired() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.30"]);
    let mut etcd = Etcd::first(&pki, "127.0.0.30");
    etcd.add(OWN);
    // From now on it serves no clients.
    etcd.stop();
    etcd.start();
    let node = ControlPlane::beside(&pki, &[&etcd]).with_traces();
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), REPAIRED);
    assert_eq!(etcd.peers(), ["https://127.0.0.30:2380"]);
}

#[test]
fn a_second_member_whose_machine_lost_its_disk_is_replaced() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.22"]);
    let etcd = Etcd::first(&pki, "127.0.0.22");
    drop(etcd.another(&hostname(), OWN));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = listener.local_addr().unwrap();
    drop(listener);
    let node = ControlPlane::of(&pki, &[&etcd], Authority::new(), api);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Without a quorum there is no API.
            assert!(etcd.has("started"));
            Receiver::listen(api, &[], Some(&node.authority))
        });
        node.machine.install();
    });
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), REPAIRED);
    assert_eq!(etcd.peers(), ["https://127.0.0.22:2380"]);
}

#[test]
fn an_api_that_fails_for_want_of_this_nodes_etcd_does_not_keep_it_from_the_repair() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.26"]);
    let etcd = Etcd::first(&pki, "127.0.0.26");
    etcd.add(OWN);
    let ok = Answer::Status(200);
    let answers = [ok, ok, ok, ok, Answer::Status(504)];
    let node = ControlPlane::whose_endpoint_says(&pki, &[&etcd], &answers).with_traces();
    give_credentials(&node.machine);
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), REPAIRED);
    assert_eq!(etcd.peers(), ["https://127.0.0.26:2380"]);
}

#[test]
fn a_labelled_control_plane_whose_etcd_has_started_is_never_reset() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.27"]);
    let etcd = Etcd::first(&pki, "127.0.0.27");
    let _member = etcd.another(&hostname(), OWN);
    let ok = Answer::Status(200);
    let answers = [ok, ok, ok, ok, LABELLED];
    let node = ControlPlane::whose_endpoint_says(&pki, &[&etcd], &answers);
    let node = node.with_traces().with_data();
    give_credentials(&node.machine);
    write_control_plane(&node.machine);
    node.machine.attempt();
    let (_, cause, message) = node.machine.failure();
    assert_eq!(cause, Cause::KubeadmControlPlane, "{message}");
    assert!(node.kubeadm().is_empty());
    assert!(node.data_are_here());
    assert_eq!(etcd.peers().len(), 2);
}

#[test]
fn a_label_without_data_is_of_an_earlier_life() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.28", "127.0.0.29"]);
    let first = Etcd::first(&pki, "127.0.0.28");
    let second = first.another("cp-b", "127.0.0.29");
    drop(second.another(&hostname(), OWN));
    let ok = Answer::Status(200);
    // The other control planes have no API, and are waited for in between.
    let answers = [ok, ok, ok, ok, LABELLED];
    let node = ControlPlane::whose_endpoint_says(&pki, &[&first, &second], &answers).with_traces();
    give_credentials(&node.machine);
    write_control_plane(&node.machine);
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), ["reset", "join"]);
    assert_eq!(first.peers().len(), 2);
}

#[test]
fn a_repair_that_was_cut_off_is_done_again_over_what_it_left() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.23"]);
    let etcd = Etcd::first(&pki, "127.0.0.23");
    etcd.add(OWN);
    let node = ControlPlane::beside(&pki, &[&etcd]).with_traces();
    // The first time, the power is cut before kubelet starts etcd, and takes its files with it.
    node.machine.write("/no-etcd", "");
    node.machine.install();
    assert_eq!(node.machine.failure().1, Cause::KubeadmEtcdQuorum);
    assert!(!node.kubeadm().iter().any(|call| call == "reset"));
    for torn in ["kubelet.conf", "manifests/etcd.yaml"] {
        node.machine
            .write(&format!("/etc/kubernetes/{torn}"), "\0\0\0");
    }
    fs::remove_file(node.machine.path("/no-etcd")).unwrap();
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(etcd.peers(), ["https://127.0.0.23:2380"]);
    assert!(
        node.kubeadm()
            .ends_with(&["reset".to_owned(), "join".to_owned()])
    );
}

#[test]
#[ignore = "long: waits for an etcd that does not come"]
fn a_repair_that_fails_while_the_gate_waits_has_a_cause_of_the_gate() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.31"]);
    let etcd = Etcd::first(&pki, "127.0.0.31");
    etcd.add(OWN);
    let closed = "127.0.0.1:1".parse().unwrap();
    let node = ControlPlane::of(&pki, &[&etcd], Authority::new(), closed).with_traces();
    node.machine.write("/no-etcd", "");
    node.machine.attempt();
    let (stage, cause, message) = node.machine.failure();
    let expected = (Some(Stage::Gate), Cause::GateEtcdQuorum);
    assert_eq!((stage, cause), expected, "{message}");
    assert!(!node.kubeadm().iter().any(|call| call == "reset"));
}

#[test]
fn with_three_members_and_two_down_nothing_is_thrown_away() {
    let _own = own_address();
    let pki = Pki::new(&["127.0.0.24", "127.0.0.25"]);
    let first = Etcd::first(&pki, "127.0.0.24");
    let mut second = first.another("cp-b", "127.0.0.25");
    drop(second.another(&hostname(), OWN));
    second.stop();
    let node = ControlPlane::beside(&pki, &[&first, &second]);
    let node = node.with_traces().with_data();
    node.machine.install();
    let (stage, cause, message) = node.machine.failure();
    assert_eq!(
        (stage, cause),
        (Some(Stage::Kubeadm), Cause::KubeadmEtcdQuorum),
        "{message}"
    );
    assert!(message.contains("https://127.0.0.24:2379"), "{message}");
    assert!(node.kubeadm().is_empty());
    assert!(node.data_are_here());
    assert_eq!(first.peers().len(), 3);

    second.start();
    second.put("second", "is back");
    node.machine.install();
    node.machine.lacks_only_its_api();
    assert_eq!(node.kubeadm(), ["reset", "join"]);
    assert_eq!(first.peers().len(), 2);
}
