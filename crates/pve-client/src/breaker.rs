//! Whether one endpoint may be tried now: closed, open for a growing while, or half open for one probe.
//!
//! Pure rules over moments that the caller passes in; it sends nothing, reads no clock and rolls no dice.

use std::time::Duration;

use tokio::time::Instant;

/// Failed connections in a row after which an endpoint is left alone.
pub(crate) const FAILURES: u32 = 3;

/// How long an endpoint is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// The first time.
    pub(crate) first: Duration,
    /// At most: each probe that fails doubles the pause up to here.
    pub(crate) longest: Duration,
}

/// What may be done with an endpoint at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Calls go there.
    Closed,
    /// No call goes there until then.
    Open(Instant),
    /// The pause is over: the next call is the probe.
    Due,
    /// A probe is under way, and no other call goes there.
    Probing,
}

/// The rules for one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: State,
    /// Failures in a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    Probing {
        pause: Duration,
    },
}

impl Breaker {
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Closed => Standing::Closed,
            State::Open { until, .. } if now < until => Standing::Open(until),
            State::Open { .. } => Standing::Due,
            State::Probing { .. } => Standing::Probing,
        }
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Asks for a call. `None`: not now. `Some(true)`: it is the probe, whose end must be told.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<bool> {
        match self.state {
            State::Closed => Some(false),
            State::Open { until, pause } if until <= now => {
                self.state = State::Probing { pause };
                Some(true)
            }
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    /// It answered, whatever it said: calls go there. Tells whether that is new.
    pub(crate) fn answered(&mut self) -> bool {
        let before = std::mem::take(self);
        !matches!(before.state, State::Closed)
    }

    /// It could not be reached, or did not answer. `random` lies in `0.0..1.0`: the pause lies between
    /// half and all of its length, so that many clients do not come back together. Tells the pause when
    /// one begins.
    pub(crate) fn failed(
        &mut self,
        probe: bool,
        now: Instant,
        pauses: Pauses,
        random: f64,
    ) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let pause = match self.state {
            State::Closed if self.failures < FAILURES => return None,
            State::Closed => pauses.first,
            State::Probing { pause } if probe => pause.saturating_mul(2),
            // begun before it opened: nothing new
            State::Open { .. } | State::Probing { .. } => return None,
        };
        Some(self.open(pause.min(pauses.longest), now, random))
    }

    /// Nobody waits for the probe any longer: that says nothing, so the pause is the same once more.
    pub(crate) fn abandoned(&mut self, now: Instant, random: f64) {
        if let State::Probing { pause } = self.state {
            self.open(pause, now, random);
        }
    }

    fn open(&mut self, pause: Duration, now: Instant, random: f64) -> Duration {
        let jittered = pause.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        let until = now + jittered;
        self.state = State::Open { until, pause };
        jittered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(5),
    };

    /// Opened a moment ago, for a whole pause.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            breaker.failed(false, now, PAUSES, 1.0);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(false, now, PAUSES, 1.0);
            assert_eq!(breaker.standing(now), Standing::Closed);
        }
        breaker.answered();
        for _ in 1..FAILURES {
            breaker.failed(false, now, PAUSES, 1.0);
            assert_eq!(
                breaker.admit(now),
                Some(false),
                "an answer began the count anew"
            );
        }
        breaker.failed(false, now, PAUSES, 1.0);
        assert_eq!(breaker.standing(now), Standing::Open(now + PAUSES.first));
        assert_eq!(breaker.admit(now), None);
    }

    #[test]
    fn one_probe_at_a_time_and_its_answer_closes() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = now + PAUSES.first;
        assert_eq!(breaker.admit(due - Duration::from_millis(1)), None);
        assert_eq!(breaker.standing(due), Standing::Due);
        assert_eq!(breaker.admit(due), Some(true));
        for later in [due, due + Duration::from_secs(3600)] {
            assert_eq!(breaker.admit(later), None, "the probe is under way");
        }
        breaker.answered();
        assert_eq!(breaker.admit(due), Some(false));
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_jittered() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pauses = vec![];
        for _ in 0..5 {
            let Standing::Open(until) = breaker.standing(now) else {
                panic!("not open: {breaker:?}");
            };
            pauses.push((until - now).as_millis());
            now = until;
            assert_eq!(breaker.admit(now), Some(true));
            breaker.failed(true, now, PAUSES, 1.0);
        }
        assert_eq!(pauses, [1000, 2000, 4000, 5000, 5000]);
        let Standing::Open(until) = breaker.standing(now) else {
            panic!("not open: {breaker:?}");
        };
        assert_eq!(breaker.admit(until), Some(true));
        breaker.failed(true, until, PAUSES, 0.0);
        let half = until + PAUSES.longest / 2;
        assert_eq!(breaker.standing(until), Standing::Open(half));
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing_but_by_an_answer() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let until = now + PAUSES.first;
        breaker.failed(false, now + PAUSES.first / 2, PAUSES, 1.0);
        assert_eq!(breaker.standing(now), Standing::Open(until));
        assert_eq!(breaker.admit(until), Some(true));
        breaker.failed(false, until, PAUSES, 1.0);
        assert_eq!(breaker.standing(until), Standing::Probing);
        breaker.answered();
        assert_eq!(breaker.standing(until), Standing::Closed);
    }

    #[test]
    fn a_probe_nobody_waits_for_is_made_again_later() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = now + PAUSES.first;
        assert_eq!(breaker.admit(due), Some(true));
        breaker.abandoned(due, 1.0);
        assert_eq!(breaker.standing(due), Standing::Open(due + PAUSES.first));
        breaker.answered();
        breaker.abandoned(due, 1.0);
        assert_eq!(
            breaker.standing(due),
            Standing::Closed,
            "it was closed meanwhile"
        );
    }
}
