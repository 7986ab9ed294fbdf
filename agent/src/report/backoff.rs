use std::time::Duration;

/// The first wait is at most this long.
const BASE: Duration = Duration::from_secs(1);
/// No wait is longer.
pub(super) const CAP: Duration = Duration::from_secs(60);

/// Ever longer waits with full jitter: each is drawn evenly from nothing to a bound that doubles,
/// so that a cluster's nodes don't come back all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait; at least what the other side asks for, within the cap.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let bound = BASE
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(CAP);
        self.failures = self.failures.saturating_add(1);
        let drawn = bound.mul_f64(fastrand::f64());
        drawn.max(asked.unwrap_or_default()).min(CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_past_it() {
        let mut backoff = Backoff::default();
        for failures in 0..100 {
            let bound = Duration::from_secs(1 << failures.min(6)).min(CAP);
            assert!(backoff.next(None) <= bound);
        }
    }

    #[test]
    fn what_the_other_side_asks_for_is_honoured_within_the_cap() {
        let mut backoff = Backoff::default();
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_secs(3600))), CAP);
    }
}
