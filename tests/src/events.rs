//! The events that a machine's agent has written. They are read on the host, so that waiting does not use
//! the machine's processors, and ends within milliseconds after the event.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nkd_contract::{Event, Kind, Stage, paths};

use crate::Machine;

const TICK: Duration = Duration::from_millis(5);

/// All events so far.
pub fn events(machine: &Machine) -> Vec<Event> {
    let log = machine.read(paths::EVENTS).unwrap_or_default();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Whether an event is of this kind, in this stage.
pub fn is(event: &Event, kind: Kind, stage: Stage) -> bool {
    event.kind == kind && event.stage == Some(stage.into())
}

/// Waits for an event after those that were `seen`.
///
/// # Errors
/// It hasn't come when the time is up, or the machine is off.
pub fn await_event(
    machine: &Machine,
    seen: usize,
    patience: Duration,
    is_it: impl Fn(&Event) -> bool,
) -> Result<Event> {
    let mut found = None;
    await_soon(machine, "an event", patience, || {
        found = events(machine).into_iter().skip(seen).find(&is_it);
        found.is_some()
    })?;
    let Some(event) = found else {
        bail!("{}: there is no such event", machine.name());
    };
    Ok(event)
}

/// Waits until something has happened, and notices it within milliseconds.
///
/// # Errors
/// It hasn't happened when the time is up, or the machine is off.
pub fn await_soon(
    machine: &Machine,
    what: &str,
    patience: Duration,
    mut happened: impl FnMut() -> bool,
) -> Result<()> {
    let start = Instant::now();
    while !happened() {
        ensure!(
            machine.is_running() && start.elapsed() < patience,
            "{}: waited {} s for {what}\n{}",
            machine.name(),
            start.elapsed().as_secs(),
            machine.journal(&["--unit=nkd-agent", "--lines=40"])?
        );
        std::thread::sleep(TICK);
    }
    Ok(())
}
