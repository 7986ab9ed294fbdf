//! Notifies systemd's watchdog that the process is not stuck.
//!
//! The watchdog is for the agent's own code, which calls [`alive`] while it waits. A disk may take minutes for an
//! fsync, and a restart of the agent would only make it slower. So a thread notifies the watchdog while
//! [`attended`] work runs.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::TICK;

/// The number of calls of [`attended`] that run at this moment.
static ATTENDED: AtomicUsize = AtomicUsize::new(0);

/// Notifies systemd that the process is not stuck. Must be called at least once every [`TICK`] while the
/// agent waits.
pub(crate) fn alive() {
    // Without a manager to tell there is nothing to do.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
}

/// Does work that the kernel may block for longer than the watchdog's time limit, such as an fsync, and
/// stays [`alive`] meanwhile. The work must wait for nothing but the kernel.
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

/// Counts as attended work while it exists, even if the work panics.
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
