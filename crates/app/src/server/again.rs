//! Again: failed tasks, and servers whose guest was lost. What is made again passes the same gate as what
//! is made for the first time.

use super::create::incomplete;
use super::delete::target;
use super::reserve::{Crossings, Refusal, Wanted, as_before, server_of};
use super::{Accepted, BulkAccepted};
use crate::{App, Ctx, Result};
use tpm_domain::{
    AuditTarget, BulkPolicy, Conflict, Error, Event, EventKind, Permission, PowerTarget, Server,
    ServerId, ServerState, Task, TaskKind, TaskState, TaskToken,
};
use tpm_store::{NewTask, TaskQuery, UnitOfWork};

type Tx = dyn UnitOfWork + Send + Sync;

fn refused(conflict: Conflict) -> Refusal {
    Error::Conflict(conflict).into()
}

fn wrong_state(server: &Server) -> Refusal {
    let state = server.state.as_str();
    refused(Conflict::WrongState { state })
}

impl App {
    /// Tries again what failed: one task, or the failed ones of a bulk (all of them, when it was all or
    /// nothing), with a new task above them.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when the task has not ended, nothing of it failed, or what it needs
    /// cannot be had; or the store does not answer. Nothing is tried then.
    pub async fn retry_task(&self, ctx: &Ctx, token: &TaskToken) -> Result<BulkAccepted> {
        ctx.reach(Permission::WriteTasks)?;
        let mut crossings = Crossings::default();
        let done = loop {
            match self.try_again(ctx, token).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn try_again(
        &self,
        ctx: &Ctx,
        token: &TaskToken,
    ) -> std::result::Result<BulkAccepted, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let task = tx.task(token).await?;
        let task = self
            .task_for(ctx, &*tx, Permission::WriteTasks, token, task)
            .await?;
        if !task.state.is_final() {
            let task = task.token;
            return Err(refused(Conflict::ServerBusy { task }));
        }
        let failed = failed_of(&*tx, &task).await?;
        if failed.is_empty() {
            return Err(refused(Conflict::NothingToRetry));
        }
        let parent = if task.kind.is_bulk() {
            let token = self.new_task_token();
            let bulk = NewTask::bulk(task.kind, token.clone(), task.policy, ctx.actor.id);
            Some((token, tx.insert_task(&bulk).await?))
        } else {
            None
        };
        let parent_id = parent.as_ref().map(|(_, id)| *id);
        let (creates, others): (Vec<Task>, Vec<Task>) = failed
            .into_iter()
            .partition(|task| task.kind == TaskKind::CreateServer);
        let mut wanted: Vec<Wanted> = Vec::with_capacity(creates.len());
        for task in &creates {
            let Some((server, is_there)) = server_of(&*tx, task.server).await? else {
                continue;
            };
            let server = ctx.may(Permission::WriteServers, server.id, Some(server))?;
            // Something of the first attempt may be left, or it was tried again already.
            if is_there && !is_undone(&*tx, &server).await? {
                return Err(wrong_state(&server));
            }
            wanted.push(as_before(&*tx, server, is_there).await?);
        }
        let mut children = self
            .reserve(ctx, &*tx, wanted, parent_id, &EventKind::CreateRequested)
            .await?;
        for (turn, task) in others.iter().enumerate() {
            children.push(self.once_more(ctx, &*tx, task, parent_id, turn).await?);
        }
        let task = match (parent, children.first()) {
            (Some((token, _)), _) => token,
            (None, Some(only)) => only.task.clone(),
            (None, None) => return Err(refused(Conflict::NothingToRetry)),
        };
        let done = BulkAccepted { task, children };
        ctx.remember(&*tx, &done).await?;
        let about = AuditTarget::new("task", token);
        self.commit(ctx, tx, about).await?;
        Ok(done)
    }

    /// A removal, a change or a switch that failed, asked for again.
    async fn once_more(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        task: &Task,
        parent: Option<tpm_domain::TaskId>,
        turn: usize,
    ) -> std::result::Result<Accepted, Refusal> {
        let Some(id) = task.server else {
            return Err(refused(Conflict::NothingToRetry));
        };
        let server = tx.server(id).await?;
        let mut server = ctx.may(Permission::WriteServers, id, server)?;
        if let Some(task) = tx.active_task(id).await? {
            let task = task.token;
            return Err(refused(Conflict::ServerBusy { task }));
        }
        // What a change wanted is not kept once it failed: it has to be asked for anew.
        if !matches!(
            task.kind,
            TaskKind::DeleteServer
                | TaskKind::StartServer
                | TaskKind::StopServer
                | TaskKind::RestartServer
        ) {
            return Err(refused(Conflict::NothingToRetry));
        }
        let token = self.new_task_token();
        let on = (id, server.name.to_string());
        let new = NewTask::on(task.kind, token.clone(), on, ctx.actor.id).in_bulk(parent, turn);
        tx.insert_task(&new).await?;
        let kind = match task.kind.power_target() {
            Some(target) => {
                if target == PowerTarget::Restarted {
                    server.state = ServerState::Restarting;
                }
                EventKind::PowerRequested { target }
            }
            None => {
                server.state = ServerState::Deleting;
                EventKind::DeleteRequested
            }
        };
        tx.save_server(&server).await?;
        let event = Event {
            kind,
            server: Some(id),
            server_name: server.name.to_string(),
            task: Some(token.clone()),
        };
        tx.add_event(&event).await?;
        Ok(Accepted {
            task: token,
            server: id,
        })
    }

    /// Makes a server again whose guest is gone, or under whose VMID another guest stands: the same name,
    /// size and addresses, another VMID.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when its guest is there or what it needs cannot be had, or the store
    /// does not answer.
    pub async fn recreate_server(&self, ctx: &Ctx, id: ServerId) -> Result<Accepted> {
        ctx.reach(Permission::WriteServers)?;
        let mut crossings = Crossings::default();
        let done = loop {
            match self.try_recreate(ctx, id).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn try_recreate(
        &self,
        ctx: &Ctx,
        id: ServerId,
    ) -> std::result::Result<Accepted, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let server = lost(ctx, &*tx, id).await?;
        tx.release(id).await?;
        let about = target(&server);
        let wanted = as_before(&*tx, server, true).await?;
        let event = EventKind::RecreateRequested;
        let made = self.reserve(ctx, &*tx, vec![wanted], None, &event).await?;
        let done = made.into_iter().next().ok_or_else(incomplete)?;
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, about).await?;
        Ok(done)
    }

    /// Takes a server off the list whose guest is gone, or under whose VMID another guest stands. Nothing
    /// is done on the cluster.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when its guest is there, or the store does not answer.
    pub async fn forget_server(&self, ctx: &Ctx, id: ServerId) -> Result<()> {
        ctx.reach(Permission::WriteServers)?;
        let (_turn, tx) = self.begin_in_turn().await?;
        tx.lock_reservations().await?;
        let server = lost(ctx, &*tx, id).await?;
        tx.release(id).await?;
        tx.delete_server(id).await?;
        let event = Event {
            kind: EventKind::Forgotten,
            server: Some(id),
            server_name: server.name.to_string(),
            task: None,
        };
        tx.add_event(&event).await?;
        self.commit(ctx, tx, target(&server)).await?;
        Ok(())
    }
}

/// A server that has lost its guest.
async fn lost(ctx: &Ctx, tx: &Tx, id: ServerId) -> std::result::Result<Server, Refusal> {
    let server = tx.server(id).await?;
    let server = ctx.may(Permission::WriteServers, id, server)?;
    if let Some(task) = tx.active_task(id).await? {
        let task = task.token;
        return Err(refused(Conflict::ServerBusy { task }));
    }
    match server.state {
        ServerState::Missing | ServerState::IdentityConflict => Ok(server),
        _ => Err(wrong_state(&server)),
    }
}

/// Whether a create that failed has left nothing: what it held was let go.
async fn is_undone(tx: &Tx, server: &Server) -> std::result::Result<bool, Refusal> {
    let held = tx.names_taken(std::slice::from_ref(&server.name)).await?;
    let resting = tx.is_quarantined(server.vmid).await?;
    Ok(server.state == ServerState::Error
        && server.identity.is_none()
        && resting
        && (held.is_empty() || tx.active_task(server.id).await?.is_none()))
}

/// The tasks that a retry is about.
async fn failed_of(tx: &Tx, task: &Task) -> std::result::Result<Vec<Task>, Refusal> {
    if !task.kind.is_bulk() {
        let failed = task.state == TaskState::Failed && task.kind != TaskKind::RemoveOrphan;
        return Ok(if failed {
            vec![task.clone()]
        } else {
            Vec::new()
        });
    }
    let query = TaskQuery {
        parent: Some(task.id),
        ..TaskQuery::default()
    };
    let children = tx.tasks(&query).await?.items;
    let one_kind = match task.kind {
        TaskKind::BulkCreate => Some(TaskKind::CreateServer),
        _ => None,
    };
    let nothing_is_there = task.kind == TaskKind::BulkCreate
        && task.policy == BulkPolicy::AllOrNothing
        && task.state != TaskState::Completed;
    Ok(children
        .into_iter()
        .filter(|child| one_kind.is_none_or(|kind| child.kind == kind))
        .filter(|child| nothing_is_there || child.state == TaskState::Failed)
        .collect())
}
