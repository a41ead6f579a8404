//! How workers take tasks, and what keeps two of them from acting on one.
//!
//! A worker *claims* a due task: it becomes the owner for a limited time (the lease) and the task's
//! epoch goes up by one. Every later write of the worker begins with [`LeaseWrites::fence`], which
//! changes nothing unless owner and epoch are still the worker's own. A worker that was paused past its
//! lease therefore finds out at its first write, inside the transaction, and writes nothing.
//!
//! Time is the database's, so that the clocks of several machines do not matter.

use crate::Result;
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::{Failure, StepRecord, Task, TaskId, TaskNote, TaskState, Timestamp};

/// The right to work on a task, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// The worker process that holds it.
    pub owner: String,
    /// Counts the claims of this task.
    pub epoch: i64,
}

/// A claimed task.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The right to work on it.
    pub lease: Lease,
    /// The task.
    pub task: Task,
    /// Whether it is undoing.
    pub undoing: bool,
    /// The database's time at the claim.
    pub now: Timestamp,
    /// Its steps so far.
    pub steps: Vec<StepRecord>,
}

/// Whether one of a limited number of places was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotAnswer {
    /// Taken; it is freed when the step ends.
    Taken,
    /// All are in use.
    Full,
}

/// Taking tasks.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims the task that has been due for longest and is nobody's, or whose owner's lease is over.
    /// Exactly one of any number of simultaneous callers gets it.
    async fn claim(&self, owner: &str, ttl: Duration) -> Result<Option<Claim>>;
    /// Extends those leases of `owner` that it still holds; returns how many.
    async fn renew(&self, owner: &str, tasks: &[TaskId], ttl: Duration) -> Result<u64>;
    /// Gives back every lease that `owner` holds, for others to claim at once.
    async fn surrender(&self, owner: &str) -> Result<u64>;
    /// Time until the next task falls due or a lease runs out; `None` when nothing is waiting.
    async fn next_due(&self) -> Result<Option<Duration>>;
    /// Comes back when somebody may have made work, or never: it is a hint, not a promise.
    async fn woken(&self);
    /// Tells sleeping workers that there is work. Called after the commit that made it.
    async fn wake(&self);
}

/// What a worker writes about the task it holds, always after [`fence`](Self::fence) in the same
/// transaction.
#[async_trait]
pub trait LeaseWrites: Send + Sync {
    /// `false` when the lease has passed to somebody else: nothing may be written then.
    async fn fence(&self, lease: &Lease) -> Result<bool>;
    /// Whether somebody asked the task to stop.
    async fn cancel_requested(&self, task: TaskId) -> Result<bool>;
    /// Writes a step, new or changed.
    async fn save_step(&self, task: TaskId, step: &StepRecord) -> Result<()>;
    /// Takes one of `limit` places called `slot` for a step; a step that has one keeps it.
    async fn take_slot(&self, task: TaskId, seq: u32, slot: &str, limit: u32)
    -> Result<SlotAnswer>;
    /// Frees a step's place and makes the next task that waits for it due.
    async fn free_slot(&self, task: TaskId, seq: u32) -> Result<()>;
    /// Writes what the task is doing and how far it is; progress never goes back.
    async fn save_progress(&self, task: TaskId, note: &TaskNote, progress: u8) -> Result<()>;
    /// Turns the task round: from now on it undoes, because of `failure` or a cancel (`None`).
    async fn begin_undo(&self, task: TaskId, failure: Option<&Failure>) -> Result<()>;
    /// Gives the lease back; the task is due again after `after`.
    async fn park(
        &self,
        task: TaskId,
        after: Duration,
        waiting_for_slot: Option<&str>,
    ) -> Result<()>;
    /// Ends the task and brings its bulk up to date.
    async fn end_task(
        &self,
        task: TaskId,
        state: TaskState,
        failure: Option<&Failure>,
    ) -> Result<()>;
}
