use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A part that hasn't beaten for this long is stuck. Longer than the longest thing a part waits
/// for by itself, a callback's timeout.
const LIMIT: Duration = Duration::from_secs(90);

/// The sign of life of one part: the watchdog is fed only while all of them beat.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    part: &'static str,
    epoch: Instant,
    /// Milliseconds from `epoch` to the last beat.
    last: Arc<AtomicU64>,
}

impl Pulse {
    pub(super) fn new(part: &'static str) -> Self {
        Self {
            part,
            epoch: Instant::now(),
            last: Arc::default(),
        }
    }

    /// Says that the part is alive; at least every [`LIMIT`].
    pub(super) fn beat(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the part is alive.
    pub(super) fn beats(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let silent = Duration::from_millis(self.now().saturating_sub(last));
        if silent >= LIMIT {
            log::warn!("{} has been stuck for {} s", self.part, silent.as_secs());
        }
        silent < LIMIT
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
