//! The delays before another attempt.

use std::time::Duration;

/// The first wait is at most this long.
const FIRST: Duration = Duration::from_secs(1);

/// A uniformly random time up to a limit ("full jitter"), so that a thousand nodes that began to wait at
/// the same moment do not retry at the same moment.
pub fn random(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}

/// A [`random`] delay after this number of consecutive failures. Its limit doubles with each failure, up
/// to the longest delay.
pub fn jittered(failures: u32, longest: Duration) -> Duration {
    let doubled = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    random(FIRST.saturating_mul(doubled).min(longest))
}

/// Counts consecutive failures.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Backoff {
    /// Waits up to the longest.
    pub(crate) const fn new(longest: Duration) -> Self {
        Self {
            failures: 0,
            longest,
        }
    }

    /// The delay after another failure. If the server asks for a delay, it is at least as long, up to the
    /// longest delay, and at most twice as long, because the server asks many clients for the same delay.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let asked = asked.unwrap_or_default().min(self.longest);
        jittered(self.failures, self.longest).max(asked + random(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn waits_grow_to_the_longest_and_never_past_it() {
        // Of so many random waits, some are longer than half of the bound.
        let mut nodes = [(); 200].map(|()| Backoff::new(LONGEST));
        for failures in 0..100 {
            let bound = Duration::from_secs(1 << failures.min(6)).min(LONGEST);
            let waits = nodes.iter_mut().map(|backoff| backoff.next(None));
            let longest = waits.max().unwrap();
            assert!(
                longest <= bound && longest > bound / 2,
                "{failures}: {longest:?}"
            );
        }
    }

    #[test]
    fn what_the_other_side_asks_for_is_honoured_within_the_longest() {
        let mut backoff = Backoff::new(LONGEST);
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        let longer = backoff.next(Some(Duration::from_secs(3600)));
        assert!(longer >= LONGEST && longer <= 2 * LONGEST, "{longer:?}");
    }

    #[test]
    fn those_who_were_asked_for_the_same_time_wait_for_different_times() {
        let asked = Duration::from_secs(30);
        let waits = [(); 8].map(|()| Backoff::new(LONGEST).next(Some(asked)));
        let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(
            longest.abs_diff(*shortest) > Duration::from_secs(3),
            "{waits:?}"
        );
    }
}
