//! How long to wait before trying again.

use std::time::Duration;

/// The first wait is at most this long.
const FIRST: Duration = Duration::from_secs(1);

/// A wait after so many failures in a row, drawn evenly from nothing to a bound that doubles with
/// each, up to the longest: full jitter, so that a thousand nodes that were refused together don't
/// come back together.
pub fn jittered(failures: u32, longest: Duration) -> Duration {
    let doubled = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    FIRST
        .saturating_mul(doubled)
        .min(longest)
        .mul_f64(fastrand::f64())
}

/// Counts the failures in a row.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Backoff {
    /// Waits up to the longest.
    pub const fn new(longest: Duration) -> Self {
        Self {
            failures: 0,
            longest,
        }
    }

    /// The wait after another failure; at least what the other side asks for, within the longest.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        jittered(self.failures, self.longest)
            .max(asked.unwrap_or_default())
            .min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn waits_grow_to_the_longest_and_never_past_it() {
        let mut backoff = Backoff::new(LONGEST);
        for failures in 0..100 {
            let bound = Duration::from_secs(1 << failures.min(6)).min(LONGEST);
            assert!(backoff.next(None) <= bound);
        }
    }

    #[test]
    fn what_the_other_side_asks_for_is_honoured_within_the_longest() {
        let mut backoff = Backoff::new(LONGEST);
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_secs(3600))), LONGEST);
    }
}
