//! An answer that is good for a while: who comes meanwhile waits for it and does not ask again.

use std::time::{Duration, Instant};
use tokio::sync::Mutex;

pub(crate) struct Cached<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Cached<T> {
    pub(crate) async fn get<F: Future<Output = T>>(
        &self,
        good_for: Duration,
        ask: impl FnOnce() -> F,
    ) -> T {
        let mut kept = self.0.lock().await;
        if let Some((at, answer)) = &*kept
            && at.elapsed() < good_for
        {
            return answer.clone();
        }
        let answer = ask().await;
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }
}
