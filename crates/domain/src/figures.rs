//! How much of what a guest has is in use, as the cluster's list tells it.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the list says of one guest. Values may be ten seconds old.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuestFigures {
    /// Share of its cores, 0 to 1.
    pub cpu: Option<f64>,
    /// Memory in use, in bytes.
    pub memory: Option<u64>,
    /// Memory in all, in bytes.
    pub memory_total: Option<u64>,
    /// Bytes received since it was started, or moved.
    pub net_in: Option<u64>,
    /// Bytes sent since it was started, or moved.
    pub net_out: Option<u64>,
}

/// What a guest's interfaces had counted at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When.
    pub at: Timestamp,
    /// Bytes received.
    pub net_in: u64,
    /// Bytes sent.
    pub net_out: u64,
}

/// What a guest used at one moment of the past; `None` was not measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuestUse {
    /// When.
    pub at: Timestamp,
    /// Processor time, in percent of its cores.
    pub cpu: Option<f64>,
    /// Memory, in percent.
    pub memory: Option<f64>,
    /// Bytes received in a second.
    pub net_in: Option<f64>,
    /// Bytes sent in a second.
    pub net_out: Option<f64>,
}

/// A server's figures at the last look.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFigures {
    /// When it was looked at.
    pub at: Timestamp,
    /// Whether the guest ran; `None` is not known.
    pub running: Option<bool>,
    /// Processor time in use, in percent of its cores.
    pub cpu: Option<f64>,
    /// Memory in use, in percent.
    pub memory: Option<f64>,
    /// What was counted within the last minute or so, oldest first.
    pub counted: Vec<Counted>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes beyond 2^53 are told with an error far below one in a million"
)]
fn real(number: u64) -> f64 {
    number as f64
}

impl ServerFigures {
    /// Counts are kept for so long: a minute, and one look more.
    pub const KEPT: Duration = Duration::from_secs(75);
    /// Two counts closer than this make no rate: the list is renewed only every ten seconds.
    pub const LEAST: Duration = Duration::from_secs(15);

    /// The figures after one more look.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        at: Timestamp,
        running: Option<bool>,
        seen: &GuestFigures,
    ) -> Self {
        let is_on = running == Some(true);
        let percent = |share: f64| (share * 100.0).clamp(0.0, 100.0);
        let memory = match (seen.memory, seen.memory_total) {
            (Some(used), Some(total)) if total > 0 => Some(percent(real(used) / real(total))),
            _ => None,
        };
        let mut counted = Vec::new();
        if is_on && let (Some(net_in), Some(net_out)) = (seen.net_in, seen.net_out) {
            let now = Counted {
                at,
                net_in,
                net_out,
            };
            let old = before.map(|before| before.counted.as_slice());
            for one in old.unwrap_or_default() {
                // A counter that went back began anew.
                let goes_on = one.net_in <= net_in && one.net_out <= net_out;
                if goes_on && one.at < at && at.since(one.at) <= Self::KEPT {
                    counted.push(*one);
                }
            }
            counted.push(now);
        }
        Self {
            at,
            running,
            cpu: seen.cpu.filter(|_| is_on).map(percent),
            memory: memory.filter(|_| is_on),
            counted,
        }
    }

    /// Bytes received and sent in a second, over the last minute at most.
    #[must_use]
    pub fn network(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.counted.first()?, self.counted.last()?);
        let time = last.at.since(first.at);
        let rate = |from: u64, to: u64| real(to.saturating_sub(from)) / time.as_secs_f64();
        (time >= Self::LEAST).then(|| {
            (
                rate(first.net_in, last.net_in),
                rate(first.net_out, last.net_out),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(net_in: u64, net_out: u64) -> GuestFigures {
        GuestFigures {
            cpu: Some(0.25),
            memory: Some(1 << 29),
            memory_total: Some(1 << 30),
            net_in: Some(net_in),
            net_out: Some(net_out),
        }
    }

    fn looks(each: &[(i64, u64)]) -> ServerFigures {
        let mut last: Option<ServerFigures> = None;
        for (secs, bytes) in each {
            let at = Timestamp(secs * 1000);
            let seen = seen(*bytes, bytes / 2);
            last = Some(ServerFigures::after(last.as_ref(), at, Some(true), &seen));
        }
        last.expect("a look")
    }

    #[test]
    fn rates_are_taken_over_a_minute() {
        for (each, rates) in [
            (&[(0, 100)][..], None),
            (&[(0, 100), (10, 1100)], None),
            (&[(0, 0), (20, 2000)], Some((100.0, 50.0))),
            // What is older than the time kept does not count.
            (&[(0, 0), (30, 9000), (90, 15_000)], Some((100.0, 50.0))),
            // It was restarted: counted anew from there.
            (&[(0, 9000), (20, 10), (40, 2010)], Some((100.0, 50.0))),
            (&[(0, 9000), (20, 10)], None),
        ] {
            assert_eq!(looks(each).network(), rates, "{each:?}");
        }
        let figures = looks(&[(0, 1)]);
        assert_eq!((figures.cpu, figures.memory), (Some(25.0), Some(50.0)));
    }

    #[test]
    fn a_guest_that_is_off_uses_nothing_that_could_be_told() {
        let before = looks(&[(0, 0), (20, 2000)]);
        for running in [Some(false), None] {
            let at = Timestamp(30_000);
            let now = ServerFigures::after(Some(&before), at, running, &seen(3000, 1500));
            assert_eq!((now.cpu, now.memory, now.network()), (None, None, None));
        }
        let nothing = GuestFigures::default();
        let now = ServerFigures::after(None, Timestamp(0), Some(true), &nothing);
        assert_eq!((now.cpu, now.memory, now.network()), (None, None, None));
    }
}
