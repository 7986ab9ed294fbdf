//! The machine: files, commands, the journal and systemd's watchdog.

mod backoff;
mod command;
pub(crate) mod files;
pub(crate) mod journal;
mod redact;
mod root;
mod running;
mod sync;
mod text;
pub(crate) mod tls;
mod watchdog;

pub(crate) use backoff::Backoff;
pub use backoff::{jittered, random};
pub(crate) use command::{Command, CommandError};
pub(crate) use redact::Redactor;
pub use root::Root;
pub(crate) use root::SEARCH_PATH;
pub(crate) use running::{Input, Running};
pub(crate) use sync::sync;
pub(crate) use text::printable;
pub(crate) use watchdog::{alive, attended};

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How often a waiting worker process checks what it waits for. This is well below the unit's
/// `WatchdogSec=`.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Sleeps, and stays [`alive`].
pub(crate) fn sleep(duration: Duration) {
    let mut left = duration;
    while !left.is_zero() {
        alive();
        let step = left.min(TICK);
        std::thread::sleep(step);
        left -= step;
    }
}

/// The line in a file of the kernel, such as the boot id, or an empty text if it cannot be read.
fn kernel_line(path: &str) -> String {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The id of this boot.
pub(crate) fn boot_id() -> String {
    kernel_line("/proc/sys/kernel/random/boot_id")
}

/// The time since this boot began, including suspension.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// A new random UUID, from the kernel.
pub(crate) fn uuid() -> String {
    kernel_line("/proc/sys/kernel/random/uuid")
}
