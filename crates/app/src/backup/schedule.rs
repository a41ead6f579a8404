//! Schedules of backups: seeing, making, changing, running and removing them. A worker follows them.

mod draft;

pub use draft::{RetentionDraft, ScheduleDraft, TargetDraft};

use crate::project::label_taken;
use crate::server::incomplete;
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use tpm_calendar::{Calendar, Zone};
use tpm_domain::{
    AuditTarget, Conflict, Error, FieldErrors, Permission, ProjectId, Reach, Reason, ResourceKind,
    RunId, RunState, Schedule, ScheduleId, ScheduleRun, ScheduleSpec, Timestamp,
};
use tpm_store::{NewRun, Reads, ServerQuery, StoreError};

/// So many of the next times are told.
const UPCOMING: usize = 5;

/// A schedule, when it is due, and how its last run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleView {
    /// The schedule.
    pub schedule: Schedule,
    /// The next times; none while it is not followed.
    pub next_runs: Vec<Timestamp>,
    /// Its last run.
    pub last_run: Option<ScheduleRun>,
}

/// A run that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAccepted {
    /// Its number.
    pub run: RunId,
    /// How many servers it is about.
    pub servers: usize,
}

fn target(schedule: &Schedule) -> AuditTarget {
    let target = AuditTarget::new("schedule", schedule.id);
    match schedule.spec.project {
        Some(project) => target.of(project),
        None => target,
    }
}

/// Whether a permission reaches what a schedule may touch.
fn reaches(reach: &Reach, project: Option<ProjectId>) -> bool {
    match project {
        Some(project) => reach.covers(project),
        None => *reach == Reach::Everywhere,
    }
}

