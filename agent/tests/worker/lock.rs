//! There is one worker at a time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::machine::{End, Machine};

#[test]
fn what_a_killed_worker_has_started_does_not_go_on_beside_the_next() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.program("systemctl", "echo $$ > $ROOT/pid; exec sleep 60");
    let mut worker = machine.command().spawn().unwrap();
    let start = Instant::now();
    while !machine.read("/pid").ends_with('\n') {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    // Whoever has adopted it may leave it a zombie, which has no command line.
    let command_line = format!("/proc/{}/cmdline", machine.read("/pid").trim());
    while std::fs::read(&command_line).is_ok_and(|line| !line.is_empty()) {
        assert!(start.elapsed() < Duration::from_secs(20), "it lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_worker_names_the_first_and_touches_nothing() {
    let machine = Machine::new();
    machine.plan(|_| {});
    // The first is in the middle of a stage until it is told to go on.
    machine.program("systemctl", "while [ ! -e $ROOT/go ]; do sleep 0.05; done");
    let first = machine.command().spawn().unwrap();
    let start = Instant::now();
    let waits = |call: &String| call.starts_with("systemctl enable");
    while !machine.calls().iter().any(waits) {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = (machine.calls(), machine.events());

    let second = machine.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(
        error.contains(&format!("process {} ", first.id())),
        "{error}"
    );
    assert_eq!((machine.calls(), machine.events()), before);

    machine.write("/go", "");
    machine.end_of(first, before.1.len());
    assert_ne!(machine.install(), End::Other(Some(1)));
}
