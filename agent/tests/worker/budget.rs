//! How long a stage may go on failing, and what happens then.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nkd_contract::{Cause, Image, Kind, Stage, Word};

use super::machine::{End, Machine};

#[test]
fn a_dead_runtime_is_tried_again_until_its_budget_is_used_up() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 2);
    });
    machine.program(
        "systemctl",
        "echo 'containerd.service is broken' >&2; exit 1",
    );
    let begun = Instant::now();
    assert_eq!(machine.install(), End::Exhausted);
    let took = begun.elapsed();
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Runtime), Cause::RuntimeStart));
    assert!(
        message.contains("containerd.service is broken"),
        "{message}"
    );
    let delays = delays(&machine);
    assert!(!delays.is_empty());
    assert!(
        took >= delays.iter().sum::<Duration>(),
        "{delays:?} were announced, and it ended after {took:?}"
    );
}

/// The delays that were announced before further attempts.
fn delays(machine: &Machine) -> Vec<Duration> {
    let events = machine.events().into_iter();
    let again = events.filter(|event| event.kind == Kind::AttemptFailed);
    again
        .map(|event| Duration::from_millis(event.retry_after.unwrap()))
        .collect()
}

#[test]
fn the_time_that_attempts_take_uses_up_the_budget() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 3);
    });
    machine.program("systemctl", "sleep 1.6; exit 1");
    assert_eq!(machine.install(), End::Exhausted);
    // After two attempts, whose delays alone could not be as long as that.
    let delays = delays(&machine);
    assert_eq!(delays.len(), 1, "{delays:?}");
}

#[test]
fn a_node_whose_budget_is_used_up_stays_failed_until_the_cause_is_gone_and_then_goes_on_by_itself()
{
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 1);
    });
    machine.program(
        "systemctl",
        "[ -e $ROOT/repaired ] || { echo broken >&2; exit 1; }",
    );
    let mut worker = machine.command().spawn().unwrap();
    let failed = || {
        let events = machine.events();
        events.iter().position(|event| event.kind == Kind::Failed)
    };
    let calls = || machine.calls_of("systemctl").len();
    while failed().is_none() {
        sleep(Duration::from_millis(20));
    }
    // It is looked at again and again, and nobody hears of that.
    let before = calls();
    while calls() < before + 2 {
        sleep(Duration::from_millis(20));
    }
    assert!(worker.try_wait().unwrap().is_none());
    let failed = failed().unwrap();
    assert_eq!(machine.events().len(), failed + 1);

    machine.write("/repaired", "");
    assert_eq!(machine.end_of(worker, failed + 1), End::Exhausted);
    let events = machine.events();
    let kinds: Vec<_> = events[failed..]
        .iter()
        .map(|event| {
            (
                event.kind.known(),
                event.stage.as_ref().and_then(Word::known),
            )
        })
        .collect();
    let stage = Some(Stage::Runtime);
    assert_eq!(
        kinds[..4],
        [
            (Some(Kind::Failed), stage),
            (Some(Kind::Started), stage),
            (Some(Kind::StageDone), stage),
            (Some(Kind::StageStarted), Some(Stage::Images)),
        ]
    );
    machine.lacks_only_its_api();
}

#[test]
fn a_node_that_fails_for_another_cause_after_its_budget_tells_that_one() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 1);
    });
    machine.program("systemctl", "[ -e $ROOT/starts ]");
    let worker = machine.command().spawn().unwrap();
    while !machine
        .events()
        .iter()
        .any(|event| event.kind == Kind::Failed)
    {
        sleep(Duration::from_millis(20));
    }
    let before = machine.events().len();
    machine.write("/starts", "");
    machine.program("ctr", "exit 1");
    assert_eq!(machine.end_of(worker, before), End::Exhausted);
    let (stage, cause, _) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Runtime), Cause::RuntimeSocket));
}

#[test]
fn started_again_after_a_stop_it_tries_only_the_failed_stage_again() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    let before = machine.events().len();
    assert_eq!(machine.attempt(), End::Exhausted);
    let stages: Vec<_> = machine.events()[before..]
        .iter()
        .filter(|event| event.kind == Kind::StageStarted)
        .map(|event| event.stage.clone().unwrap())
        .collect();
    assert_eq!(stages, [Stage::Ready]);
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
}

#[test]
fn a_worker_that_a_stage_never_survives_stops_with_that_cause() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Kubeadm, 1);
    });
    machine.program("kubeadm", "sleep 0.1; kill -KILL $PPID");
    let starts = (1..=100).find(|_| machine.install() == End::Stopped);
    assert!(starts.is_some_and(|starts| starts >= 10), "{starts:?}");
    let (stage, cause, _) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Kubeadm), Cause::AgentCutOff));
    // A person who has seen to it has it tried again.
    machine.program("kubeadm", "exit 0");
    machine.install();
    machine.lacks_only_its_api();
}

#[test]
fn a_stage_that_gets_further_is_not_given_up() {
    let machine = Machine::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        machine.write(
            &format!("/images/{name}.tar"),
            &format!("example.org/{name}:1\n"),
        );
    }
    machine.plan(|plan| {
        let image = |name| Image {
            name: format!("example.org/{name}:1"),
            digest: None,
        };
        plan.images.required = names.map(image).into();
        plan.budgets.insert(Stage::Images, 1);
    });
    // The first import of each takes most of the budget, and all but the last fail when they are done.
    machine.program(
        "ctr",
        r#"for last; do :; done
        case "$*" in
        *images\ list*) cat "$STORE";;
        *import*)
            mkdir "$ROOT/seen-${last##*/}" 2> /dev/null || exit 0
            sleep 0.8
            sed 's/$/ manifest sha256:0/' "$last" >> "$STORE"
            [ "${last##*/}" = d.tar ];;
        esac"#,
    );
    machine.install();
    machine.lacks_only_its_api();
    let failed = |event: &nkd_contract::Event| {
        event.kind == Kind::AttemptFailed && event.stage == Some(Stage::Images.into())
    };
    assert_eq!(
        machine
            .events()
            .iter()
            .filter(|event| failed(event))
            .count(),
        3
    );
}
