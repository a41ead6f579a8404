//! What strangers can make happen at will is logged sparingly: nobody fills the log, and how much was left out is told.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines a second.
const LINES: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Lines at once after a rest.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// Says when a line may be written.
#[derive(Debug)]
pub struct Sparing {
    lines: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Default for Sparing {
    fn default() -> Self {
        Self {
            lines: RateLimiter::direct(Quota::per_second(LINES).allow_burst(BURST)),
            left_out: AtomicU64::new(0),
        }
    }
}

impl Sparing {
    /// How many lines were left out since the last one, when one may be written now.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        if self.lines.check().is_ok() {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_few_lines() {
        let sparing = Sparing::default();
        let mut told = Vec::new();
        for _ in 0..100_000 {
            told.extend(sparing.line());
        }
        assert!((100..10_000).contains(&told.len()), "{}", told.len());
        let left_out = sparing.left_out.load(Ordering::Relaxed) + told.iter().sum::<u64>();
        assert_eq!(left_out + told.len() as u64, 100_000);
    }
}
