//! Seeing and cancelling tasks.

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{
    AuditTarget, Conflict, Error, Permission, Reach, ResourceKind, ServerId, StepRecord, Task,
    TaskToken,
};
use tpm_store::{Page, Reads, TaskQuery};

/// A task with its parts.
#[derive(Clone, Debug)]
pub struct TaskView {
    /// The task.
    pub task: Task,
    /// Its steps in order; none for a bulk.
    pub steps: Vec<StepRecord>,
    /// The tasks of a bulk, in the order asked for.
    pub children: Vec<Task>,
}

impl App {
    /// A page of tasks, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn tasks(&self, ctx: &Ctx, query: &TaskQuery) -> Result<Page<Task>> {
        let reach = ctx.reach(Permission::ReadTasks)?;
        let query = TaskQuery {
            within: reach.bound().map(|bound| (bound.clone(), ctx.actor.id)),
            ..query.clone()
        };
        Ok(self.store().reads().tasks(&query).await?)
    }

    /// A task that somebody asks about or wants to do something to. One on servers that the person may not
    /// see is as one that is not there; of a bulk every server has to be the person's to change.
    pub(crate) async fn task_for(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        permission: Permission,
        token: &TaskToken,
        task: Option<Task>,
    ) -> Result<Task> {
        let missing = || AppError::Refused(Error::not_found(ResourceKind::Task, token));
        let task = task.ok_or_else(missing)?;
        let (may, see) = (
            ctx.actor.reach(permission),
            ctx.actor.reach(Permission::ReadTasks),
        );
        if may == Reach::Everywhere {
            return Ok(task);
        }
        let mut on: Vec<ServerId> = task.server.into_iter().collect();
        if task.kind.is_bulk() {
            let query = TaskQuery {
                parent: Some(task.id),
                ..TaskQuery::default()
            };
            let children = reads.tasks(&query).await?.items;
            on.extend(children.iter().filter_map(|child| child.server));
        }
        if on.is_empty() && task.requested_by == ctx.actor.id && !may.is_nothing() {
            return Ok(task);
        }
        let (mut seen, mut allowed) = (false, !on.is_empty());
        for id in on {
            let Some(server) = reads.server_ever(id).await? else {
                continue;
            };
            seen |= see.covers(server.project);
            allowed &= may.covers(server.project);
        }
        match (seen, allowed || permission == Permission::ReadTasks) {
            (true, true) => Ok(task),
            (true, false) => Err(AppError::Refused(Error::Forbidden)),
            (false, _) => Err(missing()),
        }
    }

    /// A task that the person may see.
    pub(crate) async fn task_seen(&self, ctx: &Ctx, token: &TaskToken) -> Result<Task> {
        ctx.reach(Permission::ReadTasks)?;
        let reads = self.store().reads();
        let task = reads.task(token).await?;
        self.task_for(ctx, &*reads, Permission::ReadTasks, token, task)
            .await
    }

    /// One task.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn task(&self, ctx: &Ctx, token: &TaskToken) -> Result<TaskView> {
        let task = self.task_seen(ctx, token).await?;
        let reads = self.store().reads();
        let steps = reads.steps(task.id).await?;
        let children = if task.kind.is_bulk() {
            let query = TaskQuery {
                parent: Some(task.id),
                ..TaskQuery::default()
            };
            reads.tasks(&query).await?.items
        } else {
            Vec::new()
        };
        Ok(TaskView {
            task,
            steps,
            children,
        })
    }

    /// Asks a task to stop. A create is undone; a bulk asks each of its tasks.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when it has ended, or the store does not answer.
    pub async fn cancel_task(&self, ctx: &Ctx, token: &TaskToken) -> Result<Task> {
        ctx.reach(Permission::WriteTasks)?;
        let tx = self.store().begin().await?;
        let task = tx.task(token).await?;
        let task = self
            .task_for(ctx, &*tx, Permission::WriteTasks, token, task)
            .await?;
        if tx.request_cancel(task.id).await? == 0 {
            return Err(AppError::Refused(Error::Conflict(Conflict::TaskEnded)));
        }
        let task = tx.task(token).await?.unwrap_or(task);
        let about = AuditTarget::new("task", token);
        self.commit_in_a_copy(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(task)
    }
}
