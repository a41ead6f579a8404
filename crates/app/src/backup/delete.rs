//! Deleting backups.

use super::create::BackupAccepted;
use super::{about, backup_for};
use crate::server::busy;
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use tpm_domain::{
    Backup, BackupPayload, BackupState, BackupToken, Conflict, DrillState, Error, EventKind,
    Permission, TaskKind, TaskToken,
};
use tpm_store::{BackupQuery, DrillQuery, UnitOfWork};

/// What became of a wish to delete a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupDeletion {
    /// A task does it.
    Started(BackupAccepted),
    /// There was no archive: it is gone.
    Gone(BackupToken),
}

impl App {
    /// Deletes a backup. The only one of its server that can be restored is deleted only when `confirm` is its own
    /// name.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when it is protected, the only good one, or not made so far, or the store
    /// does not answer.
    pub async fn delete_backup(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        confirm: Option<&str>,
    ) -> Result<BackupDeletion> {
        ctx.reach(Permission::WriteBackups)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let found = backup_for(ctx, tx_reads(&*tx), Permission::WriteBackups, token).await;
        let (mut backup, server) = found?;
        let refused = |conflict| AppError::Refused(Error::Conflict(conflict));
        let active = tx.active_task(server.id).await?;
        match (backup.state, active) {
            (BackupState::Deleting, Some(task)) => {
                return Ok(BackupDeletion::Started(BackupAccepted {
                    task: task.token,
                    backup: backup.token,
                    server: server.id,
                    safety: None,
                }));
            }
            (BackupState::Pending, _) => {
                let state = backup.state.as_str();
                return Err(refused(Conflict::BackupState { state }));
            }
            (_, Some(task)) => return Err(busy(task.token)),
            (_, None) => {}
        }
        if let Some(task) = tried_by(&*tx, &backup).await? {
            return Err(busy(task));
        }
        if backup.protected && backup.state == BackupState::Completed {
            return Err(refused(Conflict::BackupProtected));
        }
        if confirm != Some(&backup.token.0) && is_only_good(&*tx, &backup).await? {
            return Err(refused(Conflict::OnlyBackup));
        }
        let target = about(&backup.token, &server);
        let there = backup.volume.is_some() && backup.state != BackupState::Missing;
        let done = if there {
            backup.state = BackupState::Deleting;
            tx.save_backup(&backup).await?;
            let payload = BackupPayload::of(backup.id);
            let event = EventKind::BackupDeleteRequested {
                backup: backup.token.0.clone(),
            };
            let kind = TaskKind::DeleteBackup;
            let task = self
                .enqueue_backup(ctx, &*tx, &server, kind, payload, event)
                .await?;
            BackupDeletion::Started(BackupAccepted {
                task,
                backup: backup.token,
                server: server.id,
                safety: None,
            })
        } else {
            tx.delete_backup(backup.id).await?;
            BackupDeletion::Gone(backup.token)
        };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, target).await?;
        self.store().queue().wake().await;
        Ok(done)
    }
}

fn tx_reads(tx: &(dyn UnitOfWork + Send + Sync)) -> &(dyn tpm_store::Reads + Send + Sync) {
    tx
}

/// The task of a drill that reads its archive.
async fn tried_by(
    tx: &(dyn UnitOfWork + Send + Sync),
    backup: &Backup,
) -> Result<Option<TaskToken>> {
    let query = DrillQuery {
        backup: Some(backup.token.clone()),
        state: Some(DrillState::Running),
        limit: Some(1),
        ..DrillQuery::default()
    };
    let mut found = tx.drills(&query).await?.items.into_iter();
    Ok(found.find_map(|drill| drill.task))
}

/// Whether its server has no other backup that can be restored.
async fn is_only_good(tx: &(dyn UnitOfWork + Send + Sync), backup: &Backup) -> Result<bool> {
    if !backup.is_good() {
        return Ok(false);
    }
    let query = BackupQuery {
        server: Some(backup.server),
        state: Some(BackupState::Completed),
        limit: Some(2),
        ..BackupQuery::default()
    };
    Ok(tx.backups(&query).await?.total <= 1)
}
