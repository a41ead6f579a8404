//! What happened, for tests to read: counters, and a log of every effect.
//!
//! The effects are what really changed, not what was asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Numbers since the start or the last reset.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// Requests by `METHOD /path/template`.
    pub requests: BTreeMap<String, u64>,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Most clone tasks that ran at once.
    pub highest_clones: usize,
    /// Most tasks that ran at once.
    pub highest_tasks: usize,
    /// Most requests that were worked on at once.
    pub highest_requests: usize,
    /// Most backups that ran at once, by node and by storage: `pve1`, `pve1/local`, `ceph` when all share it.
    pub highest_backups: BTreeMap<String, usize>,
    /// Tasks started, by type.
    pub tasks: BTreeMap<String, u64>,
}

/// One change of the cluster's state.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// Position in the log, from 1.
    pub seq: u64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// `create`, `clone`, `destroy`, `start`, `stop`, `config`, `resize`, `migrate`, ...
    pub kind: String,
    /// The guest.
    pub vmid: u32,
    /// Its node.
    pub node: String,
    /// The task that did it; `None` for synchronous calls and the control door.
    pub task: Option<String>,
    /// More about it: the source of a clone, the keys of a configuration change.
    pub detail: String,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    counters: Counters,
    effects: Vec<Effect>,
    running_requests: usize,
    running_backups: BTreeMap<String, usize>,
}

impl Ledger {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn request_began(&self) {
        let mut books = self.books();
        books.running_requests += 1;
        books.counters.highest_requests =
            books.counters.highest_requests.max(books.running_requests);
    }

    pub(crate) fn request_ended(&self) {
        let mut books = self.books();
        books.running_requests = books.running_requests.saturating_sub(1);
    }

    pub(crate) fn count_request(&self, template: String) {
        *self.books().counters.requests.entry(template).or_default() += 1;
    }

    pub(crate) fn count_status(&self, status: u16) {
        *self.books().counters.statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn task_began(&self, kind: &str, running: usize, clones: usize) {
        let mut books = self.books();
        *books.counters.tasks.entry(kind.to_owned()).or_default() += 1;
        books.counters.highest_tasks = books.counters.highest_tasks.max(running);
        books.counters.highest_clones = books.counters.highest_clones.max(clones);
    }

    pub(crate) fn backup_began(&self, places: &[String]) {
        let mut books = self.books();
        for place in places {
            let running = books.running_backups.entry(place.clone()).or_default();
            *running += 1;
            let running = *running;
            let highest = books.counters.highest_backups.entry(place.clone());
            let highest = highest.or_default();
            *highest = running.max(*highest);
        }
    }

    pub(crate) fn backup_ended(&self, places: &[String]) {
        let mut books = self.books();
        for place in places {
            if let Some(running) = books.running_backups.get_mut(place) {
                *running = running.saturating_sub(1);
            }
        }
    }

    pub(crate) fn effect(&self, mut effect: Effect) {
        let mut books = self.books();
        effect.seq = books.effects.len() as u64 + 1;
        tracing::debug!(
            kind = effect.kind,
            vmid = effect.vmid,
            node = effect.node,
            "effect"
        );
        books.effects.push(effect);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.books().counters.clone()
    }

    pub(crate) fn reset_counters(&self) {
        self.books().counters = Counters::default();
    }

    pub(crate) fn effect_count(&self) -> usize {
        self.books().effects.len()
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.books().effects.clone()
    }
}