impl App {
    /// The schedules that a person may see, by name.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn schedules(&self, ctx: &Ctx) -> Result<Vec<ScheduleView>> {
        let reach = ctx.reach(Permission::ReadBackups)?;
        let reads = self.store().reads();
        let mut last = reads.last_runs().await?;
        let all = reads.schedules().await?.into_iter();
        let seen = all.filter(|one| reaches(&reach, one.spec.project));
        Ok(seen
            .map(|schedule| {
                let last_run = last.remove(&schedule.id);
                self.schedule_view(schedule, last_run)
            })
            .collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn schedule(&self, ctx: &Ctx, id: ScheduleId) -> Result<ScheduleView> {
        let reads = self.store().reads();
        let schedule = schedule_for(ctx, &*reads, Permission::ReadBackups, id).await?;
        let last_run = reads.last_runs().await?.remove(&id);
        Ok(self.schedule_view(schedule, last_run))
    }

    fn schedule_view(&self, schedule: Schedule, last_run: Option<ScheduleRun>) -> ScheduleView {
        let spec = &schedule.spec;
        let zone = Zone::parse(&spec.time_zone);
        let calendar = zone.and_then(|zone| Calendar::parse(&spec.calendar, zone));
        let next_runs = match (schedule.next_at, calendar) {
            (Some(next), Some(calendar)) => {
                let mut all = vec![next];
                all.extend(calendar.upcoming(next.max(self.now()), UPCOMING - 1));
                all
            }
            _ => Vec::new(),
        };
        ScheduleView {
            schedule,
            next_runs,
            last_run,
        }
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict when the name is taken, or the store does not answer.
    pub async fn create_schedule(
        &self,
        ctx: &Ctx,
        draft: &ScheduleDraft,
        mut errors: FieldErrors,
    ) -> Result<ScheduleView> {
        ctx.reach(Permission::WriteBackups)?;
        if errors.is_empty() {
            for (field, is_missing) in [
                ("name", draft.name.is_none()),
                ("calendar", draft.calendar.is_none()),
                ("time_zone", draft.time_zone.is_none()),
                ("target", draft.target.is_none()),
            ] {
                if is_missing {
                    errors.add(field, Reason::Required);
                }
            }
        }
        let tx = self.store().begin().await?;
        let spec = self
            .understand_schedule(ctx, &*tx, None, draft, &mut errors)
            .await?;
        let spec = errors.into_result(spec)?.ok_or_else(incomplete)?;
        let id = match ctx.replay(&*tx).await? {
            Some(done) => return self.schedule(ctx, done).await,
            None => {
                let next = next_of(&spec, tx.now());
                match tx.insert_schedule(&spec, next, ctx.actor.id).await {
                    Err(StoreError::Constraint(_)) => return Err(label_taken(&spec.name)),
                    done => done?,
                }
            }
        };
        ctx.remember(&*tx, &id).await?;
        let made = tx.schedule(id).await?.ok_or_else(|| missing(id))?;
        self.commit(ctx, tx, target(&made)).await?;
        Ok(self.schedule_view(made, None))
    }

    /// Changes a schedule. When it is due is counted from now on, unless neither calendar nor time zone changed.
    ///
    /// # Errors
    /// As for making one, and not found.
    pub async fn change_schedule(
        &self,
        ctx: &Ctx,
        id: ScheduleId,
        draft: &ScheduleDraft,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.reach(Permission::WriteBackups)?;
        let tx = self.store().begin().await?;
        let mut schedule = schedule_for(ctx, &*tx, Permission::WriteBackups, id).await?;
        let spec = self
            .understand_schedule(ctx, &*tx, Some(&schedule.spec), draft, &mut errors)
            .await?;
        let spec = errors.into_result(spec)?.ok_or_else(incomplete)?;
        let same = spec.calendar == schedule.spec.calendar
            && spec.time_zone == schedule.spec.time_zone
            && spec.enabled == schedule.spec.enabled;
        if !same {
            schedule.next_at = next_of(&spec, tx.now());
        }
        schedule.spec = spec;
        match tx.save_schedule(&schedule).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&schedule.spec.name)),
            done => done?,
        }
        self.commit(ctx, tx, target(&schedule)).await
    }

    /// Removes a schedule. Its backups stay, and those that are being made are made.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn delete_schedule(&self, ctx: &Ctx, id: ScheduleId) -> Result<()> {
        ctx.reach(Permission::WriteBackups)?;
        let tx = self.store().begin().await?;
        let schedule = schedule_for(ctx, &*tx, Permission::WriteBackups, id).await?;
        tx.delete_schedule(id).await?;
        self.commit(ctx, tx, target(&schedule)).await
    }

    /// Runs a schedule now, whether it is followed or not; when it is due otherwise stays as it is.
    ///
    /// # Errors
    /// Forbidden, not found, conflict while a run of it is not over, or the store does not answer.
    pub async fn run_schedule(&self, ctx: &Ctx, id: ScheduleId) -> Result<RunAccepted> {
        ctx.reach(Permission::WriteBackups)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let schedule = schedule_for(ctx, &*tx, Permission::WriteBackups, id).await?;
        let last = tx.last_runs().await?.remove(&id);
        if last.is_some_and(|run| run.state == RunState::Running) {
            return Err(AppError::Refused(Error::Conflict(Conflict::ScheduleRuns)));
        }
        let spec = &schedule.spec;
        let query = ServerQuery {
            project: spec.project,
            ..ServerQuery::default()
        };
        let roles = self.policy().roles.iter();
        let tags = roles.map(|(name, role)| (name.clone(), role.tags.clone()));
        let tags = tags.collect();
        let servers = tx.servers(&query).await?.items;
        let now = tx.now();
        let covered = servers.iter().filter(|server| spec.covers(server, &tags));
        let items: Vec<_> = covered.map(|server| (server.id, now)).collect();
        let servers = items.len();
        let run = NewRun {
            schedule: id,
            due_at: now,
            passed_over: 0,
            asked_by: Some(ctx.actor.id),
            state: RunState::Running,
            begin_before: spec.begin_before(now),
            items,
        };
        let run = tx.insert_run(&run).await?;
        let done = RunAccepted { run, servers };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, target(&schedule)).await?;
        Ok(done)
    }
}

/// When a schedule is due next; `None` while it is not followed.
fn next_of(spec: &ScheduleSpec, now: Timestamp) -> Option<Timestamp> {
    let zone = Zone::parse(&spec.time_zone).filter(|_| spec.enabled)?;
    Calendar::parse(&spec.calendar, zone)?.next_after(now)
}

fn missing(id: ScheduleId) -> AppError {
    AppError::Refused(Error::not_found(ResourceKind::Schedule, id))
}

/// A schedule that somebody asks about or wants to do something to. One that the person may not see is as one that is
/// not there.
pub(super) async fn schedule_for(
    ctx: &Ctx,
    reads: &(dyn Reads + Send + Sync),
    permission: Permission,
    id: ScheduleId,
) -> Result<Schedule> {
    let reach = ctx.reach(permission)?;
    let schedule = reads.schedule(id).await?.ok_or_else(|| missing(id))?;
    if reaches(&reach, schedule.spec.project) {
        return Ok(schedule);
    }
    let seen = ctx.actor.reach(Permission::ReadBackups);
    if reaches(&seen, schedule.spec.project) {
        Err(AppError::Refused(Error::Forbidden))
    } else {
        Err(missing(id))
    }
}
