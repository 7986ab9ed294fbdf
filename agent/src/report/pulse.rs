use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A part that has given no sign of life for this time is stuck. This is longer than the longest wait of
/// a part, the time limit of a callback.
const LIMIT: Duration = Duration::from_secs(90);

/// The sign of life of one part. systemd's watchdog is notified only while all parts give one.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    part: &'static str,
    epoch: Instant,
    /// The milliseconds from `epoch` to the last sign of life.
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

    /// Gives a sign of life. Must be called at least once every [`LIMIT`].
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
