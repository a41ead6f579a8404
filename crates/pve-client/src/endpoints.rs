//! Which endpoint a call goes to: the last one that answered, those in doubt after the others, and none
//! that its breaker keeps closed to calls.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use crate::{
    breaker::{Breaker, Pauses, Standing},
    config::Timeouts,
    error::Error,
};

/// What is known of an endpoint, for a status page.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// Its address.
    pub url: Url,
    /// Whether calls go there.
    pub reach: Reach,
    /// Connections in a row that failed.
    pub failures: u32,
    /// What the last one that failed said; `None` once an endpoint has answered.
    pub last_failure: Option<String>,
}

/// Whether calls go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    Closed,
    /// They do not: connections failed. The next call after this time is a probe.
    Open {
        /// From now.
        next_probe: Duration,
    },
    /// One call at a time does, as a probe: the pause is over.
    HalfOpen {
        /// Whether one is under way.
        probing: bool,
    },
}

pub(crate) struct Endpoints {
    all: Vec<Url>,
    known: Mutex<Known>,
    pauses: Pauses,
    /// How long an endpoint that is in doubt is asked after the others.
    doubt: Duration,
}

struct Known {
    /// The last one that answered.
    good: usize,
    each: Vec<One>,
}

#[derive(Default)]
struct One {
    breaker: Breaker,
    doubted: Option<Instant>,
    last_failure: Option<String>,
}

impl Endpoints {
    pub(crate) fn new(all: Vec<Url>, timeouts: &Timeouts) -> Self {
        let each = all.iter().map(|_| One::default()).collect();
        Self {
            all,
            known: Mutex::new(Known { good: 0, each }),
            pauses: Pauses {
                first: timeouts.first_pause,
                longest: timeouts.longest_pause.max(timeouts.first_pause),
            },
            doubt: timeouts.cooldown,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every endpoint once, the most promising first. Whether it may be asked, [`admit`](Self::admit)
    /// says when its turn has come.
    pub(crate) fn order(&self) -> Vec<usize> {
        let known = self.known();
        let now = Instant::now();
        let mut order: Vec<_> = (0..self.all.len()).collect();
        order.sort_by_key(|&i| {
            let one = &known.each[i];
            let closed = one.breaker.standing(now) == Standing::Closed;
            let doubted = one.doubted.is_some_and(|at| now < at + self.doubt);
            (!closed, doubted, i != known.good, i)
        });
        order
    }

    /// Leave for one call to this endpoint, unless its breaker is open.
    pub(crate) fn admit(&self, index: usize) -> Option<Admission<'_>> {
        let probe = self.known().each[index].breaker.admit(Instant::now())?;
        Some(Admission {
            endpoints: self,
            index,
            probe,
        })
    }

    /// Why no endpoint was asked, and when one is.
    pub(crate) fn paused(&self) -> Error {
        let known = self.known();
        let now = Instant::now();
        // one that is being probed is the next to be known of, but nobody can say when
        let wait = |one: &One| match one.breaker.standing(now) {
            Standing::Closed | Standing::Due => Some(Duration::ZERO),
            Standing::Open(until) => Some(until.saturating_duration_since(now)),
            Standing::Probing => None,
        };
        let next = known
            .each
            .iter()
            .map(|one| (wait(one), one))
            .min_by_key(|(wait, _)| *wait);
        let (wait, said) = next.map_or((None, None), |(wait, one)| {
            (wait, one.last_failure.as_deref())
        });
        let when = match wait {
            Some(wait) => format!("the next probe is due in {:.1} s", wait.as_secs_f64()),
            None => "a probe is under way".to_owned(),
        };
        let said = said.unwrap_or("no connection");
        Error::paused(
            format!("not sent after failed connections ({said}); {when}"),
            wait,
        )
    }

    pub(crate) fn urls(&self) -> &[Url] {
        &self.all
    }

    pub(crate) fn states(&self) -> Vec<EndpointState> {
        let known = self.known();
        let now = Instant::now();
        let state = |(url, one): (&Url, &One)| EndpointState {
            url: url.clone(),
            reach: match one.breaker.standing(now) {
                Standing::Closed => Reach::Closed,
                Standing::Open(until) => Reach::Open {
                    next_probe: until.saturating_duration_since(now),
                },
                Standing::Due => Reach::HalfOpen { probing: false },
                Standing::Probing => Reach::HalfOpen { probing: true },
            },
            failures: one.breaker.failures(),
            last_failure: one.last_failure.clone(),
        };
        self.all.iter().zip(&known.each).map(state).collect()
    }
}

/// Leave for one call. Say how it ended; dropped without a word, it was given up by who waited for it.
pub(crate) struct Admission<'e> {
    endpoints: &'e Endpoints,
    index: usize,
    /// Nobody else asks this endpoint until the end of this call is told.
    probe: bool,
}

impl Admission<'_> {
    pub(crate) fn url(&self) -> &Url {
        &self.endpoints.all[self.index]
    }

    /// It answered, and is the one to ask next.
    pub(crate) fn answered(self) {
        self.works(None, true);
    }

    /// It answered that it could not reach another node: it works, but another one may do better.
    pub(crate) fn doubted(self) {
        self.works(Some(Instant::now()), false);
    }

    fn works(mut self, doubted: Option<Instant>, good: bool) {
        self.probe = false;
        let mut known = self.endpoints.known();
        if good {
            known.good = self.index;
        }
        let one = &mut known.each[self.index];
        let again = one.breaker.answered();
        one.doubted = doubted;
        one.last_failure = None;
        if again {
            tracing::info!(endpoint = %self.url(), "endpoint answers again");
        }
    }

    /// No connection, or no answer on it.
    pub(crate) fn failed(mut self, said: &str) {
        let probe = std::mem::take(&mut self.probe);
        let now = Instant::now();
        let mut known = self.endpoints.known();
        let one = &mut known.each[self.index];
        one.doubted = Some(now);
        one.last_failure = Some(said.to_owned());
        let pauses = self.endpoints.pauses;
        let paused = one.breaker.failed(probe, now, pauses, rand::random());
        if let Some(pause) = paused {
            tracing::warn!(
                endpoint = %self.url(),
                failures = one.breaker.failures(),
                pause_ms = pause.as_millis(),
                said,
                "endpoint is left alone"
            );
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe {
            let breaker = &mut self.endpoints.known().each[self.index].breaker;
            breaker.abandoned(Instant::now(), rand::random());
        }
    }
}
