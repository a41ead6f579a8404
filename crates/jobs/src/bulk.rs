//! What the end of one task means for the bulk it belongs to: with `all_or_nothing` one failure stops the
//! others and takes back what was made.

use crate::run::{Run, Stop, Tx};
use tpm_domain::{BulkPolicy, Failure, ServerState, TaskId, TaskKind, TaskState, TaskToken};
use tpm_store::NewTask;

impl Run<'_> {
    /// Writes the end of the task, and what follows for its bulk.
    pub(crate) async fn end(
        &self,
        tx: &Tx,
        state: TaskState,
        failure: Option<&Failure>,
    ) -> Result<(), Stop> {
        let task = &self.claim.task;
        tx.end_task(task.id, state, failure).await?;
        if let Some(bulk) = task.parent {
            self.settle(tx, bulk).await?;
        }
        match self.maker(tx).await? {
            Some(bulk) if task.parent != Some(bulk) => self.settle(tx, bulk).await,
            _ => Ok(()),
        }
    }

    /// The bulk that made the server, when this task is another one: it may be waiting to take the server
    /// back.
    async fn maker(&self, tx: &Tx) -> Result<Option<TaskId>, Stop> {
        if self.claim.task.kind.makes() {
            return Ok(None);
        }
        let Some(server) = tx.server_ever(self.server.id).await? else {
            return Ok(None);
        };
        let made = tx.task(&server.created_by).await?;
        Ok(made.and_then(|made| made.parent))
    }

    async fn settle(&self, tx: &Tx, bulk: TaskId) -> Result<(), Stop> {
        let Some(task) = tx.task_by_id(bulk).await? else {
            return Ok(());
        };
        let stands = task.children.unwrap_or_default();
        if task.kind != TaskKind::BulkCreate
            || task.policy != BulkPolicy::AllOrNothing
            || stands.failed + stands.cancelled == 0
        {
            return Ok(());
        }
        tx.request_cancel(bulk).await?;
        for made in tx.to_take_back(bulk).await? {
            let Some(id) = made.server else { continue };
            // Another task is at work on it: its end comes back here.
            let Some(mut server) = tx.idle_server(id).await? else {
                continue;
            };
            let undo = NewTask {
                undoes: Some(made.id),
                ..NewTask::on(
                    TaskKind::DeleteServer,
                    TaskToken(format!("{}_undo", made.token)),
                    (id, server.name.to_string()),
                    made.requested_by,
                )
                .in_bulk(Some(bulk), 0)
            };
            tx.insert_task(&undo).await?;
            server.state = ServerState::Deleting;
            tx.save_server(&server).await?;
        }
        tx.refresh_bulk(bulk).await?;
        Ok(())
    }
}
