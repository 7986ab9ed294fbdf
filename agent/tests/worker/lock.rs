//! There is one worker at a time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::machine::{End, Machine};

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
