//! After refused credentials: nobody asks again until a while has passed, then one call does.
//!
//! PVE takes three seconds for every 401, so a queue of callers with a revoked token would keep it busy
//! with nothing else.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Error;

pub(crate) struct Gate {
    pause: Duration,
    refused: Mutex<Option<Refused>>,
}

struct Refused {
    error: Error,
    until: Instant,
    probing: bool,
}

impl Gate {
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            refused: Mutex::new(None),
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or says at once what the cluster said to the last one.
    pub(crate) fn pass(&self) -> Result<Pass<'_>, Error> {
        let now = Instant::now();
        let probe = match &mut *self.refused() {
            None => false,
            Some(refused) if refused.probing || now < refused.until => {
                let wait = refused.until.saturating_duration_since(now);
                return Err(refused.error.clone().again_in(wait));
            }
            Some(refused) => {
                refused.probing = true;
                true
            }
        };
        Ok(Pass { gate: self, probe })
    }

    /// How long until the credentials are tried again; `None` when they are not known to be refused.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        let now = Instant::now();
        let refused = self.refused();
        let refused = refused.as_ref()?;
        Some(refused.until.saturating_duration_since(now))
    }
}

/// Leave for one call. Dropped without a word, it found out nothing about the credentials.
pub(crate) struct Pass<'g> {
    gate: &'g Gate,
    probe: bool,
}

impl Pass<'_> {
    /// PVE answered something that it only tells those it knows.
    pub(crate) fn accepted(mut self) {
        self.probe = false;
        *self.gate.refused() = None;
    }

    /// PVE answered 401.
    pub(crate) fn refused(mut self, error: &Error) {
        self.probe = false;
        *self.gate.refused() = Some(Refused {
            error: error.clone(),
            until: Instant::now() + self.gate.pause,
            probing: false,
        });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(refused) = &mut *self.gate.refused()
        {
            refused.probing = false;
        }
    }
}
