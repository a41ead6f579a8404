//! Servers whose time is over: people are warned, the server is switched off, and deleted only when that
//! was asked for.

use crate::worker::Worker;
use tpm_domain::{
    Event, EventKind, ExpiryStage, OnExpiry, Server, ServerState, TaskKind, TaskToken, Timestamp,
    UserId,
};
use tpm_store::{NewTask, StoreError, UnitOfWork};

/// What is to be done about a server now.
fn due(server: &Server, now: Timestamp, worker: &Worker) -> Option<ExpiryStage> {
    let at = server.expiry.at?;
    let rounds = worker.settings().rounds;
    let stage = server.expiry.stage;
    if now >= at.plus(rounds.delete_after)
        && server.expiry.action == OnExpiry::Delete
        && stage >= ExpiryStage::Stopped
    {
        Some(ExpiryStage::Deleted)
    } else if now >= at {
        Some(ExpiryStage::Stopped)
    } else {
        Some(ExpiryStage::Warned)
    }
    .filter(|next| *next > stage)
}

impl Worker {
    /// Does what is due for servers whose time ends; returns for how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn expire(&self) -> Result<usize, StoreError> {
        let tx = self.store().begin().await?;
        let now = tx.now();
        drop(tx);
        let soon = now.plus(self.settings().rounds.warn_before);
        let mut done = 0;
        for server in self.store().reads().expiring(soon).await? {
            if let Some(stage) = due(&server, now, self)
                && self.expire_one(&server, stage).await?
            {
                done += 1;
            }
        }
        if done > 0 {
            self.store().queue().wake().await;
        }
        Ok(done)
    }

    async fn expire_one(&self, seen: &Server, stage: ExpiryStage) -> Result<bool, StoreError> {
        let tx = self.store().begin().await?;
        // A server that a task is at work on has its turn in the next round.
        let Some(mut server) = tx.idle_server(seen.id).await? else {
            return Ok(false);
        };
        if server.expiry != seen.expiry {
            return Ok(false);
        }
        server.expiry.stage = stage;
        let (kind, task) = match stage {
            ExpiryStage::Waiting => return Ok(false),
            ExpiryStage::Warned => {
                let kind = EventKind::ExpiresSoon {
                    at: server.expiry.at.unwrap_or(tx.now()),
                    action: server.expiry.action,
                };
                (kind, None)
            }
            ExpiryStage::Stopped => {
                let action = OnExpiry::Stop;
                let task = matches!(server.state, ServerState::Running | ServerState::Unknown)
                    .then_some(TaskKind::StopServer);
                (EventKind::Expired { action }, task)
            }
            ExpiryStage::Deleted => {
                server.state = ServerState::Deleting;
                let action = OnExpiry::Delete;
                (EventKind::Expired { action }, Some(TaskKind::DeleteServer))
            }
        };
        let token = match task {
            Some(task) => Some(self.ask_for(&*tx, &server, task).await?),
            None => None,
        };
        tx.save_server(&server).await?;
        let event = Event {
            kind,
            server: Some(server.id),
            server_name: server.name.to_string(),
            task: token,
        };
        tx.add_event(&event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A task in the name of who asked for the server.
    async fn ask_for(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
        server: &Server,
        kind: TaskKind,
    ) -> Result<TaskToken, StoreError> {
        let by = tx.requester(&server.created_by).await?.unwrap_or(UserId(0));
        let token = TaskToken(format!("task_expiry_{}_{}", server.id, tx.now().0));
        let on = (server.id, server.name.to_string());
        tx.insert_task(&NewTask::on(kind, token.clone(), on, by))
            .await?;
        Ok(token)
    }
}
