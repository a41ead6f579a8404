//! Which node to ask first: the last one that answered, and those that just failed last of all.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use url::Url;

pub(crate) struct Endpoints {
    all: Vec<Url>,
    good: AtomicUsize,
    failed: Mutex<Vec<Option<Instant>>>,
    cooldown: Duration,
}

impl Endpoints {
    pub(crate) fn new(all: Vec<Url>, cooldown: Duration) -> Self {
        let failed = Mutex::new(vec![None; all.len()]);
        Self {
            all,
            good: AtomicUsize::new(0),
            failed,
            cooldown,
        }
    }

    /// Every endpoint once, the most promising first.
    pub(crate) fn order(&self) -> Vec<usize> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let good = self.good.load(Ordering::Relaxed);
        let cooling = |i: usize| failed[i].is_some_and(|at| at.elapsed() < self.cooldown);
        let mut order: Vec<_> = (0..self.all.len()).collect();
        order.sort_by_key(|&i| (cooling(i), i != good, i));
        order
    }

    pub(crate) fn url(&self, index: usize) -> &Url {
        &self.all[index]
    }

    pub(crate) fn urls(&self) -> &[Url] {
        &self.all
    }

    pub(crate) fn answered(&self, index: usize) {
        self.good.store(index, Ordering::Relaxed);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)[index] = None;
    }

    pub(crate) fn failed(&self, index: usize) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(Instant::now());
    }
}
