//! Time and randomness: one clock that can be sped up, one generator that can be seeded.
//!
//! Nothing else in this crate reads the wall clock for behaviour or draws random numbers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, TimeZone, Utc};

/// Wall time for what clients see, scaled time for everything that waits.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    scale: f64,
}

impl Clock {
    /// `scale` multiplies every wait: 1.0 is real time, 0.01 a hundred times faster.
    pub(crate) fn new(scale: f64) -> Self {
        Self {
            started: Instant::now(),
            scale: scale.max(0.0),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        Utc::now().timestamp()
    }

    pub(crate) fn now_millis(&self) -> i64 {
        Utc::now().timestamp_millis()
    }

    /// Milliseconds since the simulator started, used for uptimes and process start times.
    pub(crate) fn up_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn scaled(&self, duration: Duration) -> Duration {
        duration.mul_f64(self.scale)
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        let scaled = self.scaled(duration);
        if scaled.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(scaled).await;
        }
    }
}

/// Local time, as PVE prints it in archive names and backup logs.
pub(crate) fn local(at: i64) -> DateTime<Local> {
    Local
        .timestamp_opt(at, 0)
        .single()
        .unwrap_or_else(|| DateTime::<Utc>::UNIX_EPOCH.with_timezone(&Local))
}

/// A small seeded generator (splitmix64): the same seed gives the same run.
#[derive(Debug)]
pub(crate) struct Random(Mutex<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed ^ 0x5851_F42D_4C95_7F2D))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits are exactly what a f64 holds"
        )]
        let numerator = (self.next() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }

    pub(crate) fn between(&self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn uuid(&self) -> String {
        let high = (self.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = (self.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }

    /// A MAC address with the prefix PVE registers for itself.
    pub(crate) fn mac(&self, prefix: &str) -> String {
        let n = self.next();
        format!(
            "{prefix}:{:02X}:{:02X}:{:02X}",
            n & 0xFF,
            (n >> 8) & 0xFF,
            (n >> 16) & 0xFF
        )
    }
}
