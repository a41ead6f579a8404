//! What the repositories work on: what is committed, or one transaction's own view.

use crate::Shared;
use crate::commit::{Commit, Fence};
use crate::rows::{Tables, TaskRow, broken};
use crate::surroundings::Moment;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tpm_domain::{TaskId, Timestamp};
use tpm_store::{Lease, Result, StoreError, UnitOfWork};

/// How long a caller waits for the one writer before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a question is asked.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// What it sees.
    async fn look(&self) -> Result<Tables>;
    /// The time there.
    fn moment(&self) -> Timestamp;
}

/// The repository traits stand on this.
pub(crate) struct Session<S>(pub(crate) S);

/// Outside of a transaction.
pub(crate) struct Committed {
    shared: Arc<Shared>,
}

impl Committed {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Source for Committed {
    async fn look(&self) -> Result<Tables> {
        let verdict = self.shared.pass(Moment::Read).await?;
        let tables = self.shared.committed().clone();
        self.shared.answer(verdict, tables).await
    }

    fn moment(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

/// What a transaction has done so far.
struct Work {
    tables: Tables,
    fences: Vec<Fence>,
    in_lease: Vec<TaskId>,
    /// A statement was refused: nothing more is done.
    failed: bool,
}

/// One transaction. Dropped without commit, it was never there.
pub(crate) struct Transaction {
    shared: Arc<Shared>,
    now: Timestamp,
    work: Mutex<Work>,
    _writer: OwnedMutexGuard<()>,
}

impl Transaction {
    pub(crate) async fn begin(shared: &Arc<Shared>, moment: Moment) -> Result<Self> {
        let verdict = shared.pass(moment).await?;
        let writer = tokio::time::timeout(PATIENCE, Arc::clone(&shared.writer).lock_owned())
            .await
            .map_err(|_| StoreError::Unavailable(anyhow::anyhow!("another writer is at work")))?;
        let transaction = Self {
            shared: Arc::clone(shared),
            now: shared.clock.now(),
            work: Mutex::new(Work {
                tables: shared.committed().clone(),
                fences: Vec::new(),
                in_lease: Vec::new(),
                failed: false,
            }),
            _writer: writer,
        };
        if moment == Moment::Begin {
            return shared.answer(verdict, transaction).await;
        }
        // The answer belongs to the commit.
        Ok(transaction)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One statement: all of it, or an error that ends the transaction.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Tables) -> Result<T>) -> Result<T> {
        let mut work = self.work();
        if work.failed {
            return Err(broken("the transaction has failed before"));
        }
        let done = change(&mut work.tables);
        work.failed = done.is_err();
        done
    }

    /// A statement about a task in the name of its lease.
    pub(crate) fn change_task(
        &self,
        task: TaskId,
        change: impl FnOnce(&mut TaskRow),
    ) -> Result<()> {
        self.in_lease(task);
        self.change(|tables| {
            if let Some(row) = tables.tasks.get_mut(&task) {
                change(row);
            }
            tables.check_task(task)
        })
    }

    pub(crate) fn in_lease(&self, task: TaskId) {
        let mut work = self.work();
        if !work.in_lease.contains(&task) {
            work.in_lease.push(task);
        }
    }

    /// Notes a look at a lease, and whether it was really held.
    pub(crate) fn fenced(&self, lease: &Lease) {
        let mut work = self.work();
        let held = work.tables.tasks.get(&lease.task).is_some_and(|row| {
            row.owner.as_ref() == Some(&lease.owner) && row.epoch == lease.epoch
        });
        work.fences.push(Fence {
            lease: lease.clone(),
            held,
        });
    }

    /// Makes it visible to all, at once.
    pub(crate) fn apply(self) -> Result<()> {
        let mut work = self
            .work
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if work.failed {
            return Err(broken("the transaction has failed before"));
        }
        let at = self.shared.clock.now();
        let mut committed = self.shared.committed();
        work.tables.feed_changes_since(&committed, at);
        let commit = Commit::between(&committed, &work.tables, at, work.fences, work.in_lease);
        *committed = work.tables;
        drop(committed);
        self.shared.surroundings.committed(&commit);
        Ok(())
    }
}

#[async_trait]
impl Source for Transaction {
    async fn look(&self) -> Result<Tables> {
        let work = self.work();
        if work.failed {
            return Err(broken("the transaction has failed before"));
        }
        Ok(work.tables.clone())
    }

    fn moment(&self) -> Timestamp {
        self.now
    }
}

#[async_trait]
impl UnitOfWork for Session<Transaction> {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let shared = Arc::clone(&self.0.shared);
        let verdict = shared.pass(Moment::Commit).await?;
        self.0.apply()?;
        shared.answer(verdict, ()).await
    }
}
