//! What was committed, for who checks that it was right to.

use crate::rows::{Tables, TaskRow};
use tpm_domain::{Event, StepRecord, TaskId, TaskState, TaskToken, Timestamp};
use tpm_store::Lease;

/// A look at a lease that a transaction took before it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease it believed to have.
    pub lease: Lease,
    /// Whether it had it, found out by the store apart from what it answered.
    pub held: bool,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskBrief {
    /// How far it is.
    pub state: TaskState,
    /// 0 to 100.
    pub progress: u8,
    /// Whether it undoes.
    pub undoing: bool,
    /// Whether somebody asked it to stop.
    pub cancel_requested: bool,
    /// Who holds it.
    pub owner: Option<String>,
    /// How often it was claimed.
    pub epoch: i64,
    /// Until when it is held.
    pub lease_until: Option<Timestamp>,
    /// When it is due.
    pub next_run: Option<Timestamp>,
    /// The place it waits for, or was woken for and has not asked for since.
    pub waiting_slot: Option<String>,
}

impl TaskBrief {
    pub(crate) fn of(row: &TaskRow) -> Self {
        Self {
            state: row.task.state,
            progress: row.task.progress,
            undoing: row.undoing,
            cancel_requested: row.task.cancel_requested,
            owner: row.owner.clone(),
            epoch: row.epoch,
            lease_until: row.lease_until,
            next_run: row.next_run,
            waiting_slot: row.waiting_slot.clone(),
        }
    }
}

/// A task that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskChange {
    /// The task.
    pub task: TaskId,
    /// Its public name.
    pub token: TaskToken,
    /// How it stood; `None` when it is new.
    pub before: Option<TaskBrief>,
    /// How it stands.
    pub after: TaskBrief,
}

/// A step that a transaction wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepChange {
    /// Its task.
    pub task: TaskId,
    /// How it stood; `None` when it is new.
    pub before: Option<StepRecord>,
    /// How it stands.
    pub after: StepRecord,
}

/// One committed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The moment of the commit.
    pub at: Timestamp,
    /// The leases that were looked at.
    pub fences: Vec<Fence>,
    /// Tasks that were written about in the name of a lease.
    pub in_lease: Vec<TaskId>,
    /// Tasks that were changed, in the order of their numbers.
    pub tasks: Vec<TaskChange>,
    /// Steps that were written, in order.
    pub steps: Vec<StepChange>,
    /// Events, in the order they were written.
    pub events: Vec<Event>,
}

impl Commit {
    pub(crate) fn between(
        before: &Tables,
        after: &Tables,
        at: Timestamp,
        fences: Vec<Fence>,
        in_lease: Vec<TaskId>,
    ) -> Self {
        let tasks = after
            .tasks
            .changed_since(&before.tasks)
            .map(|(id, old, new)| TaskChange {
                task: *id,
                token: new.task.token.clone(),
                before: old.map(TaskBrief::of),
                after: TaskBrief::of(new),
            })
            .collect();
        let steps = after
            .steps
            .changed_since(&before.steps)
            .map(|((task, _), old, new)| StepChange {
                task: *task,
                before: old.cloned(),
                after: new.clone(),
            })
            .collect();
        let events = after
            .events
            .changed_since(&before.events)
            .map(|(_, _, event)| event.clone())
            .collect();
        Self {
            at,
            fences,
            in_lease,
            tasks,
            steps,
            events,
        }
    }
}
