//! How many requests a key, or a person by sessions, may send.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use tpm_domain::Error;

/// At once after a rest, as a multiple of what it may in a second.
const BURST: u32 = 4;
/// Senders after which those that rest are forgotten.
const MANY: usize = 10_000;

/// Counts requests by who sends them.
pub(crate) struct Pace {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl Pace {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST - 1));
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            clock: DefaultClock::default(),
        }
    }

    /// A request of a key or a person.
    pub(crate) fn request(&self, key: &str) -> Result<(), Error> {
        if self.limiter.len() > MANY {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let retry_after_secs = wait.as_secs() + 1;
            Error::RateLimited { retry_after_secs }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_to_wait_and_another_one_is_not() {
        let pace = Pace::new(NonZeroU32::MIN);
        for _ in 0..BURST {
            assert!(pace.request("key 1").is_ok());
        }
        let Err(Error::RateLimited { retry_after_secs }) = pace.request("key 1") else {
            panic!("never")
        };
        assert!((1..=2).contains(&retry_after_secs));
        assert!(pace.request("key 2").is_ok());
    }
}
