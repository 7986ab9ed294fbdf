//! The user's hooks run around stages, as programs of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nkd_contract::{Cause, Kind, Stage, paths};

use super::machine::{End, Machine};

fn hook(machine: &Machine, name: &str, script: &str, mode: u32) {
    let path = format!("{}/{name}", paths::HOOKS);
    let root = machine.path("/").display().to_string();
    machine.write(
        &path,
        &format!("#!/bin/sh\nPATH=/usr/bin:/bin\ncd {root}\n{script}\n"),
    );
    fs::set_permissions(machine.path(&path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn hooks_run_in_the_order_of_their_names_before_and_after_their_stage_and_know_of_it() {
    let machine = Machine::new();
    machine.write("/proc/sys/kernel/hostname", "cp1\n");
    machine.plan(|plan| plan.node = "cp1".into());
    let note = r#"echo "$(basename $0) $NKD_STAGE $NKD_ATTEMPT $NKD_ROLE $NKD_CLUSTER $NKD_NODE" >> calls"#;
    hook(&machine, "post-kubeadm.d/10-after", note, 0o755);
    hook(&machine, "pre-kubeadm.d/20-second", note, 0o755);
    hook(&machine, "pre-kubeadm.d/10-first", note, 0o700);
    machine.install();
    let calls = machine.calls();
    let kubeadm = calls
        .iter()
        .position(|call| call.starts_with("kubeadm init"))
        .unwrap();
    assert_eq!(calls[kubeadm - 3], "10-first kubeadm 1 init demo cp1");
    assert_eq!(calls[kubeadm - 2], "20-second kubeadm 1 init demo cp1");
    assert_eq!(calls[kubeadm + 1], "10-after kubeadm 1 init demo cp1");
    let events = machine.events().into_iter().filter(|event| {
        event.kind == Kind::Progress
            && event
                .message
                .starts_with("hook pre-kubeadm.d/10-first ended")
    });
    assert_eq!(events.count(), 1);
}

#[test]
fn a_hook_that_fails_is_tried_again_with_its_stage_and_then_stops_it() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 2);
    });
    hook(
        &machine,
        "pre-runtime.d/check",
        "echo the disk is not encrypted; exit 3",
        0o755,
    );
    assert_eq!(machine.install(), End::Exhausted);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Runtime), Cause::HookFailed));
    assert_eq!(
        message,
        "hook: pre-runtime.d/check ended with exit status: 3: the disk is not encrypted"
    );
    let started = machine.calls_of("systemctl").join("\n");
    assert!(!started.contains("--now containerd"), "{started}");
}

#[test]
fn a_hook_after_a_stage_that_fails_repeats_the_stage() {
    let machine = Machine::new();
    machine.plan(|_| {});
    hook(
        &machine,
        "post-runtime.d/label",
        "[ -e second ] || { touch second; exit 1; }",
        0o755,
    );
    machine.install();
    machine.lacks_only_its_api();
    let mut starts = machine.calls_of("systemctl");
    starts.retain(|call| call.contains("--now containerd"));
    assert_eq!(starts.len(), 2);
}

#[test]
fn a_hook_that_cannot_be_executed_is_not_passed_over() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Clock, 0);
    });
    hook(&machine, "pre-clock.d/rtc", "exit 0", 0o644);
    assert_eq!(machine.install(), End::Exhausted);
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::HookFailed);
    assert!(
        message.ends_with("rtc is not an executable file"),
        "{message}"
    );
}

#[test]
fn what_a_program_writes_to_a_terminal_reaches_no_event() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Kubeadm, 0);
    });
    machine.program(
        "kubeadm",
        r"printf '\033[31merror: a\000b\033[0m\n' >&2; exit 1",
    );
    machine.install();
    assert_eq!(machine.failure().2, "error: a b");
    assert!(!machine.read(paths::EVENTS).contains("\\u00"));
    assert!(!machine.read(paths::ISSUE).contains('\u{1b}'));
}
