//! Seeing and cancelling tasks.

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{Action, Conflict, Error, ResourceKind, StepRecord, Task, TaskToken};
use tpm_store::{Page, TaskQuery};

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
        ctx.authorize(Action::ReadTasks)?;
        Ok(self.store().reads().tasks(query).await?)
    }

    /// One task.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn task(&self, ctx: &Ctx, token: &TaskToken) -> Result<TaskView> {
        ctx.authorize(Action::ReadTasks)?;
        let reads = self.store().reads();
        let task = reads.task(token).await?;
        let task = task.ok_or_else(|| Error::not_found(ResourceKind::Task, token))?;
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
        ctx.authorize(Action::CancelTasks)?;
        let tx = self.store().begin().await?;
        let task = tx.task(token).await?;
        let task = task.ok_or_else(|| Error::not_found(ResourceKind::Task, token))?;
        if tx.request_cancel(task.id).await? == 0 {
            return Err(AppError::Refused(Error::Conflict(Conflict::TaskEnded)));
        }
        let task = tx.task(token).await?.unwrap_or(task);
        tx.commit().await?;
        self.store().queue().wake().await;
        Ok(task)
    }
}
