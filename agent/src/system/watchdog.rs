//! Notifies systemd's watchdog that the process isn't stuck.
//!
//! The watchdog is for the agent's own code, which calls [`alive`] while it waits. A disk may take minutes for an
//! fsync, and a restart of the agent would only make it slower. So a thread notifies the watchdog while
//! [`attended`] work runs.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::TICK;

/// How much attended work runs at this moment.
static ATTENDED: AtomicUsize = AtomicUsize::new(0);

/// Notifies systemd that the process isn't stuck; to be called at least every [`TICK`] while waiting.
pub(crate) fn alive() {
    // Without a manager to tell there is nothing to do.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
}

/// Does what the kernel may block for longer than the watchdog's time, such as an fsync, and stays
/// [`alive`] meanwhile. The work waits for nothing but the kernel.
pub(crate) fn attended<T>(work: impl FnOnce() -> T) -> T {
    static THREAD: Once = Once::new();
    THREAD.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(TICK);
                if ATTENDED.load(Ordering::Relaxed) > 0 {
                    alive();
                }
            }
        });
    });
    let _running = AttendedWork::begin();
    work()
}

/// Counts as attended work while it exists, also when that panics.
struct AttendedWork;

impl AttendedWork {
    fn begin() -> Self {
        ATTENDED.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for AttendedWork {
    fn drop(&mut self) {
        ATTENDED.fetch_sub(1, Ordering::Relaxed);
    }
}
