//! Joining a cluster that isn't as it should be.

use std::net::SocketAddr;

use nkd_contract::{Cause, Kind, Plan, Role, Stage, paths};

use super::machine::Machine;
use super::receiver::{Authority, Receiver};

/// An API that says yes to everything, and the plan of a node that joins there.
fn api(authority: &Authority) -> Receiver {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Receiver::listen(any, &[], Some(authority))
}

fn joins(plan: &mut Plan, authority: &Authority, endpoint: SocketAddr) {
    plan.role = Role::JoinControlPlane;
    plan.certificate_authority.clone_from(&authority.pem);
    plan.endpoint = endpoint.to_string();
    // Its second part is what an earlier control plane gets.
    plan.budgets.extend([(Stage::Gate, 6), (Stage::Kubeadm, 0)]);
}

#[test]
fn a_control_plane_that_never_comes_up_is_gone_on_without_after_its_time() {
    let machine = Machine::new();
    let authority = Authority::new();
    let (endpoint, alive) = (api(&authority), api(&authority));
    machine.plan(|plan| {
        joins(plan, &authority, endpoint.address);
        let dead = "127.0.0.1:1".to_owned();
        plan.control_planes_before = vec![dead, alive.address.to_string()];
    });
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    let (cause, said) = machine.warnings().pop().unwrap();
    assert_eq!(cause, Cause::GateUnreachable);
    assert!(
        said.starts_with(
            "going on after 1 s without a control plane: 127.0.0.1:1 can't be reached"
        ),
        "{said}"
    );
    // The one after it is asked all the same.
    assert_eq!(alive.next().line, "GET /readyz HTTP/1.1");
}

#[test]
fn a_node_that_kubeadm_was_done_with_is_never_reset_again() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.program("kubeadm", "touch $ROOT/etc/kubernetes/kubelet.conf");
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    // The agent forgets all it knew, and the cluster doesn't answer.
    std::fs::remove_file(machine.path(paths::STATE)).unwrap();
    machine.write("/etc/kubernetes/manifests/kube-apiserver.yaml", "");
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    assert_eq!(machine.calls_of("kubeadm").len(), 1);

    // A person's own reset is understood.
    std::fs::remove_file(machine.path("/etc/kubernetes/kubelet.conf")).unwrap();
    std::fs::remove_file(machine.path("/etc/kubernetes/manifests/kube-apiserver.yaml")).unwrap();
    std::fs::remove_file(machine.path(paths::STATE)).unwrap();
    machine.install();
    assert_eq!(machine.calls_of("kubeadm").len(), 2);
}

#[test]
fn a_member_of_another_cluster_is_none_of_this_one() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.write("/etc/kubernetes/nkd-member.crt", "another authority");
    machine.write("/etc/kubernetes/kubelet.conf", "");
    machine.install();
    let calls = machine.calls_of("kubeadm").join("\n");
    assert!(
        calls.contains("kubeadm reset") && calls.contains("kubeadm init"),
        "{calls}"
    );
    let done = machine.events().into_iter();
    let done = done.filter(|event| event.kind == Kind::StageDone);
    assert!(
        done.map(|event| event.stage)
            .any(|stage| stage == Some(Stage::Kubeadm))
    );
}
