//! What retention keeps of the backups there are, and letting go of the rest.

use super::schedule::{RetentionDraft, schedule_for};
use crate::server::incomplete;
use crate::{App, Ctx, Result};
use std::collections::BTreeMap;
use tpm_calendar::Zone;
use tpm_domain::{
    AuditTarget, Backup, BackupState, FieldErrors, Permission, PruneMark, Reason, Retention,
    ScheduleId, ServerId,
};
use tpm_store::{BackupQuery, Reads};

/// What is to be kept of which backups, before it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneDraft {
    /// Only of this server.
    pub server: Option<i64>,
    /// Those that this schedule made, by its own rules.
    pub schedule: Option<i64>,
    /// Only on this storage.
    pub storage: Option<String>,
    /// What is kept of each server on each storage.
    pub retention: RetentionDraft,
    /// Whose hours, days and weeks: UTC's when not said.
    pub time_zone: Option<String>,
}

/// A draft that makes sense.
struct Wanted {
    query: BackupQuery,
    schedule: Option<ScheduleId>,
    retention: Retention,
    zone: Zone,
    target: AuditTarget,
}

impl App {
    /// What becomes of each backup, the newest of each server first. With `dry_run` that is all; otherwise what is not
    /// kept is condemned, and deleted by tasks when its server is free.
    ///
    /// # Errors
    /// Invalid, forbidden, not found, or the store does not answer.
    pub async fn prune_backups(
        &self,
        ctx: &Ctx,
        draft: &PruneDraft,
        dry_run: bool,
        errors: FieldErrors,
    ) -> Result<Vec<(Backup, PruneMark)>> {
        let permission = match dry_run {
            true => Permission::ReadBackups,
            false => Permission::WriteBackups,
        };
        let reach = ctx.reach(permission)?;
        if dry_run {
            let reads = self.store().reads();
            let mut wanted = self
                .understand_prune(ctx, &*reads, permission, draft, errors)
                .await?;
            wanted.query.within = reach.bound().cloned();
            return judged(&*reads, &wanted).await;
        }
        let tx = self.store().begin().await?;
        let mut wanted = self
            .understand_prune(ctx, &*tx, permission, draft, errors)
            .await?;
        wanted.query.within = reach.bound().cloned();
        let mut all = judged(&*tx, &wanted).await?;
        for (backup, mark) in &mut all {
            if *mark == PruneMark::Remove && backup.condemned_by.is_none() {
                backup.condemned_by = Some(ctx.actor.id);
                tx.save_backup(backup).await?;
            }
        }
        self.commit(ctx, tx, wanted.target).await?;
        Ok(all)
    }

    async fn understand_prune(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        permission: Permission,
        draft: &PruneDraft,
        mut errors: FieldErrors,
    ) -> Result<Wanted> {
        let mut retention = draft.retention.understand("", &mut errors);
        let zone = draft.time_zone.as_deref().unwrap_or("UTC");
        let mut zone = Zone::parse(zone);
        if zone.is_none() {
            errors.add("time_zone", Reason::NoSuch);
        }
        let said = RetentionDraft::FIELDS.iter().zip(draft.retention.counts);
        let said: Vec<_> = said.filter(|(_, count)| count.is_some()).collect();
        match draft.schedule {
            None if retention.keeps_all() && errors.is_empty() => {
                let of = &RetentionDraft::FIELDS;
                errors.add("", Reason::OneNeeded { of });
            }
            None => {}
            Some(_) => {
                let other = "schedule_id";
                for (field, _) in said {
                    errors.add(*field, Reason::Excludes { other });
                }
                if draft.time_zone.is_some() {
                    errors.add("time_zone", Reason::Excludes { other });
                }
            }
        }
        let mut query = BackupQuery {
            state: Some(BackupState::Completed),
            storage: draft.storage.clone(),
            ..BackupQuery::default()
        };
        errors.into_result(())?;
        let mut target = AuditTarget::new("backup", "prune");
        if let Some(id) = draft.server.map(ServerId) {
            let server = ctx.may(permission, id, reads.server_ever(id).await?)?;
            query.server = Some(id);
            target = AuditTarget::new("server", id).of(server.project);
        }
        let schedule = draft.schedule.map(ScheduleId);
        if let Some(id) = schedule {
            let schedule = schedule_for(ctx, reads, permission, id).await?;
            retention = schedule.spec.retention;
            zone = Zone::parse(&schedule.spec.time_zone);
            target = AuditTarget::new("schedule", id);
        }
        Ok(Wanted {
            query,
            schedule,
            retention,
            zone: zone.ok_or_else(incomplete)?,
            target,
        })
    }
}

/// What becomes of each backup, by server and storage.
async fn judged(
    reads: &(dyn Reads + Send + Sync),
    wanted: &Wanted,
) -> Result<Vec<(Backup, PruneMark)>> {
    let mut groups: BTreeMap<(ServerId, String), Vec<Backup>> = BTreeMap::new();
    for backup in reads.backups(&wanted.query).await?.items {
        if wanted.schedule.is_none() || backup.schedule == wanted.schedule {
            let group = (backup.server, backup.storage.clone());
            groups.entry(group).or_default().push(backup);
        }
    }
    let mut all = Vec::new();
    for group in groups.into_values() {
        let known: Vec<_> = group.iter().map(Backup::prunable).collect();
        let offset = |at| wanted.zone.offset_secs(at);
        let marks = wanted.retention.judge(&known, offset);
        all.extend(group.into_iter().zip(marks));
    }
    Ok(all)
}
