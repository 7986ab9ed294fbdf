//! The reporter: reads the event log, and passes the events on over D-Bus and in HTTP callbacks.
//!
//! It runs without privileges, and can read nothing but the log and the report target. Its two parts
//! follow the log independently, so that a receiver that does not answer never delays D-Bus, and a lost
//! bus never delays callbacks.

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

/// The longest delay before the next attempt to reach the bus or the receiver of callbacks.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// How often the end of the start is checked. The whole boot waits for it.
const SOON: Duration = Duration::from_millis(20);

/// Reports until a signal stops it. If one of its parts fails, it ends with an error. The unit then
/// starts it again, and nothing is lost, because its whole state is on the disk.
///
/// # Errors
/// The event log cannot be followed, or signals cannot be received.
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

/// Blocks the signals that stop the process, in this thread and in all threads that it starts, and
/// returns the descriptor from which they can be read.
fn stop_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
}

/// Waits. Returns `true` if a signal has asked the process to stop.
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

/// Runs a part in a thread of its own, which reports how the part ended.
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

/// The error of a part that has ended. Parts only end with errors.
fn end_of_a_part(reports: &Receiver<End>) -> anyhow::Result<()> {
    match reports.try_recv() {
        Ok(end) => end,
        Err(TryRecvError::Empty) => Ok(()),
        Err(TryRecvError::Disconnected) => Err(anyhow!("all parts have ended")),
    }
}

/// Notifies systemd. Does nothing if no manager listens.
fn notify(state: &[NotifyState]) {
    let _ = sd_notify::notify(state);
}
