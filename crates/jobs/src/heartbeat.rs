//! Keeps the leases of the tasks that are being worked on, from a thread of its own, so that a busy
//! runtime does not lose them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tpm_domain::TaskId;
use tpm_store::Store;

/// Which tasks are held, and when their leases were last extended.
#[derive(Debug)]
pub struct Heartbeat {
    state: Mutex<State>,
    ttl: Duration,
}

#[derive(Debug)]
struct State {
    held: HashSet<TaskId>,
    last: Instant,
}

impl Heartbeat {
    /// For leases of this length.
    #[must_use]
    pub fn new(ttl: Duration) -> Arc<Self> {
        let state = State {
            held: HashSet::new(),
            last: Instant::now(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            ttl,
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hold(&self, task: TaskId) {
        self.state().held.insert(task);
    }

    pub(crate) fn let_go(&self, task: TaskId) {
        self.state().held.remove(&task);
    }

    /// Whether the leases were extended recently enough to begin something that takes a while.
    pub(crate) fn is_fresh(&self, claimed: Instant) -> bool {
        let last = self.state().last.max(claimed);
        last.elapsed() < self.ttl / 2
    }

    /// Extends the leases every quarter of their length until `stop`, on the runtime it is called
    /// from: give it one of its own.
    pub async fn run(&self, store: &dyn Store, owner: &str, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.ttl / 4) => {}
            }
            let held: Vec<TaskId> = self.state().held.iter().copied().collect();
            let asked = Instant::now();
            match store.queue().renew(owner, &held, self.ttl).await {
                Ok(_) => self.state().last = asked,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot extend leases"
                    );
                }
            }
        }
    }
}
