//! A process: all futures of one worker in one, so that they die together, or stand still together.

use futures::stream::{FuturesUnordered, StreamExt};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

/// A future that owns what it needs.
pub(crate) type Life = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is about to be polled for the first time.
#[derive(Clone, Default)]
pub(crate) struct Newcomers(Arc<Mutex<Vec<Life>>>);

impl Newcomers {
    pub(crate) fn add(&self, life: Life) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(life);
    }

    fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    fn take(&self) -> Vec<Life> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Body {
    lives: FuturesUnordered<Life>,
    newcomers: Newcomers,
    stands_until: Arc<Mutex<Option<Instant>>>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// Whether it stands still. What wakes it up meanwhile is not forgotten, only not listened to.
    fn stands(&mut self, cx: &mut Context<'_>) -> bool {
        let mut until = self
            .stands_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(moment) = *until else { return false };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(moment)));
        if alarm.deadline() != moment {
            alarm.as_mut().reset(moment);
        }
        if alarm.as_mut().poll(cx).is_pending() {
            return true;
        }
        *until = None;
        drop(until);
        self.alarm = None;
        false
    }
}

impl Future for Body {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stands(cx) {
            return Poll::Pending;
        }
        loop {
            this.lives.extend(this.newcomers.take());
            match this.lives.poll_next_unpin(cx) {
                Poll::Ready(None) if this.newcomers.is_empty() => return Poll::Ready(()),
                Poll::Pending if this.newcomers.is_empty() => return Poll::Pending,
                Poll::Ready(_) | Poll::Pending => {}
            }
        }
    }
}

/// A running process.
pub(crate) struct Process {
    stands_until: Arc<Mutex<Option<Instant>>>,
    body: JoinHandle<()>,
}

impl Process {
    /// Begins with what stands in `newcomers`, and goes on with what is added there.
    pub(crate) fn spawn(newcomers: Newcomers) -> Self {
        let stands_until = Arc::new(Mutex::new(None));
        let body = Body {
            lives: FuturesUnordered::new(),
            newcomers,
            stands_until: Arc::clone(&stands_until),
            alarm: None,
        };
        Self {
            stands_until,
            body: tokio::spawn(body),
        }
    }

    /// Stands still until then.
    pub(crate) fn pause(&self, until: Instant) {
        *self
            .stands_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// As by `kill -9`: nothing of it is polled again.
    pub(crate) fn kill(&self) {
        self.body.abort();
    }

    /// Comes back when it has ended; whether it panicked.
    pub(crate) async fn ended(self) -> bool {
        self.body.await.is_err_and(|error| error.is_panic())
    }
}
