//! Waiting for the node's own object to say that it is Ready.

use nkd_contract::{Cause, Stage};
use rcgen::{CertificateParams, KeyPair};

use super::machine::{End, Machine};
use super::receiver::{Answer, Authority, Receiver};

const NOT_READY: Answer = Answer::Body(
    r#"{"metadata": {"name": "cp1", "resourceVersion": "42"}, "status": {"conditions":
        [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network"}]}}"#,
);
pub const READY: Answer = Answer::Body(
    r#"{"status": {"conditions":
        [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}}"#,
);

const NO_NETWORK: Answer = Answer::Body(
    r#"{"metadata": {"name": "cp1", "resourceVersion": "42"}, "status": {"conditions":
        [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message":
          "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"}]}}"#,
);
const CHANGE: Answer = Answer::Body("{\"type\": \"MODIFIED\"}\n");

/// A machine whose kubelet has credentials for an API that gives these answers, after its worker
/// has made it Ready.
fn installed(answers: &[Answer]) -> (Machine, Receiver) {
    let (machine, api, end) = installed_within(60, answers);
    assert_eq!(end, End::Ready);
    (machine, api)
}

/// The same with so many seconds for the stage `ready`, and how it ended.
fn installed_within(budget: u64, answers: &[Answer]) -> (Machine, Receiver, End) {
    let machine = Machine::new();
    let authority = Authority::new();
    let api = Receiver::listen("127.0.0.1:0".parse().unwrap(), answers, Some(&authority));
    give_credentials(&machine);
    machine.plan(|plan| {
        plan.certificate_authority.clone_from(&authority.pem);
        plan.endpoint = api.address.to_string();
        plan.budgets = [(Stage::Ready, budget)].into();
    });
    let end = machine.install();
    (machine, api, end)
}

#[test]
fn a_network_add_on_is_waited_for_past_the_budget_and_any_other_trouble_is_not() {
    let with = |not_ready, looks| {
        let waits = [not_ready, CHANGE].repeat(looks);
        installed_within(1, &[&waits[..], &[READY]].concat())
    };
    let (machine, _, end) = with(NO_NETWORK, 6);
    assert_eq!(end, End::Ready);
    let told = machine.warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, Cause::ReadyNoNetwork);

    let (machine, _, end) = with(NOT_READY, 100);
    assert_eq!(end, End::Exhausted);
    assert_eq!(machine.failure().1, Cause::ReadyNotYet);
}

/// Gives the machine's kubelet credentials.
pub fn give_credentials(machine: &Machine) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    machine.write(
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        &(certificate + &key.serialize_pem()),
    );
}

#[test]
fn a_change_of_the_node_is_heard_of_rather_than_asked_for() {
    let (machine, api) = installed(&[NOT_READY, CHANGE, READY]);
    let node = machine.events()[0].node.clone();
    let object = format!("GET /api/v1/nodes/{node} HTTP/1.1");
    assert_eq!(api.next().line, object);
    assert_eq!(
        api.next().line,
        "GET /api/v1/nodes?watch=true&fieldSelector=metadata.name%3Dcp1&resourceVersion=42\
         &timeoutSeconds=5 HTTP/1.1"
    );
    assert_eq!(api.next().line, object);
    let (cause, message) = machine.warnings().pop().unwrap();
    assert_eq!(cause, Cause::ReadyNotYet);
    assert_eq!(message, "KubeletNotReady: no network");
}

#[test]
fn an_api_that_tells_of_no_changes_is_asked_again() {
    for trouble in [Answer::Status(403), Answer::HangUp, Answer::Body("")] {
        let (_, api) = installed(&[NOT_READY, trouble, READY]);
        let asked: Vec<_> = (0..3).map(|_| api.next().line).collect();
        assert_eq!(asked[0], asked[2]);
    }
}
