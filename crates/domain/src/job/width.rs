//! How many of one kind of work run best at once: found by measuring, because on many hosts more at
//! once is slower past a small number. Pure: time and what happened arrive as arguments.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A measurement takes so many ends of work for each place.
const ROUNDS: u32 = 2;
/// Fewest ends of work that are counted for a rate.
const LEAST: u32 = 6;
/// Most ends of work that one measurement waits for.
const MOST: u32 = 24;
/// A larger width must be better by this share to be moved to.
const CLEARLY: f64 = 1.03;
/// A smaller width may be worse by this share and is moved to all the same.
const ALIKE: f64 = 1.01;
/// After so many measurements without a better neighbour, the neighbours are measured anew: hosts change.
const SETTLED: u32 = 12;
/// How much a new measurement of a width counts beside what is known of it.
const NEW: f64 = 0.5;

/// What is known of a kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Width {
    /// How many may run at once now.
    pub now: u32,
    /// The best one known; `now` leaves it only to measure a neighbour.
    home: u32,
    /// Whether more was better the last time that something was.
    upwards: bool,
    /// Never more.
    most: u32,
    /// When the present measurement began; `None` while nobody waits, for then a rate says nothing.
    began: Option<Timestamp>,
    /// Ends of work since then.
    ended: u32,
    /// Measurements since home changed or its neighbours were forgotten.
    stayed: u32,
    /// Ends per second by width, as far as measured.
    rates: BTreeMap<u32, f64>,
}

impl Width {
    /// Begins with `start` at once, and never allows more than `most`.
    #[must_use]
    pub fn new(start: u32, most: u32) -> Self {
        let most = most.max(1);
        let start = start.clamp(1, most);
        Self {
            now: start,
            home: start,
            upwards: true,
            most,
            began: None,
            ended: 0,
            stayed: 0,
            rates: BTreeMap::new(),
        }
    }

    /// The same within another bound, when settings have changed.
    #[must_use]
    pub fn within(mut self, most: u32) -> Self {
        self.most = most.max(1);
        self.now = self.now.min(self.most);
        self.home = self.home.min(self.most);
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
        let secs = at.since(began).as_secs_f64().max(0.001);
        let rate = f64::from(self.ended) / secs;
        let known = self.rates.entry(self.now).or_insert(rate);
        *known += (rate - *known) * NEW;
        self.stayed += 1;
        self.choose();
        self.restart(at);
    }

    /// A lock was held for too long, or the host had no worker left: half as many.
    pub fn busy(&mut self, at: Timestamp) {
        self.now = (self.now / 2).max(1);
        self.home = self.now;
        self.stayed = 0;
        // What was measured above was measured on another day.
        let now = self.now;
        self.rates.retain(|width, _| *width <= now);
        self.restart(at);
    }

    fn restart(&mut self, at: Timestamp) {
        self.began = Some(at);
        self.ended = 0;
    }

    /// Decides between home and the neighbour that was just measured, then looks at a neighbour of home
    /// that is not known, on the side first on which it got better last.
    fn choose(&mut self) {
        let rate = |width: u32| self.rates.get(&width).copied();
        if self.now != self.home
            && let (Some(here), Some(home)) = (rate(self.now), rate(self.home))
        {
            let better = if self.now > self.home {
                here > home * CLEARLY
            } else {
                // Fewer at once for the same is gentler.
                here * ALIKE >= home
            };
            if better {
                self.upwards = self.now > self.home;
                self.home = self.now;
                self.stayed = 0;
            }
        }
        if self.stayed >= SETTLED {
            self.stayed = 0;
            let home = self.home;
            self.rates.retain(|width, _| *width == home);
        }
        let step = (self.home / 4).max(1);
        let up = (self.home + step).min(self.most);
        let down = self.home.saturating_sub(step).max(1);
        let sides = if self.upwards { [up, down] } else { [down, up] };
        self.now = sides
            .into_iter()
            .find(|width| !self.rates.contains_key(width))
            .unwrap_or(self.home);
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
