//! Tasks and their steps, as people see them. How workers take them is in [`crate::queue`].

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{
    BulkPolicy, ProjectId, ServerId, StepRecord, Task, TaskId, TaskKind, TaskState, TaskToken,
    UserId,
};

/// Which tasks, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only this state.
    pub state: Option<TaskState>,
    /// Only this kind.
    pub kind: Option<TaskKind>,
    /// Only this server's.
    pub server: Option<ServerId>,
    /// Only those on servers of these projects, bulks of such, and those of this person that have no server
    /// so far.
    pub within: Option<(BTreeSet<ProjectId>, UserId)>,
    /// Only the children of this one; without it, only tasks that are nobody's child.
    pub parent: Option<TaskId>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// A task to be written.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its public name, unique.
    pub token: TaskToken,
    /// What it does.
    pub kind: TaskKind,
    /// On which server; `None` for a bulk.
    pub server: Option<(ServerId, String)>,
    /// The bulk it belongs to.
    pub parent: Option<TaskId>,
    /// Who asked.
    pub requested_by: UserId,
    /// For a bulk: what becomes of the others when one fails.
    pub policy: BulkPolicy,
    /// Its place in its bulk, from 0: of two tasks that are due, the one with the smaller turn is taken
    /// first, so that a large bulk does not keep a single request waiting.
    pub turn: u32,
    /// What only this task knows, as JSON text.
    pub payload: Option<String>,
    /// The task of the same bulk that this one takes back.
    pub undoes: Option<TaskId>,
}

impl NewTask {
    /// A task of its own, on a server.
    #[must_use]
    pub fn on(
        kind: TaskKind,
        token: TaskToken,
        server: (ServerId, String),
        requested_by: UserId,
    ) -> Self {
        Self {
            server: Some(server),
            ..Self::without_server(kind, token, requested_by)
        }
    }

    /// A task of its own that has no server so far.
    #[must_use]
    pub fn without_server(kind: TaskKind, token: TaskToken, requested_by: UserId) -> Self {
        Self {
            token,
            kind,
            server: None,
            parent: None,
            requested_by,
            policy: BulkPolicy::Keep,
            turn: 0,
            payload: None,
            undoes: None,
        }
    }

    /// A bulk, which only summarizes.
    #[must_use]
    pub fn bulk(
        kind: TaskKind,
        token: TaskToken,
        policy: BulkPolicy,
        requested_by: UserId,
    ) -> Self {
        Self {
            policy,
            ..Self::without_server(kind, token, requested_by)
        }
    }

    /// The same as a part of a bulk.
    #[must_use]
    pub fn in_bulk(mut self, parent: Option<TaskId>, turn: usize) -> Self {
        self.parent = parent;
        self.turn = u32::try_from(turn).unwrap_or(u32::MAX);
        self
    }
}

/// Questions about tasks.
#[async_trait]
pub trait TaskReads: Send + Sync {
    /// One task, by its public name.
    async fn task(&self, token: &TaskToken) -> Result<Option<Task>>;
    /// One task, by its number.
    async fn task_by_id(&self, id: TaskId) -> Result<Option<Task>>;
    /// Who asked for the task that made a server.
    async fn requester(&self, token: &TaskToken) -> Result<Option<UserId>>;
    /// A page of tasks, newest first; children in the order they were asked for.
    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Task>>;
    /// A task's steps in order.
    async fn steps(&self, id: TaskId) -> Result<Vec<StepRecord>>;
    /// The task that is at work on a server, if any.
    async fn active_task(&self, server: ServerId) -> Result<Option<Task>>;
    /// Servers that a task is at work on.
    async fn busy_servers(&self) -> Result<BTreeSet<ServerId>>;
}

/// Changes to tasks that are not a worker's.
#[async_trait]
pub trait TaskWrites: Send + Sync {
    /// Writes a new one, due at once.
    async fn insert_task(&self, task: &NewTask) -> Result<TaskId>;
    /// Asks a task, and the children of a bulk, to stop; returns how many had not ended. Children that take
    /// another one back go on.
    async fn request_cancel(&self, id: TaskId) -> Result<u64>;
}
