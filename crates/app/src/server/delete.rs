//! Deleting servers. The row stays `deleting` until Proxmox VE confirmed that the guest is gone.

use super::{Accepted, BulkAccepted};
use crate::{App, AppError, Ctx, Result};
use std::collections::BTreeSet;
use tpm_domain::{
    AuditTarget, BulkPolicy, Conflict, Error, Event, EventKind, FieldErrors, Permission, Reason,
    Server, ServerId, ServerState, TaskId, TaskKind,
};
use tpm_store::{NewTask, StoreError, UnitOfWork};

impl App {
    /// Deletes one server. Asking again while it is being deleted answers with the task at work.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when another task is at work, or the store does not answer.
    pub async fn delete_server(&self, ctx: &Ctx, id: ServerId) -> Result<Accepted> {
        ctx.reach(Permission::WriteServers)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let server = existing(ctx, &*tx, id).await?;
        if let Some(task) = tx.active_task(id).await? {
            if task.kind == TaskKind::DeleteServer {
                return Ok(Accepted {
                    task: task.token,
                    server: id,
                });
            }
            return Err(busy(task.token));
        }
        let about = target(&server);
        let accepted = self.enqueue_delete(ctx, &*tx, server, None, 0).await?;
        ctx.remember(&*tx, &accepted).await?;
        self.commit(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(accepted)
    }

    /// Deletes several servers with one task above theirs: all are accepted, or none.
    ///
    /// # Errors
    /// As for one.
    pub async fn delete_servers(
        &self,
        ctx: &Ctx,
        ids: &[ServerId],
        mut errors: FieldErrors,
    ) -> Result<BulkAccepted> {
        ctx.reach(Permission::WriteServers)?;
        self.check_ids(ids, &mut errors);
        errors.into_result(())?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let mut servers = Vec::with_capacity(ids.len());
        for id in ids {
            servers.push(existing(ctx, &*tx, *id).await?);
            if let Some(task) = tx.active_task(*id).await? {
                return Err(busy(task.token));
            }
        }
        let parent = self.new_task_token();
        let kind = TaskKind::BulkDelete;
        let task = NewTask::bulk(kind, parent.clone(), BulkPolicy::Keep, ctx.actor.id);
        let parent_id = tx.insert_task(&task).await?;
        let mut children = Vec::with_capacity(servers.len());
        for (turn, server) in servers.into_iter().enumerate() {
            children.push(
                self.enqueue_delete(ctx, &*tx, server, Some(parent_id), turn)
                    .await?,
            );
        }
        let done = BulkAccepted {
            task: parent,
            children,
        };
        ctx.remember(&*tx, &done).await?;
        let about = AuditTarget::new("task", &done.task);
        self.commit(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(done)
    }

    /// A list of servers in a request: not empty, not too long, none twice.
    pub(super) fn check_ids(&self, ids: &[ServerId], errors: &mut FieldErrors) {
        let max = self.policy().limits.max_bulk;
        if errors.is_empty() && (ids.is_empty() || ids.len() > max) {
            errors.add("server_ids", Reason::Count { min: 1, max });
        }
        let mut seen = BTreeSet::new();
        for (index, id) in ids.iter().enumerate() {
            if !seen.insert(*id) {
                errors.add(format!("server_ids[{index}]"), Reason::Duplicate);
            }
        }
    }

    async fn enqueue_delete(
        &self,
        ctx: &Ctx,
        tx: &(dyn UnitOfWork + Send + Sync),
        mut server: Server,
        parent: Option<TaskId>,
        turn: usize,
    ) -> std::result::Result<Accepted, StoreError> {
        let token = self.new_task_token();
        let on = (server.id, server.name.to_string());
        let task = NewTask::on(TaskKind::DeleteServer, token.clone(), on, ctx.actor.id)
            .in_bulk(parent, turn);
        tx.insert_task(&task).await?;
        server.state = ServerState::Deleting;
        tx.save_server(&server).await?;
        let event = Event {
            kind: EventKind::DeleteRequested,
            server: Some(server.id),
            server_name: server.name.to_string(),
            task: Some(token.clone()),
        };
        tx.add_event(&event).await?;
        Ok(Accepted {
            task: token,
            server: server.id,
        })
    }
}

/// A server that is to be changed.
pub(super) async fn existing(
    ctx: &Ctx,
    tx: &(dyn UnitOfWork + Send + Sync),
    id: ServerId,
) -> Result<Server> {
    let server = tx.server(id).await?;
    Ok(ctx.may(Permission::WriteServers, id, server)?)
}

/// What the audit says of a server that something is done to.
pub(super) fn target(server: &Server) -> AuditTarget {
    AuditTarget::new("server", server.id).of(server.project)
}

pub(crate) fn busy(task: tpm_domain::TaskToken) -> AppError {
    AppError::Refused(Error::Conflict(Conflict::ServerBusy { task }))
}
