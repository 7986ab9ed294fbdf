//! Bootstrap tokens of a node whose clock was set after it had made them. kubeadm is a stand-in here; the
//! testbed shows that the real one makes them anew.

use std::process::ExitStatus;

use nkd_contract::{Role, Stage};

use super::machine::Machine;

const MARK: &str = "/run/nkd/tokens-made-too-early";
const RENEWAL: &str = "kubeadm init phase bootstrap-token --skip-token-print \
                       --config /etc/nkd/kubeadm.yaml --kubeconfig /etc/kubernetes/admin.conf";

/// What `kubeadm init` leaves.
const INIT: &str =
    "for name in admin kubelet; do echo whole > $ROOT/etc/kubernetes/$name.conf; done";

/// A machine that has made a cluster, with or without a time server.
fn installed(is_synchronized: bool) -> Machine {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Clock, 0);
    });
    set_time_server(&machine, is_synchronized);
    machine.program("kubeadm", INIT);
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    machine
}

fn set_time_server(machine: &Machine, answers: bool) {
    let answers = if answers { "yes" } else { "no" };
    let says = format!("echo NTP=yes; echo NTPSynchronized={answers}");
    machine.program("timedatectl", &says);
}

/// What happens when the clock is set.
fn clock_is_set(machine: &Machine) -> ExitStatus {
    machine.agent("tokens").status().unwrap()
}

/// In seconds, suspension included, as the kernel counts.
fn since_boot() -> f64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    uptime.split(' ').next().unwrap().parse().unwrap()
}

fn renewals(machine: &Machine) -> usize {
    let calls = machine.calls_of("kubeadm").into_iter();
    calls.filter(|call| call == RENEWAL).count()
}

#[test]
fn tokens_are_renewed_whenever_the_clock_is_set_until_a_time_server_has_set_it() {
    let machine = installed(false);
    assert!(clock_is_set(&machine).success());
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 2);
    set_time_server(&machine, true);
    assert!(clock_is_set(&machine).success());
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 3);
}

#[test]
fn tokens_that_were_made_by_a_right_clock_are_never_renewed() {
    let machine = installed(true);
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 0);
}

#[test]
fn tokens_are_renewed_when_the_api_is_up_again() {
    let machine = installed(false);
    set_time_server(&machine, true);
    machine.program("kubeadm", "exit 1");
    assert!(!clock_is_set(&machine).success());
    machine.program("kubeadm", "exit 0");
    assert!(clock_is_set(&machine).success());
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 2);
}

#[test]
fn tokens_do_not_come_back_to_life_a_day_later() {
    let machine = installed(false);
    let until: f64 = machine.read(MARK).parse().unwrap();
    let left = until - since_boot();
    assert!((86_000.0..=86_400.0).contains(&left), "{left}");
    machine.write(MARK, "0");
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 0);
    assert!(!machine.path(MARK).exists());
}

#[test]
fn tokens_that_a_right_clock_will_make_need_no_renewal() {
    let machine = installed(false);
    let admin = machine.path("/etc/kubernetes/admin.conf");
    std::fs::remove_file(&admin).unwrap();
    assert!(clock_is_set(&machine).success());
    assert!(machine.path(MARK).exists());
    set_time_server(&machine, true);
    assert!(clock_is_set(&machine).success());
    // Now they are made, and the clock is set once more.
    std::fs::write(&admin, "whole").unwrap();
    assert!(clock_is_set(&machine).success());
    assert_eq!(renewals(&machine), 0);
}

#[test]
fn a_node_that_joins_has_no_tokens_to_renew() {
    let machine = Machine::new();
    set_time_server(&machine, false);
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.budgets.extend([(Stage::Clock, 0), (Stage::Gate, 0)]);
    });
    machine.install();
    assert!(!machine.path(MARK).exists());
}
