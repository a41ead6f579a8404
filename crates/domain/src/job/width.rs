//! How many of one kind of work run best at once: found by measuring, because on many hosts more at
//! once is slower past a small number. Pure: time and what happened arrive as arguments.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A measurement takes so many ends of work for each place.
const ROUNDS: u32 = 3;
/// Fewest ends of work that are counted for a rate.
const LEAST: u32 = 12;
/// Most ends of work that one measurement waits for.
const MOST: u32 = 36;
/// How far a rate that was measured on few ends of work may be from the true one, in shares of itself and
/// for one end: it shrinks with the root of their number.
const DOUBT: f64 = 0.7;
/// A width whose rate is worse by no more than this share is as good as the best one.
const ALIKE: f64 = 1.01;
/// What is known counts so much less with each measurement: hosts change.
const FADES: f64 = 0.98;

/// What was measured at one width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Measured {
    /// Ends of work.
    ended: f64,
    /// Seconds that they took in all.
    secs: f64,
}

impl Measured {
    fn rate(self) -> f64 {
        self.ended / self.secs.max(0.001)
    }

    /// The best that the true rate may well be.
    fn hoped(self) -> f64 {
        self.rate() * (1.0 + DOUBT / self.ended.max(1.0).sqrt())
    }
}

/// What is known of a kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Width {
    /// How many may run at once now.
    pub now: u32,
    /// Never more.
    most: u32,
    /// When the present measurement began; `None` while nobody waits, for then a rate says nothing.
    began: Option<Timestamp>,
    /// Ends of work since then.
    ended: u32,
    /// The best one known.
    home: u32,
    /// Whether more was better the last time that something was.
    upwards: bool,
    /// What was measured, by width.
    #[serde(default)]
    measured: BTreeMap<u32, Measured>,
}

impl Width {
    /// Begins with `start` at once, and never allows more than `most`.
    #[must_use]
    pub fn new(start: u32, most: u32) -> Self {
        let most = most.max(1);
        let start = start.clamp(1, most);
        Self {
            now: start,
            most,
            began: None,
            ended: 0,
            home: start,
            upwards: true,
            measured: BTreeMap::new(),
        }
    }

    /// The same within another bound, when settings have changed.
    #[must_use]
    pub fn within(mut self, most: u32) -> Self {
        self.most = most.max(1);
        self.now = self.now.min(self.most);
        self
    }

    /// One piece of work has ended well. `crowded`: somebody waits for a place.
    pub fn ended(&mut self, at: Timestamp, crowded: bool) {
        if !crowded {
            self.began = None;
            return;
        }
        let Some(began) = self.began else {
            self.restart(at);
            return;
        };
        self.ended += 1;
        if self.ended < (self.now * ROUNDS).clamp(LEAST, MOST) {
            return;
        }
        for known in self.measured.values_mut() {
            known.ended *= FADES;
            known.secs *= FADES;
        }
        let known = self.measured.entry(self.now).or_default();
        known.ended += f64::from(self.ended);
        known.secs += at.since(began).as_secs_f64();
        self.choose();
        self.restart(at);
    }

    /// A lock was held for too long, or the host had no worker left: half as many.
    pub fn busy(&mut self, at: Timestamp) {
        self.now = (self.now / 2).max(1);
        // What was measured above was measured on another day.
        let now = self.now;
        self.measured.retain(|width, _| *width <= now);
        self.restart(at);
    }

    fn restart(&mut self, at: Timestamp) {
        self.began = Some(at);
        self.ended = 0;
    }

    /// The best known width or a neighbour of it: one that is not known, on the side first on which it got
    /// better last, else the one that may well be the best. What was measured often is known well, so the
    /// neighbours of a clear best are seldom looked at.
    fn choose(&mut self) {
        let rates = self.measured.values().map(|known| known.rate());
        let top = rates.fold(0.0, f64::max);
        // Of alike ones the smallest: fewer at once for the same is gentler.
        let best = self
            .measured
            .iter()
            .find(|(_, known)| known.rate() * ALIKE >= top);
        let Some((&best, _)) = best else { return };
        let best = best.min(self.most);
        if best != self.home {
            self.upwards = best > self.home;
            self.home = best;
        }
        let step = (best / 4).max(1);
        let up = (best + step).min(self.most);
        let down = best.saturating_sub(step).max(1);
        let hoped = |width: &u32| self.measured.get(width).map_or(0.0, |known| known.hoped());
        let sides = if self.upwards { [up, down] } else { [down, up] };
        let unknown = sides
            .into_iter()
            .find(|width| !self.measured.contains_key(width));
        let likely = [up, best, down]
            .into_iter()
            .max_by(|a, b| hoped(a).total_cmp(&hoped(b)));
        self.now = unknown.or(likely).unwrap_or(best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `ends` ends of work on a host of this rate by width; the share of the best rate reached.
    fn share(start: u32, rate: impl Fn(u32) -> f64, ends: u32) -> (f64, u32) {
        let mut width = Width::new(start, 64);
        let mut at = 0.0;
        for _ in 0..ends {
            at += 1000.0 / rate(width.now);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a small number of milliseconds"
            )]
            width.ended(Timestamp(at as i64), true);
        }
        let best = (1..=64).map(&rate).fold(0.0, f64::max);
        (f64::from(ends) * 1000.0 / at / best, width.now)
    }

    /// Machines per second as measured on a real host, straight lines between.
    fn measured(width: u32) -> f64 {
        let points = [(1.0, 3.1), (2.0, 5.1), (4.0, 6.2), (8.0, 5.3), (16.0, 4.1)];
        let w = f64::from(width).min(16.0);
        let pair = points
            .windows(2)
            .find(|pair| w <= pair[1].0)
            .unwrap_or(&points[3..]);
        let [(a, ra), (b, rb)] = [pair[0], pair[1]];
        ra + (rb - ra) * (w - a) / (b - a)
    }

    #[test]
    fn a_thousand_clones_come_near_the_best_fixed_width() {
        let (share, _) = share(4, measured, 1000);
        assert!(share > 0.95, "{share}");
    }

    #[test]
    fn a_bad_start_is_left_behind() {
        for start in [1, 16, 64] {
            let (share, now) = share(start, measured, 1000);
            assert!(share > 0.85, "{start}: {share}");
            assert!((3..=6).contains(&now), "{start}: {now}");
        }
    }

    #[test]
    fn a_large_host_is_used() {
        let (_, now) = share(4, |width| f64::from(width.min(24)), 2000);
        assert!(now >= 20, "{now}");
    }

    #[test]
    fn busy_halves_and_one_is_the_least() {
        let mut width = Width::new(8, 8);
        width.busy(Timestamp(0));
        assert_eq!(width.now, 4);
        for _ in 0..5 {
            width.busy(Timestamp(0));
        }
        assert_eq!(width.now, 1);
    }

    #[test]
    fn without_a_crowd_nothing_is_learned() {
        let mut width = Width::new(4, 8);
        for n in 0..1000 {
            width.ended(Timestamp(n), false);
        }
        assert_eq!(width, Width::new(4, 8));
        assert_eq!(Width::new(4, 8).within(2).now, 2);
    }
}
