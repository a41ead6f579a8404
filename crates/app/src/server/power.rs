//! Switching servers on, off, and off and on. What is already so is left alone.

use super::delete::{busy, existing};
use crate::{App, AppError, Ctx, Result};
use tpm_domain::{
    Action, Conflict, Error, Event, EventKind, PowerTarget, Server, ServerId, ServerState,
    TaskKind, TaskToken,
};
use tpm_store::NewTask;

/// What became of a wish for power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerOutcome {
    /// It is so already; nothing was done.
    AlreadyThere,
    /// A task does it.
    Started(TaskToken),
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
        target: PowerTarget,
    ) -> Result<PowerOutcome> {
        ctx.authorize(Action::WriteServers)?;
        let tx = self.store().begin().await?;
        let mut server = existing(&*tx, id).await?;
        let kind = match target {
            PowerTarget::Running => TaskKind::StartServer,
            PowerTarget::Stopped => TaskKind::StopServer,
            PowerTarget::Restarted => TaskKind::RestartServer,
        };
        if let Some(task) = tx.active_task(id).await? {
            if task.kind == kind {
                return Ok(PowerOutcome::Started(task.token));
            }
            return Err(busy(task.token));
        }
        match (server.state, target) {
            (ServerState::Running, PowerTarget::Running)
            | (ServerState::Stopped, PowerTarget::Stopped) => {
                return Ok(PowerOutcome::AlreadyThere);
            }
            _ => check(&server, target)?,
        }
        let token = self.new_task_token();
        let task = NewTask {
            token: token.clone(),
            kind,
            server: Some((id, server.name.to_string())),
            parent: None,
            requested_by: ctx.actor.id,
        };
        tx.insert_task(&task).await?;
        if target == PowerTarget::Restarted {
            server.state = ServerState::Restarting;
            tx.save_server(&server).await?;
        }
        let event = Event {
            kind: EventKind::PowerRequested { target },
            server: id,
            server_name: server.name.to_string(),
            task: token.clone(),
        };
        tx.add_event(&event).await?;
        tx.commit().await?;
        self.store().queue().wake().await;
        Ok(PowerOutcome::Started(token))
    }
}

/// A guest that was never made, or is gone, has no power; one that is off cannot be restarted.
fn check(server: &Server, target: PowerTarget) -> Result<()> {
    let switchable = match server.state {
        ServerState::Running => true,
        ServerState::Stopped => target != PowerTarget::Restarted,
        ServerState::Error | ServerState::Unknown | ServerState::Missing => {
            server.identity.is_some()
        }
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
