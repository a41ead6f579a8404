//! What the store is exposed to: how long its answers take, and which of them never come.

use crate::Shared;
use crate::commit::Commit;
use std::time::Duration;
use tpm_store::{Result, StoreError};

/// What the store is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// A question outside of a transaction.
    Read,
    /// A transaction's begin.
    Begin,
    /// A transaction's commit.
    Commit,
    /// A claim.
    Claim,
    /// A heartbeat.
    Renew,
    /// Anything else that the queue does by itself.
    Queue,
}

/// Why it is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// [`StoreError::Unavailable`].
    Unavailable,
    /// [`StoreError::Full`].
    Full,
    /// [`StoreError::Crossed`].
    Crossed,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    #[default]
    Done,
    /// It is not done, and the caller hears so.
    Refused(Refusal),
    /// It is done, and the caller hears [`StoreError::Unavailable`]. Where nothing is written, the same as
    /// a refusal.
    AnswerLost,
}

/// How long it takes, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Time before it happens.
    pub before: Duration,
    /// What happens.
    pub outcome: Outcome,
    /// Time before the caller hears of it.
    pub after: Duration,
}

/// Asked at every moment, and told of every commit.
pub trait Surroundings: Send + Sync {
    /// Decides.
    fn at(&self, moment: Moment) -> Verdict {
        let _ = moment;
        Verdict::default()
    }

    /// Something was committed. Called at the commit itself, before anybody can see it.
    fn committed(&self, commit: &Commit) {
        let _ = commit;
    }
}

/// Everything is done at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm;

impl Surroundings for Calm {}

fn lost(what: &str) -> StoreError {
    StoreError::Unavailable(anyhow::anyhow!("{what}"))
}

pub(crate) async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl Shared {
    /// Comes back when the thing may be done; the verdict's second half is then for [`Self::answer`].
    pub(crate) async fn pass(&self, moment: Moment) -> Result<Verdict> {
        let verdict = self.surroundings.at(moment);
        pause(verdict.before).await;
        match verdict.outcome {
            Outcome::Done | Outcome::AnswerLost => Ok(verdict),
            Outcome::Refused(why) => {
                pause(verdict.after).await;
                let cause = anyhow::anyhow!("{moment:?} refused");
                Err(match why {
                    Refusal::Unavailable => StoreError::Unavailable(cause),
                    Refusal::Full => StoreError::Full(cause),
                    Refusal::Crossed => StoreError::Crossed(cause),
                })
            }
        }
    }

    /// What the caller hears of a thing that was done.
    pub(crate) async fn answer<T>(&self, verdict: Verdict, answer: T) -> Result<T> {
        pause(verdict.after).await;
        match verdict.outcome {
            Outcome::AnswerLost => Err(lost("the answer was lost")),
            Outcome::Done | Outcome::Refused(_) => Ok(answer),
        }
    }
}
