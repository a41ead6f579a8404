//! Restoring backups: onto the server they are of, onto another one, or as a new one.

use super::create::BackupAccepted;
use super::{about, backup_for};
use crate::server::{Crossings, Refusal, busy};
use crate::{App, AppError, Ctx, Result};
use tpm_domain::{
    Backup, BackupOrigin, BackupPayload, BackupToken, Conflict, Error, EventKind, FieldErrors,
    Permission, Server, ServerId, ServerState, TaskKind,
};
use tpm_store::NewBackup;

/// What a backup is restored to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RestoreTarget {
    /// The server it is of.
    #[default]
    Origin,
    /// This server.
    Server(ServerId),
    /// A new server of this name; of one that is made up when `None`.
    New(Option<String>),
}

/// A request for a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreDraft {
    /// Onto what.
    pub target: RestoreTarget,
    /// Whether what is there may be replaced.
    pub overwrite: bool,
}

impl App {
    /// Restores a backup.
    ///
    /// # Errors
    /// Invalid, forbidden, not found, conflict when the backup is not whole, a task is at work on the server, or
    /// what is there would be lost without a word; of a new server everything that a create is refused for.
    pub async fn restore_backup(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        draft: &RestoreDraft,
        errors: FieldErrors,
    ) -> Result<BackupAccepted> {
        ctx.reach(Permission::WriteBackups)?;
        ctx.reach(Permission::WriteServers)?;
        errors.into_result(())?;
        let done = match &draft.target {
            RestoreTarget::Origin => self.restore_over(ctx, token, None, draft.overwrite).await?,
            RestoreTarget::Server(id) => {
                self.restore_over(ctx, token, Some(*id), draft.overwrite)
                    .await?
            }
            RestoreTarget::New(name) => {
                let mut crossings = Crossings::default();
                loop {
                    match self.restore_as_new(ctx, token, name.as_deref()).await {
                        Err(refusal) if crossings.again(&refusal) => {}
                        done => break done?,
                    }
                }
            }
        };
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn restore_over(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        target: Option<ServerId>,
        overwrite: bool,
    ) -> Result<BackupAccepted> {
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let (backup, origin) = self.good_backup(ctx, &*tx, token).await?;
        let id = target.unwrap_or(origin.id);
        let server = tx.server(id).await?;
        let mut server = ctx.may(Permission::WriteServers, id, server)?;
        if let Some(task) = tx.active_task(id).await? {
            return Err(busy(task.token));
        }
        let is_there = has_guest(&server)?;
        if is_there && !overwrite {
            let server = server.name.to_string();
            let conflict = Conflict::WouldOverwrite { server };
            return Err(AppError::Refused(Error::Conflict(conflict)));
        }
        let safety = match is_there && self.policy().backup.safety {
            false => None,
            true => {
                let new = NewBackup {
                    notes: format!("before {token}"),
                    ..self.new_backup(&server, BackupOrigin::Safety)
                };
                Some((tx.insert_backup(&new).await?, new.token))
            }
        };
        let payload = BackupPayload {
            safety: safety.as_ref().map(|(id, _)| *id),
            ..BackupPayload::of(backup.id)
        };
        let event = EventKind::RestoreRequested {
            backup: token.0.clone(),
        };
        let kind = TaskKind::RestoreBackup;
        let task = self
            .enqueue_backup(ctx, &*tx, &server, kind, payload, event)
            .await?;
        server.problem = None;
        tx.save_server(&server).await?;
        let done = BackupAccepted {
            task,
            backup: backup.token,
            server: id,
            safety: safety.map(|(_, token)| token),
        };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, about(&done.backup, &server)).await?;
        Ok(done)
    }

    async fn restore_as_new(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        name: Option<&str>,
    ) -> std::result::Result<BackupAccepted, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let (backup, origin) = self.good_backup(ctx, &*tx, token).await?;
        if !ctx.actor.may_on(Permission::WriteServers, &origin) {
            return Err(Error::Forbidden.into());
        }
        let made = self
            .reserve_of_backup(ctx, &*tx, &backup, &origin, name)
            .await?;
        let done = BackupAccepted {
            task: made.task,
            backup: backup.token,
            server: made.server,
            safety: None,
        };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, about(&done.backup, &origin)).await?;
        Ok(done)
    }

    /// A backup that can be restored, and its server.
    pub(super) async fn good_backup(
        &self,
        ctx: &Ctx,
        tx: &(dyn tpm_store::UnitOfWork + Send + Sync),
        token: &BackupToken,
    ) -> Result<(Backup, Server)> {
        let reads: &(dyn tpm_store::Reads + Send + Sync) = tx;
        let (backup, server) = backup_for(ctx, reads, Permission::WriteBackups, token).await?;
        if backup.is_good() {
            return Ok((backup, server));
        }
        let state = backup.state.as_str();
        Err(AppError::Refused(Error::Conflict(Conflict::BackupState {
            state,
        })))
    }
}

/// Whether there is a guest that would be replaced. One that is lost can be brought back; one that was never made,
/// or is somebody else's, cannot.
fn has_guest(server: &Server) -> Result<bool> {
    match server.state {
        ServerState::Running | ServerState::Stopped => Ok(true),
        ServerState::Missing if server.identity.is_some() => Ok(false),
        ServerState::Error | ServerState::Unknown if server.identity.is_some() => Ok(true),
        state => {
            let state = state.as_str();
            Err(AppError::Refused(Error::Conflict(Conflict::WrongState {
                state,
            })))
        }
    }
}
