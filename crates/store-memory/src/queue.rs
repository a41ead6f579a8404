//! Claiming tasks.

use crate::Shared;
use crate::rows::{Tables, TaskRow};
use crate::session::Transaction;
use crate::surroundings::Moment;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{TaskId, Timestamp};
use tpm_store::{Claim, ClaimOrder, JobQueue, Lease, Result};

/// The queue.
#[derive(Clone)]
pub(crate) struct MemoryQueue {
    shared: Arc<Shared>,
}

impl MemoryQueue {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// One transaction of the queue's own; the answer may be lost.
    async fn write<T>(
        &self,
        moment: Moment,
        work: impl FnOnce(&Transaction) -> Result<T>,
    ) -> Result<T> {
        let verdict = self.shared.pass(moment).await?;
        let transaction = Transaction::begin(&self.shared, Moment::Queue).await?;
        let answer = work(&transaction)?;
        transaction.apply()?;
        self.shared.answer(verdict, answer).await
    }
}

/// Due and nobody's, or held by an owner whose lease is over.
fn is_claimable(row: &TaskRow, now: Timestamp) -> bool {
    row.next_run.is_some_and(|due| due <= now)
        && (row.owner.is_none() || row.lease_until.is_some_and(|until| until < now))
}

/// When the next task can be claimed.
fn next_due(tables: &Tables) -> Option<Timestamp> {
    let when = |row: &TaskRow| {
        let due = row.next_run?;
        Some(match row.lease_until {
            Some(until) if until >= due => Timestamp(until.0 + 1),
            _ => due,
        })
    };
    tables.tasks.values().filter_map(when).min()
}

fn claim(
    tables: &mut Tables,
    owner: &str,
    now: Timestamp,
    ttl: Duration,
    order: ClaimOrder,
) -> Option<Claim> {
    let id = tables
        .tasks
        .values()
        .filter(|row| is_claimable(row, now))
        .min_by_key(|row| match order {
            ClaimOrder::SmallTurns => (row.turn, row.next_run, row.task.id),
            ClaimOrder::OldestFirst => (Default::default(), None, row.task.id),
        })?
        .task
        .id;
    let row = tables.tasks.get_mut(&id)?;
    row.owner = Some(owner.to_owned());
    row.epoch += 1;
    row.lease_until = Some(now.plus(ttl));
    row.task.updated_at = now;
    let (epoch, undoing) = (row.epoch, row.undoing);
    Some(Claim {
        lease: Lease {
            task: id,
            owner: owner.to_owned(),
            epoch,
        },
        task: tables.task(id)?,
        undoing,
        now,
        steps: tables.steps_of(id),
    })
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn claim(&self, owner: &str, ttl: Duration, order: ClaimOrder) -> Result<Option<Claim>> {
        // Most scans find nothing: ask without waiting for the writer first.
        let now = self.shared.clock.now();
        if next_due(&self.shared.committed()).is_none_or(|due| due > now) {
            let verdict = self.shared.pass(Moment::Read).await?;
            return self.shared.answer(verdict, None).await;
        }
        self.write(Moment::Claim, |transaction| {
            let now = transaction.now();
            transaction.change(|tables| Ok(claim(tables, owner, now, ttl, order)))
        })
        .await
    }

    async fn renew(&self, owner: &str, tasks: &[TaskId], ttl: Duration) -> Result<u64> {
        if tasks.is_empty() {
            return Ok(0);
        }
        self.write(Moment::Renew, |transaction| {
            let until = transaction.now().plus(ttl);
            transaction.change(|tables| {
                let mut renewed = 0;
                for id in tasks {
                    let held = |row: &TaskRow| row.owner.as_deref() == Some(owner);
                    if tables.tasks.get(id).is_some_and(held)
                        && let Some(row) = tables.tasks.get_mut(id)
                    {
                        row.lease_until = Some(until);
                        renewed += 1;
                    }
                }
                Ok(renewed)
            })
        })
        .await
    }

    async fn surrender(&self, owner: &str) -> Result<u64> {
        self.write(Moment::Queue, |transaction| {
            let now = transaction.now();
            transaction.change(|tables| {
                let held: Vec<TaskId> = tables
                    .tasks
                    .values()
                    .filter(|row| row.owner.as_deref() == Some(owner))
                    .map(|row| row.task.id)
                    .collect();
                for id in &held {
                    if let Some(row) = tables.tasks.get_mut(id) {
                        row.owner = None;
                        row.lease_until = None;
                        row.next_run = Some(now);
                    }
                }
                Ok(held.len() as u64)
            })
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Duration>> {
        let verdict = self.shared.pass(Moment::Read).await?;
        let due = next_due(&self.shared.committed());
        let wait = due.map(|due| due.since(self.shared.clock.now()));
        self.shared.answer(verdict, wait).await
    }

    async fn take_turn(&self, name: &str, every: Duration) -> Result<bool> {
        self.write(Moment::Queue, |transaction| {
            let now = transaction.now();
            transaction.change(|tables| {
                let mine = tables
                    .turns
                    .get(&name.to_owned())
                    .is_none_or(|next| *next <= now);
                if mine {
                    tables.turns.set(name.to_owned(), now.plus(every));
                }
                Ok(mine)
            })
        })
        .await
    }

    async fn woken(&self) {
        self.shared.bell.notified().await;
    }

    async fn wake(&self) {
        self.shared.bell.notify_one();
    }
}
