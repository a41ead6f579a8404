//! Tasks and steps as people see them.

use super::page;
use crate::rows::{Tables, TaskRow, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{
    BulkPolicy, ChildSummary, ProjectId, ServerId, StepRecord, Task, TaskId, TaskKind, TaskNote,
    TaskState, TaskToken, UserId,
};
use tpm_store::{NewTask, Page, Result, TaskQuery, TaskReads, TaskWrites};

impl Tables {
    /// How the children of a bulk stand.
    pub(crate) fn children_of(&self, bulk: TaskId) -> ChildSummary {
        let mut sum = ChildSummary::default();
        let mut made = 0_u32;
        for row in self.tasks.values() {
            if row.task.parent != Some(bulk) {
                continue;
            }
            if row.undoes.is_some() {
                match row.task.state {
                    TaskState::Completed => sum.undone += 1,
                    TaskState::Pending | TaskState::Running => sum.undoing += 1,
                    TaskState::Failed | TaskState::Cancelled => sum.undo_failed += 1,
                    TaskState::Partial => {}
                }
                continue;
            }
            sum.total += 1;
            sum.progress_sum += u32::from(row.task.progress);
            match row.task.state {
                TaskState::Completed => made += 1,
                TaskState::Failed => sum.failed += 1,
                TaskState::Cancelled => sum.cancelled += 1,
                TaskState::Pending | TaskState::Running | TaskState::Partial => {}
            }
        }
        let strict = |row: &TaskRow| row.task.policy == BulkPolicy::AllOrNothing;
        if sum.failed + sum.cancelled > 0 && self.tasks.get(&bulk).is_some_and(strict) {
            let waiting = self.to_take_back(bulk).count();
            sum.undoing += u32::try_from(waiting).unwrap_or(u32::MAX);
        }
        // What is or was taken back had completed before.
        sum.completed = made.saturating_sub(sum.undone + sum.undoing + sum.undo_failed);
        sum
    }

    /// Finished tasks of a bulk whose server is there as they made it and that no task takes back.
    pub(crate) fn to_take_back(&self, bulk: TaskId) -> impl Iterator<Item = &Task> {
        let undone = |id: TaskId| self.tasks.values().any(|row| row.undoes == Some(id));
        let stands = |task: &Task| {
            let server = task.server.and_then(|id| self.servers.get(&id));
            server.is_some_and(|row| !row.deleted && row.server.created_by == task.token)
        };
        self.tasks
            .values()
            .filter(move |row| row.task.parent == Some(bulk) && row.undoes.is_none())
            .map(|row| &row.task)
            .filter(move |task| {
                task.state == TaskState::Completed && !undone(task.id) && stands(task)
            })
    }

    /// A task, a bulk with what it knows of its children.
    pub(crate) fn task(&self, id: TaskId) -> Option<Task> {
        let mut task = self.tasks.get(&id)?.task.clone();
        if task.kind.is_bulk() {
            task.children = Some(self.children_of(id));
        }
        Some(task)
    }

    /// A task's steps in order.
    pub(crate) fn steps_of(&self, id: TaskId) -> Vec<StepRecord> {
        self.steps
            .range((id, 0)..=(id, u32::MAX))
            .map(|(_, step)| step.clone())
            .collect()
    }
}

/// Whether a task is one of these projects', or this person's that has no server so far.
fn within(tables: &Tables, task: &Task, of: &(BTreeSet<ProjectId>, UserId)) -> bool {
    let (projects, person) = of;
    let theirs = |task: &Task| {
        let project = task.server.and_then(|id| tables.project_of(id));
        project.is_some_and(|project| projects.contains(&project))
    };
    let mut children = tables.tasks.values().map(|row| &row.task);
    theirs(task)
        || children.any(|child| child.parent == Some(task.id) && theirs(child))
        || (task.server.is_none()
            && task.kind == TaskKind::ImportServer
            && task.requested_by == *person)
}

fn matches(tables: &Tables, query: &TaskQuery, task: &Task) -> bool {
    query
        .within
        .as_ref()
        .is_none_or(|of| within(tables, task, of))
        && query.state.is_none_or(|state| task.state == state)
        && query.kind.is_none_or(|kind| task.kind == kind)
        && query
            .server
            .is_none_or(|server| task.server == Some(server))
        && match query.parent {
            Some(_) => task.parent == query.parent,
            // A server's own tasks are shown whether or not a bulk asked for them.
            None => query.server.is_some() || task.parent.is_none(),
        }
}

#[async_trait]
impl<S: Source> TaskReads for Session<S> {
    async fn task(&self, token: &TaskToken) -> Result<Option<Task>> {
        let tables = self.0.look().await?;
        let found = tables.tasks.values().find(|row| row.task.token == *token);
        Ok(found.and_then(|row| tables.task(row.task.id)))
    }

    async fn task_by_id(&self, id: TaskId) -> Result<Option<Task>> {
        Ok(self.0.look().await?.task(id))
    }

    async fn requester(&self, token: &TaskToken) -> Result<Option<UserId>> {
        let tables = self.0.look().await?;
        let found = tables.tasks.values().find(|row| row.task.token == *token);
        Ok(found.map(|row| row.task.requested_by))
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Task>> {
        let tables = self.0.look().await?;
        let mut all: Vec<TaskId> = tables
            .tasks
            .values()
            .filter(|row| matches(&tables, query, &row.task))
            .map(|row| row.task.id)
            .collect();
        if query.parent.is_none() {
            all.reverse();
        }
        let Page { items, total } = page(all, query.limit, query.offset);
        let items = items.into_iter().filter_map(|id| tables.task(id)).collect();
        Ok(Page { items, total })
    }

    async fn steps(&self, id: TaskId) -> Result<Vec<StepRecord>> {
        Ok(self.0.look().await?.steps_of(id))
    }

    async fn active_task(&self, server: ServerId) -> Result<Option<Task>> {
        let tables = self.0.look().await?;
        let active = |row: &&TaskRow| row.task.server == Some(server) && !row.task.state.is_final();
        Ok(tables
            .tasks
            .values()
            .find(active)
            .map(|row| row.task.clone()))
    }

    async fn busy_servers(&self) -> Result<BTreeSet<ServerId>> {
        let tables = self.0.look().await?;
        let busy = tables
            .tasks
            .values()
            .filter(|row| !row.task.state.is_final());
        Ok(busy.filter_map(|row| row.task.server).collect())
    }
}

#[async_trait]
impl TaskWrites for Session<Transaction> {
    async fn insert_task(&self, new: &NewTask) -> Result<TaskId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let server = new.server.as_ref().map(|(id, _)| *id);
            if tables.tasks.values().any(|row| row.task.token == new.token) {
                return Err(constraint(format!("task {} twice", new.token)));
            }
            if !tables.users.contains(&new.requested_by.0)
                || server.is_some_and(|id| !tables.servers.contains(&id))
                || new.parent.is_some_and(|id| !tables.tasks.contains(&id))
            {
                return Err(constraint(format!("task {} of nobody", new.token)));
            }
            let id = TaskId(tables.next_id());
            let task = Task {
                id,
                token: new.token.clone(),
                kind: new.kind,
                server,
                server_name: new.server.as_ref().map(|(_, name)| name.clone()),
                parent: new.parent,
                policy: new.policy,
                payload: new.payload.clone(),
                requested_by: new.requested_by,
                state: TaskState::Pending,
                progress: 0,
                note: TaskNote::Queued,
                failure: None,
                cancel_requested: false,
                children: None,
                created_at: now,
                updated_at: now,
            };
            let row = TaskRow {
                task,
                undoes: new.undoes,
                undoing: false,
                turn: new.turn,
                owner: None,
                epoch: 0,
                lease_until: None,
                // A bulk is never due: it moves when its children do.
                next_run: (!new.kind.is_bulk()).then_some(now),
                waiting_slot: None,
            };
            tables.tasks.set(id, row);
            tables.check_task(id)?;
            Ok(id)
        })
    }

    async fn request_cancel(&self, id: TaskId) -> Result<u64> {
        let now = self.0.now();
        self.0.change(|tables| {
            let asked: Vec<TaskId> = tables
                .tasks
                .values()
                .filter(|row| {
                    row.task.id == id || (row.task.parent == Some(id) && row.undoes.is_none())
                })
                .filter(|row| !row.task.state.is_final())
                .map(|row| row.task.id)
                .collect();
            for id in &asked {
                if let Some(row) = tables.tasks.get_mut(id) {
                    row.task.cancel_requested = true;
                    row.task.updated_at = now;
                    // Who waits for a place or for a timer is made due, so that it is noticed at once.
                    row.next_run = row.next_run.map(|_| now);
                }
            }
            Ok(asked.len() as u64)
        })
    }
}
