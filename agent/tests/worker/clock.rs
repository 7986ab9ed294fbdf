//! The clock waits for a time service, and not for ever.

use nkd_contract::{Cause, Stage};

use super::machine::Machine;

fn warnings(timedatectl: &str) -> Vec<(Cause, String)> {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Clock, 1);
    });
    machine.program("timedatectl", timedatectl);
    machine.install();
    // Whatever it was, the node went on.
    machine.lacks_only_its_api();
    let mut warnings = machine.warnings();
    warnings.retain(|(cause, _)| *cause == Cause::ClockUnsynchronized);
    warnings
}

#[test]
fn a_clock_that_is_set_by_a_time_server_needs_no_words() {
    assert_eq!(warnings("echo NTP=yes; echo NTPSynchronized=yes"), []);
}

#[test]
fn a_time_server_that_does_not_answer_is_waited_for_and_then_gone_on_without() {
    let warned = warnings("echo NTP=yes; echo NTPSynchronized=no");
    assert_eq!(warned[0].1, "the time service has not set the clock yet");
    let last = &warned.last().unwrap().1;
    assert!(
        last.starts_with("continuing with the clock at 20"),
        "{last}"
    );
}

#[test]
fn a_time_server_that_answers_late_is_waited_for() {
    let late = "[ -e $ROOT/asked ] && echo NTPSynchronized=yes; touch $ROOT/asked; echo NTP=yes";
    assert_eq!(warnings(late).len(), 1);
}

#[test]
fn without_a_time_service_there_is_nothing_to_wait_for() {
    let warned = warnings("echo NTP=no; echo NTPSynchronized=no");
    assert_eq!(warned.len(), 1);
    assert!(
        warned[0].1.ends_with("no time service is running"),
        "{warned:?}"
    );
}
