//! What all parts of one run share: the clock, the trace, and what was found wrong.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use tpm_domain::{Clock, Timestamp};

/// When every run begins.
const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);
/// More lines than any run writes that comes to an end.
const LONGEST_TRACE: usize = 500_000;

/// Virtual time: it passes when nobody has anything to do.
#[derive(Debug)]
pub(crate) struct Virtual {
    began: Instant,
}

impl Virtual {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        BEGINNING.plus(self.began.elapsed())
    }
}

/// A run as it is seen from outside.
#[derive(Debug)]
pub(crate) struct Scene {
    clock: Virtual,
    tracing: bool,
    trace: Mutex<Vec<String>>,
    wrong: Mutex<Vec<String>>,
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    pub(crate) fn new(tracing: bool) -> Self {
        Self {
            clock: Virtual::begin(),
            tracing,
            trace: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Milliseconds since the run began.
    pub(crate) fn age(&self, at: Timestamp) -> i64 {
        at.0 - BEGINNING.0
    }

    /// One line of the trace; put together only when somebody reads it.
    pub(crate) fn tell(&self, who: &str, what: impl fmt::Display) {
        if !self.tracing {
            return;
        }
        let mut trace = locked(&self.trace);
        if trace.len() < LONGEST_TRACE {
            let age = self.age(self.now());
            trace.push(format!(
                "{:>9}.{:03} {who:<8} {what}",
                age / 1000,
                age % 1000
            ));
        }
    }

    /// An invariant that does not hold.
    pub(crate) fn wrong(&self, what: impl fmt::Display) {
        let age = self.age(self.now());
        let text = format!("at {}.{:03} s: {what}", age / 1000, age % 1000);
        self.tell("WRONG", &text);
        locked(&self.wrong).push(text);
    }

    /// What was told, and what is wrong.
    pub(crate) fn end(&self) -> (Vec<String>, Vec<String>) {
        (
            std::mem::take(&mut *locked(&self.trace)),
            std::mem::take(&mut *locked(&self.wrong)),
        )
    }
}

impl Clock for Scene {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
