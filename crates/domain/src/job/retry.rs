//! When a step that did not work out is tried again: a pure function of the attempt and one random number.

use std::time::Duration;

/// Exponential back-off with jitter, and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Wait after the first failed attempt.
    pub first: Duration,
    /// Longest wait.
    pub cap: Duration,
    /// Attempts after which a step is given up.
    pub max_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            max_attempts: 8,
        }
    }
}

impl RetryPolicy {
    /// How long to wait before the next attempt, `None` when `attempt` (counted from 1) was the last.
    ///
    /// `random` lies in `0.0..1.0`; the wait lies between half and all of the doubled delay, so that
    /// many who failed together do not come back together.
    #[must_use]
    pub fn next(&self, attempt: u32, random: f64) -> Option<Duration> {
        (attempt < self.max_attempts).then(|| self.wait(attempt, random))
    }

    /// The wait after `attempt`, without an end.
    #[must_use]
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1 << attempt.saturating_sub(1).min(20));
        doubled
            .min(self.cap)
            .mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let policy = RetryPolicy {
            first: Duration::from_millis(100),
            cap: Duration::from_millis(350),
            max_attempts: 4,
        };
        let waits: Vec<_> = (1..=5)
            .map(|n| policy.next(n, 1.0).map(|d| d.as_millis()))
            .collect();
        assert_eq!(waits, [Some(100), Some(200), Some(350), None, None]);
        assert_eq!(policy.next(1, 0.0), Some(Duration::from_millis(50)));
        assert_eq!(policy.wait(u32::MAX, 1.0), policy.cap);
    }
}
