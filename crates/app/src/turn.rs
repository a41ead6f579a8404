//! Waiting one's turn: those that would wait for one lock in the database wait here, where each costs nothing,
//! and not for longer than somebody who asked wants to.

use crate::{AppError, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tpm_domain::Error;

/// How long a request waits before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// When it is to come back, in seconds.
const COME_BACK: u64 = 3;

/// One at a time, in the order in which they came. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// The next turn; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when it does not come in time.
    pub(crate) async fn next(&self) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.0).acquire_owned();
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(turn) => turn.map_err(|error| AppError::Fault(error.into())),
            Err(_) => Err(Error::Overloaded {
                retry_after_secs: COME_BACK,
            }
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_back() {
        let turns = Turns::new();
        let first = turns.next().await.expect("a turn");
        let told = turns.next().await;
        assert!(
            matches!(&told, Err(AppError::Refused(Error::Overloaded { .. }))),
            "{told:?}"
        );
        let (second, ()) = tokio::join!(turns.next(), async { drop(first) });
        assert!(second.is_ok(), "{second:?}");
    }
}
