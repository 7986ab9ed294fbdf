//! The reporter: reads the event log and says on D-Bus and by HTTP callbacks what it says.
//!
//! It runs unprivileged and knows nothing but the log and the callback's target. Its two parts
//! each follow the log by themselves, so that a receiver that doesn't answer never holds up
//! D-Bus, and a bus that is gone never holds up callbacks.

mod bus;
mod callbacks;
mod cursor;
mod delivery;
mod node;
mod pulse;

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nkd_contract::paths;
use sd_notify::NotifyState;

use crate::events::EventFollower;
use crate::system::{Root, TICK, alive};
use callbacks::Callbacks;
use pulse::Pulse;

/// The longest wait before the bus or the receiver of callbacks is tried again.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// How often it is looked whether the start is over: the whole boot waits for that.
const SOON: Duration = Duration::from_millis(20);

/// Reports until it is asked to stop. Ends with an error when one of its parts does: its unit
/// starts it anew then, and nothing is lost, for all it knows is on the disk.
///
/// # Errors
/// The event log can't be followed, or signals can't be received.
pub fn report(root: &Root) -> anyhow::Result<()> {
    let stop = stop_signals().context("receiving signals")?;
    let (ended, reports) = mpsc::channel();
    let (set_up, is_set_up) = mpsc::channel();
    let pulses = [Pulse::new("D-Bus"), Pulse::new("callbacks")];

    let (events, pulse) = (follow(root)?, pulses[0].clone());
    spawn("bus", ended.clone(), move || {
        bus::serve(events, &pulse, &set_up)
    })?;
    let (events, pulse) = (follow(root)?, pulses[1].clone());
    let callbacks = Callbacks::new(root);
    spawn("callbacks", ended, move || callbacks.run(events, &pulse))?;

    // Who starts after this unit finds the name on the bus, when there is a bus.
    let mut starting = true;
    loop {
        if starting && !matches!(is_set_up.try_recv(), Err(TryRecvError::Empty)) {
            notify(&[NotifyState::Ready]);
            starting = false;
        }
        if wait(&stop, if starting { SOON } else { TICK })? {
            notify(&[NotifyState::Stopping]);
            return Ok(());
        }
        end_of_a_part(&reports)?;
        if pulses.iter().all(Pulse::beats) {
            alive();
        }
    }
}

fn follow(root: &Root) -> anyhow::Result<EventFollower> {
    let path = root.path(paths::EVENTS);
    EventFollower::new(path.clone()).with_context(|| format!("following {}", path.display()))
}

/// Blocks the signals that ask for an end, in this thread and all it starts, and gives the
/// descriptor they arrive at.
fn stop_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
}

/// Waits; `true` when the process is asked to end.
fn wait(stop: &SignalFd, patience: Duration) -> anyhow::Result<bool> {
    let mut wanted = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut wanted, timeout) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(error).context("waiting for signals"),
    }
}

type End = anyhow::Result<()>;

/// Runs a part in a thread of its own, which says how it ended.
fn spawn<F>(name: &str, ended: Sender<End>, part: F) -> anyhow::Result<()>
where
    F: FnOnce() -> End + Send + 'static,
{
    let run = move || {
        // Nobody listens only while the process ends.
        let _ = ended.send(part());
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .with_context(|| format!("starting the thread {name}"))?;
    Ok(())
}

/// The error of a part that has ended; parts end with errors only.
fn end_of_a_part(reports: &Receiver<End>) -> anyhow::Result<()> {
    match reports.try_recv() {
        Ok(end) => end,
        Err(TryRecvError::Empty) => Ok(()),
        Err(TryRecvError::Disconnected) => Err(anyhow!("all parts have ended")),
    }
}

/// Tells systemd; without a manager to tell there is nothing to do.
fn notify(state: &[NotifyState]) {
    let _ = sd_notify::notify(state);
}
