//! Switching servers on, off, and off and on. What is already so is left alone.

use super::Accepted;
use super::create::incomplete;
use super::delete::{self, busy, existing};
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use tpm_domain::{
    AuditTarget, BulkPolicy, Conflict, Error, Event, EventKind, FieldErrors, Permission,
    PowerTarget, Server, ServerId, ServerState, TaskId, TaskKind, TaskToken,
};
use tpm_store::{NewTask, UnitOfWork};

/// What became of a wish for power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerOutcome {
    /// It is so already; nothing was done.
    AlreadyThere,
    /// A task does it.
    Started(TaskToken),
}

/// What became of a wish for the power of several servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkPowerOutcome {
    /// The task that summarizes the others; `None` when nothing had to be done.
    pub task: Option<TaskToken>,
    /// Each server that is switched, with its own task.
    pub children: Vec<Accepted>,
    /// Servers whose power is so already.
    pub there: Vec<ServerId>,
}

impl App {
    /// Wishes a server's power to be `target`.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when a task is at work or the server has no guest to switch, or
    /// the store does not answer.
    pub async fn set_power(
        &self,
        ctx: &Ctx,
        id: ServerId,
        target: Option<PowerTarget>,
        errors: FieldErrors,
    ) -> Result<PowerOutcome> {
        ctx.reach(Permission::WriteServers)?;
        let target = errors.into_result(target)?.ok_or_else(incomplete)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let server = existing(ctx, &*tx, id).await?;
        let kind = TaskKind::of_power(target);
        if let Some(task) = tx.active_task(id).await? {
            if task.kind == kind {
                return Ok(PowerOutcome::Started(task.token));
            }
            return Err(busy(task.token));
        }
        if is_there(&server, target) {
            return Ok(PowerOutcome::AlreadyThere);
        }
        check(&server, target)?;
        let about = delete::target(&server);
        let accepted = self
            .enqueue_power(ctx, &*tx, server, target, None, 0)
            .await?;
        let outcome = PowerOutcome::Started(accepted.task);
        ctx.remember(&*tx, &outcome).await?;
        self.commit(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(outcome)
    }

    /// Wishes the power of several servers to be `target`: all are accepted, or none. Those that are so
    /// already are left alone.
    ///
    /// # Errors
    /// As for one.
    pub async fn set_power_of_all(
        &self,
        ctx: &Ctx,
        ids: &[ServerId],
        target: Option<PowerTarget>,
        mut errors: FieldErrors,
    ) -> Result<BulkPowerOutcome> {
        ctx.reach(Permission::WriteServers)?;
        self.check_ids(ids, &mut errors);
        let target = errors.into_result(target)?.ok_or_else(incomplete)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let (mut there, mut switched) = (Vec::new(), Vec::new());
        for id in ids {
            let server = existing(ctx, &*tx, *id).await?;
            if let Some(task) = tx.active_task(*id).await? {
                return Err(busy(task.token));
            }
            if is_there(&server, target) {
                there.push(*id);
            } else {
                check(&server, target)?;
                switched.push(server);
            }
        }
        let mut done = BulkPowerOutcome {
            task: None,
            children: Vec::with_capacity(switched.len()),
            there,
        };
        if !switched.is_empty() {
            let token = self.new_task_token();
            let kind = TaskKind::BulkPower;
            let bulk = NewTask::bulk(kind, token.clone(), BulkPolicy::Keep, ctx.actor.id);
            let parent = tx.insert_task(&bulk).await?;
            done.task = Some(token);
            for (turn, server) in switched.into_iter().enumerate() {
                let accepted = self
                    .enqueue_power(ctx, &*tx, server, target, Some(parent), turn)
                    .await?;
                done.children.push(accepted);
            }
        }
        ctx.remember(&*tx, &done).await?;
        let about = match &done.task {
            Some(task) => AuditTarget::new("task", task),
            None => AuditTarget::default(),
        };
        self.commit(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn enqueue_power(
        &self,
        ctx: &Ctx,
        tx: &(dyn UnitOfWork + Send + Sync),
        mut server: Server,
        target: PowerTarget,
        parent: Option<TaskId>,
        turn: usize,
    ) -> Result<Accepted> {
        let token = self.new_task_token();
        let on = (server.id, server.name.to_string());
        let kind = TaskKind::of_power(target);
        let task = NewTask::on(kind, token.clone(), on, ctx.actor.id).in_bulk(parent, turn);
        tx.insert_task(&task).await?;
        if target == PowerTarget::Restarted {
            server.state = ServerState::Restarting;
            tx.save_server(&server).await?;
        }
        let event = Event {
            kind: EventKind::PowerRequested { target },
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

fn is_there(server: &Server, target: PowerTarget) -> bool {
    matches!(
        (server.state, target),
        (ServerState::Running, PowerTarget::Running) | (ServerState::Stopped, PowerTarget::Stopped)
    )
}

/// A guest that was never made, or is gone, has no power; one that is off cannot be restarted.
fn check(server: &Server, target: PowerTarget) -> Result<()> {
    let switchable = match server.state {
        ServerState::Running => true,
        ServerState::Stopped => target != PowerTarget::Restarted,
        ServerState::Error
        | ServerState::Unknown
        | ServerState::Missing
        | ServerState::IdentityConflict => server.identity.is_some(),
        ServerState::Creating | ServerState::Restarting | ServerState::Deleting => false,
    };
    if switchable {
        Ok(())
    } else {
        let state = server.state.as_str();
        Err(AppError::Refused(Error::Conflict(Conflict::WrongState {
            state,
        })))
    }
}
