//! How long things take. The instant profile takes none; the realistic one draws from the seed.
//!
//! Under load cloning gets slower per machine, and past a width slower altogether.

use std::time::Duration;

use crate::clock::Random;
use crate::config::Profile;

/// Kinds of work with a duration of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    LinkedClone,
    /// Copies this many bytes.
    FullClone(u64),
    Create,
    Start,
    Stop,
    /// A guest shutting itself down.
    Shutdown,
    /// From power on to a system that answers.
    Boot,
    Resize,
    Destroy,
    Config,
    Snapshot,
    Template,
    Delete,
    /// Moves this many bytes.
    Transfer(u64),
    /// A short synchronous call.
    Call,
}

/// Machines per second that were measured with this many clones at once.
const MEASURED: [(f64, f64); 5] = [(1.0, 3.1), (2.0, 5.1), (4.0, 6.2), (8.0, 5.3), (16.0, 4.1)];

/// How much longer one clone takes when `width` run at once on the same storage.
pub(crate) fn slowdown(width: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    let width = (width.max(1)) as f64;
    let alone = MEASURED[0].1;
    let mut rate = MEASURED[MEASURED.len() - 1].1;
    for pair in MEASURED.windows(2) {
        let [(low, low_rate), (high, high_rate)] = [pair[0], pair[1]];
        if width <= high {
            rate = low_rate + (high_rate - low_rate) * (width - low) / (high - low);
            break;
        }
    }
    width * alone / rate
}

pub(crate) fn duration(profile: Profile, random: &Random, work: Work) -> Duration {
    if profile == Profile::Instant {
        return Duration::ZERO;
    }
    let seconds = match work {
        Work::LinkedClone => random.between(1.0, 3.0),
        Work::FullClone(bytes) | Work::Transfer(bytes) => {
            #[expect(clippy::cast_precision_loss, reason = "an estimate of seconds")]
            let gib = bytes as f64 / f64::from(1_u32 << 30);
            0.5 + gib / random.between(0.25, 0.5)
        }
        Work::Create | Work::Template => random.between(0.5, 1.5),
        Work::Start | Work::Destroy => random.between(1.0, 3.0),
        Work::Stop => random.between(1.0, 2.0),
        Work::Shutdown => random.between(3.0, 8.0),
        Work::Boot => random.between(8.0, 20.0),
        Work::Resize => random.between(0.7, 1.3),
        Work::Config => random.between(0.2, 0.6),
        Work::Snapshot | Work::Delete => random.between(0.5, 2.0),
        Work::Call => random.between(0.01, 0.06),
    };
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_width_is_four() {
        let rate = |width: usize| f64::from(u32::try_from(width).expect("small")) / slowdown(width);
        assert!((slowdown(1) - 1.0).abs() < 1e-9);
        assert!(rate(4) > rate(2) && rate(4) > rate(8) && rate(8) > rate(16));
    }
}
