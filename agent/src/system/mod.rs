//! The machine underneath.

mod backoff;
pub mod command;
pub mod files;
pub mod journal;
mod redact;
mod root;
mod running;
mod sync;
mod text;
pub mod tls;

pub use backoff::{Backoff, jittered, random};
pub use command::{Command, CommandError};
pub use redact::Redactor;
pub use root::Root;
pub use running::{Input, Running};
pub use sync::sync;
pub use text::printable;

use std::panic::resume_unwind;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How often a waiting worker looks around; well below the unit's `WatchdogSec=`.
pub const TICK: Duration = Duration::from_secs(1);

/// Tells systemd that the process isn't stuck; call at least every [`TICK`] while waiting.
pub fn alive() {
    // Without a manager to tell there is nothing to do.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
}

/// Sleeps, staying [`alive`].
pub fn sleep(duration: Duration) {
    let mut left = duration;
    while !left.is_zero() {
        alive();
        let step = left.min(TICK);
        std::thread::sleep(step);
        left -= step;
    }
}

/// Does what may block for longer than a [`TICK`], staying [`alive`]. What is done is to have an end
/// of its own.
pub fn attended<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (sender, done) = std::sync::mpsc::sync_channel(1);
        let thread = scope.spawn(move || {
            let result = work();
            // Wakes the one who waits.
            let _ = sender.send(());
            result
        });
        while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            alive();
        }
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A line of the kernel's, such as the boot id; empty when it can't be read.
fn kernel_line(path: &str) -> String {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The kernel's id of this boot.
pub fn boot_id() -> String {
    kernel_line("/proc/sys/kernel/random/boot_id")
}

/// How long ago this boot began, suspension included.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// A new random UUID, from the kernel.
pub fn uuid() -> String {
    kernel_line("/proc/sys/kernel/random/uuid")
}
