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
use tpm_domain::job::Width;
use tpm_domain::{Failure, ServerId, StepRecord, Task, TaskId, TaskNote, TaskState, Timestamp};

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

/// One of a limited number of places that a step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotNeed {
    /// What there are only a few places of.
    pub name: String,
    /// How many there are.
    pub limit: u32,
}

/// Whether places were free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotAnswer {
    /// All taken; they are freed when the step ends.
    Taken,
    /// None taken: this one was full.
    Full(String),
}

/// Which of the due tasks is claimed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimOrder {
    /// The one with the smallest turn, of these the one that has been due for longest: what is asked for
    /// alone passes a bulk.
    SmallTurns,
    /// The one that was asked for first: nothing that comes later can keep it waiting for ever.
    OldestFirst,
}

/// Taking tasks.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims a task that is due and nobody's, or whose owner's lease is over. Exactly one of any number of
    /// simultaneous callers gets it.
    async fn claim(&self, owner: &str, ttl: Duration, order: ClaimOrder) -> Result<Option<Claim>>;
    /// Extends those leases of `owner` that it still holds; returns how many.
    async fn renew(&self, owner: &str, tasks: &[TaskId], ttl: Duration) -> Result<u64>;
    /// Gives back every lease that `owner` holds, for others to claim at once.
    async fn surrender(&self, owner: &str) -> Result<u64>;
    /// Time until the next task falls due or a lease runs out; `None` when nothing is waiting.
    async fn next_due(&self) -> Result<Option<Duration>>;
    /// Takes the turn of periodic work called `name`; `true` for one caller of all processes, at most once
    /// in `every`.
    async fn take_turn(&self, name: &str, every: Duration) -> Result<bool>;
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
    /// Takes one place of each need for a step, or none at all; a step that has them keeps them. Where one is
    /// full, a task is woken for each of the others that has a place: it was this one's to take. Whoever is
    /// told [`SlotAnswer::Full`] parks in the same transaction, so that no freed place goes unnoticed. A task that
    /// was woken for a place and, instead of asking for it, ends a step, parks, turns round or ends, makes the
    /// next one due that waits for it.
    async fn take_slots(&self, task: TaskId, seq: u32, needs: &[SlotNeed]) -> Result<SlotAnswer>;
    /// Frees a step's places, and for each makes one task that waits for it due: of those waiting, one
    /// whose bulk has the fewest such places, the oldest first. Returns the names of the places.
    async fn free_slots(&self, task: TaskId, seq: u32) -> Result<Vec<String>>;
    /// Makes up to `count` more tasks due that wait for a place, chosen in the same way.
    async fn wake_waiting(&self, slot: &str, count: u32) -> Result<()>;
    /// What was learned of a slot's best width, and whether anybody waits for a place.
    async fn width(&self, slot: &str) -> Result<(Option<Width>, bool)>;
    /// Writes down what was learned of a slot's best width.
    async fn save_width(&self, slot: &str, width: &Width) -> Result<()>;
    /// Says which server the task turned out to be about.
    async fn set_task_server(&self, task: TaskId, server: ServerId, name: &str) -> Result<()>;
    /// Writes what the task is doing and how far it is; progress never goes back.
    async fn save_progress(&self, task: TaskId, note: &TaskNote, progress: u8) -> Result<()>;
    /// The finished tasks of a bulk whose server is there as they made it and that no task takes back, in the
    /// order asked for. With all or nothing, once one has failed or was cancelled, they count as being undone.
    async fn to_take_back(&self, bulk: TaskId) -> Result<Vec<Task>>;
    /// Turns the task round: from now on it undoes, because of `failure` or a cancel (`None`).
    async fn begin_undo(&self, task: TaskId, failure: Option<&Failure>) -> Result<()>;
    /// Gives the lease back; the task is due again after `after`.
    async fn park(
        &self,
        task: TaskId,
        after: Duration,
        waiting_for_slot: Option<&str>,
    ) -> Result<()>;
    /// Brings a bulk's state, note and progress up to date with its tasks.
    async fn refresh_bulk(&self, bulk: TaskId) -> Result<()>;
    /// Ends the task and brings its bulk up to date.
    async fn end_task(
        &self,
        task: TaskId,
        state: TaskState,
        failure: Option<&Failure>,
    ) -> Result<()>;
}
