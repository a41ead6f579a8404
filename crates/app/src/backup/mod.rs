//! Backups of servers: seeing, making, restoring and deleting them.

mod create;
mod delete;
mod drill;
mod prune;
mod restore;
mod schedule;

pub use create::{BackupAccepted, BackupDraft};
pub use delete::BackupDeletion;
pub use drill::{Booked, Booking, DrillAccepted, DrillDraft, NotBooked, book_drill};
pub use prune::PruneDraft;
pub use restore::{RestoreDraft, RestoreTarget};
pub use schedule::{RetentionDraft, RunAccepted, ScheduleDraft, ScheduleView, TargetDraft};

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{AuditTarget, Backup, BackupToken, Error, Permission, ResourceKind, Server};
use tpm_store::{BackupQuery, Page, Reads};

impl App {
    /// A page of backups, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn backups(&self, ctx: &Ctx, query: &BackupQuery) -> Result<Page<Backup>> {
        let reach = ctx.reach(Permission::ReadBackups)?;
        let query = BackupQuery {
            within: reach.bound().cloned(),
            ..query.clone()
        };
        Ok(self.store().reads().backups(&query).await?)
    }

    /// One backup.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn backup(&self, ctx: &Ctx, token: &BackupToken) -> Result<Backup> {
        let reads = self.store().reads();
        let (backup, _) = backup_for(ctx, &*reads, Permission::ReadBackups, token).await?;
        Ok(backup)
    }

    fn new_backup_token(&self) -> BackupToken {
        BackupToken(format!("backup_{}", self.random_hex(10)))
    }
}

/// A backup that somebody asks about or wants to do something to, with its server, which may be deleted. One that
/// the person may not see is as one that is not there.
async fn backup_for(
    ctx: &Ctx,
    reads: &(dyn Reads + Send + Sync),
    permission: Permission,
    token: &BackupToken,
) -> Result<(Backup, Server)> {
    ctx.reach(permission)?;
    let missing = || AppError::Refused(Error::not_found(ResourceKind::Backup, token));
    let backup = reads.backup_named(token).await?.ok_or_else(missing)?;
    let server = reads.server_ever(backup.server).await?;
    let server = server.ok_or_else(missing)?;
    if ctx.actor.may_on(permission, &server) {
        Ok((backup, server))
    } else if ctx.actor.may_on(Permission::ReadBackups, &server) {
        Err(AppError::Refused(Error::Forbidden))
    } else {
        Err(missing())
    }
}

/// What the audit says of a backup that something is done to.
fn about(backup: &BackupToken, server: &Server) -> AuditTarget {
    AuditTarget::new("backup", backup).of(server.project)
}
