//! Schedules followed: what is due is written down as a run in the transaction that takes it, so that of any number
//! of workers one does, once; who slept catches up once. A run's servers begin one after the other, as far as their
//! node and storage have room and no other task is at work on them, so that nobody waits for a queue of backups to
//! switch a server on. What retention does not keep is condemned with the end of a server's part, and deleted by
//! tasks when its server is free.
//!
//! Everything is found again from the rows alone: killed anywhere, the next turn goes on.

use crate::scheduled_drills::{drill_over, is_tried};
use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_app::DrillPolicy;
use tpm_calendar::{Calendar, Zone};
use tpm_domain::{
    Backup, BackupBounds, BackupId, BackupOrigin, BackupPayload, BackupState, Event, EventKind,
    FailureCode, PruneMark, RunItem, RunItemId, RunItemState, RunState, Schedule, ScheduleId,
    ScheduleSpec, Server, ServerId, TaskKind, TaskToken, Timestamp, UserId, Ways, next_to_begin,
};
use tpm_store::{BackupQuery, NewBackup, NewRun, NewTask, ServerQuery, StoreError, UnitOfWork};

type Tx = dyn UnitOfWork + Send + Sync;

/// Runs that are over are kept for so long, the latest of a schedule for ever.
const RUNS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// What schedules are followed by beside their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// What may run at once where a schedule does not say.
    pub ways: Ways,
    /// Tags of roles by name.
    pub role_tags: BTreeMap<String, Vec<String>>,
    /// Where backups are tried.
    pub drill: DrillPolicy,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            ways: Ways {
                per_node: 1,
                per_storage: 4,
            },
            role_tags: BTreeMap::new(),
            drill: DrillPolicy::default(),
        }
    }
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// Runs that were begun.
    pub fired: u32,
    /// Runs that nobody began inside their window.
    pub missed: u32,
    /// Backups that were asked for.
    pub begun: u32,
    /// Parts of runs that are over.
    pub over: u32,
    /// Backups that are to go.
    pub condemned: u32,
    /// Deletions that were asked for.
    pub deleting: u32,
}

/// What became of a part that was to begin.
pub(crate) enum Begun {
    Yes,
    NotNow,
    Never,
}

impl Worker {
    /// One turn over all schedules, whoever's turn it is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn follow_schedules(&self) -> Result<Scheduled, StoreError> {
        let mut done = Scheduled::default();
        let all = self.store().reads().schedules().await?;
        for schedule in all.iter().filter(|one| one.next_at.is_some()) {
            self.fire(schedule, &mut done).await?;
        }
        self.tend_runs(&mut done).await?;
        self.delete_condemned(&mut done).await?;
        if done.begun + done.deleting > 0 {
            self.store().queue().wake().await;
        }
        Ok(done)
    }

    /// What a task about a backup leaves room for begins at once.
    pub(crate) async fn follow_up(&self, kind: TaskKind) {
        let mut done = Scheduled::default();
        let went = match kind {
            TaskKind::CreateBackup => match self.tend_runs(&mut done).await {
                Ok(()) => self.delete_condemned(&mut done).await,
                failed => failed,
            },
            TaskKind::DrillBackup => self.tend_runs(&mut done).await,
            TaskKind::DeleteBackup => self.delete_condemned(&mut done).await,
            _ => return,
        };
        if let Err(error) = went {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what is scheduled goes on in the next turn");
        }
        if done.begun + done.deleting > 0 {
            self.store().queue().wake().await;
        }
    }

    /// Forgets runs that were over long ago.
    pub(crate) async fn trim_runs(&self) -> Result<u64, StoreError> {
        let tx = self.store().begin().await?;
        let kept = i64::try_from(RUNS_KEPT.as_millis()).unwrap_or(i64::MAX);
        let gone = tx
            .trim_runs(Timestamp(tx.now().0.saturating_sub(kept)))
            .await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// Writes the run that is due of a schedule, and when it is due next, unless somebody did.
    async fn fire(&self, seen: &Schedule, done: &mut Scheduled) -> Result<(), StoreError> {
        let tx = self.store().begin().await?;
        let now = tx.now();
        let Some(next) = seen.next_at.filter(|next| *next <= now) else {
            return Ok(());
        };
        let Some(schedule) = tx.schedule(seen.id).await? else {
            return Ok(());
        };
        let spec = &schedule.spec;
        let Some(calendar) = calendar(spec) else {
            tracing::warn!(schedule = %spec.name, calendar = spec.calendar, zone = spec.time_zone,
                "its calendar cannot be read");
            return Ok(());
        };
        let Some(due) = calendar.due(next, now) else {
            return Ok(());
        };
        if !tx.take_due(seen.id, next, due.next).await? {
            return Ok(());
        }
        let servers = self.covered(&*tx, spec).await?;
        let begin_before = spec.begin_before(due.at);
        let late = begin_before.is_some_and(|before| now > before);
        let items = match late {
            true => Vec::new(),
            false => self.spread(&servers, spec, now, begin_before),
        };
        let run = NewRun {
            schedule: seen.id,
            due_at: due.at,
            passed_over: due.passed_over,
            asked_by: None,
            state: if late {
                RunState::Missed
            } else {
                RunState::Running
            },
            begin_before,
            items,
        };
        tx.insert_run(&run).await?;
        if late {
            let missed = EventKind::RunMissed {
                due_at: due.at,
                servers: servers.len(),
            };
            tx.add_event(&of_schedule(&schedule, missed)).await?;
        }
        tx.commit().await?;
        tracing::info!(schedule = %spec.name, due = due.at.0, passed_over = due.passed_over, late,
            servers = servers.len(), "a schedule was due");
        match late {
            true => done.missed += 1,
            false => done.fired += 1,
        }
        Ok(())
    }

    /// The servers that a schedule is about now, by number.
    async fn covered(&self, tx: &Tx, spec: &ScheduleSpec) -> Result<Vec<Server>, StoreError> {
        let query = ServerQuery {
            project: spec.project,
            ..ServerQuery::default()
        };
        let tags = &self.settings().schedules.role_tags;
        let all = tx.servers(&query).await?.items.into_iter();
        Ok(all.filter(|server| spec.covers(server, tags)).collect())
    }

    /// When the part of each server may begin.
    fn spread(
        &self,
        servers: &[Server],
        spec: &ScheduleSpec,
        now: Timestamp,
        begin_before: Option<Timestamp>,
    ) -> Vec<(ServerId, Timestamp)> {
        let jitter = Duration::from_secs(u64::from(spec.jitter_secs));
        let begin = |server: &Server| {
            let at = now.plus(jitter.mul_f64(self.random().clamp(0.0, 1.0)));
            (server.id, begin_before.map_or(at, |before| at.min(before)))
        };
        servers.iter().map(begin).collect()
    }

    /// Sees to the runs that are not over: what has ended, what may begin, what may not any more.
    async fn tend_runs(&self, done: &mut Scheduled) -> Result<(), StoreError> {
        let reads = self.store().reads();
        let mut items = reads.open_items().await?;
        if items.is_empty() && reads.runs_to_end().await?.is_empty() {
            return Ok(());
        }
        let schedules = reads.schedules().await?.into_iter();
        let schedules: BTreeMap<ScheduleId, Schedule> =
            schedules.map(|one| (one.id, one)).collect();
        let mut busy = reads.busy_servers().await?;
        let shared: BTreeSet<String> = reads
            .picture()
            .await?
            .storages
            .into_iter()
            .filter(|storage| storage.shared)
            .map(|storage| storage.name)
            .collect();
        drop(reads);
        let now = self.time().await?;
        for item in &mut items {
            if let Some(schedule) = schedules.get(&item.schedule)
                && let Some(state) = self.come_to(item, schedule, now, done).await?
            {
                item.state = state;
                done.over += 1;
            }
        }
        let ways = self.settings().schedules.ways;
        loop {
            let place = |item: &RunItem| {
                let spec = &schedules.get(&item.schedule)?.spec;
                if item.state == RunItemState::Waiting && busy.contains(&item.server) {
                    return None;
                }
                let node = item.node.as_ref().map_or("", |node| &node.0);
                let storage = match shared.contains(&spec.storage) {
                    true => spec.storage.clone(),
                    false => format!("{node}/{}", spec.storage),
                };
                let least = |own: Option<u32>, all: u32| own.map_or(all, |own| own.min(all));
                let ways = Ways {
                    per_node: least(spec.per_node, ways.per_node),
                    per_storage: least(spec.per_storage, ways.per_storage),
                };
                Some((storage, ways))
            };
            let Some(next) = next_to_begin(&items, now, place).cloned() else {
                break;
            };
            let Some(schedule) = schedules.get(&next.schedule) else {
                break;
            };
            let state = match self.begin_part(&next, schedule).await? {
                Begun::Yes => {
                    done.begun += 1;
                    RunItemState::Started
                }
                Begun::NotNow => RunItemState::Waiting,
                Begun::Never => RunItemState::Skipped,
            };
            busy.insert(next.server);
            for item in items.iter_mut().filter(|one| one.id == next.id) {
                item.state = state;
            }
        }
        self.end_runs(&schedules).await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.store().begin().await?.now())
    }

    /// What a part has come to since, when it has come to something.
    async fn come_to(
        &self,
        item: &RunItem,
        schedule: &Schedule,
        now: Timestamp,
        done: &mut Scheduled,
    ) -> Result<Option<RunItemState>, StoreError> {
        let tx = self.store().begin().await?;
        let state = match (item.state, item.backup) {
            (RunItemState::Waiting, _) => match item.begin_before {
                Some(before) if now > before => RunItemState::Missed,
                _ => return Ok(None),
            },
            (RunItemState::Started, Some(backup)) => {
                match part_over(&*tx, item.id, backup).await? {
                    Some(state) => state,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        if !tx.move_item(item.id, item.state, state, None).await? {
            return Ok(None);
        }
        let condemned = match state {
            RunItemState::Completed => condemn(&*tx, schedule, item.server).await?,
            _ => 0,
        };
        tx.commit().await?;
        done.condemned += condemned;
        Ok(Some(state))
    }

    /// Asks for the backup of one server, unless another task is at work on it.
    async fn begin_part(&self, item: &RunItem, schedule: &Schedule) -> Result<Begun, StoreError> {
        let spec = &schedule.spec;
        let tx = self.store().begin().await?;
        let server = match tx.idle_server(item.server).await? {
            Some(server) => Some(server),
            None if tx.server(item.server).await?.is_some() => return Ok(Begun::NotNow),
            None => None,
        };
        if let (Some(wish), Some(server)) = (&spec.drill, &server) {
            return self.begin_drill(tx, item, schedule, wish, server).await;
        }
        let Some(server) = server.filter(Server::can_be_backed_up) else {
            let (from, to) = (RunItemState::Waiting, RunItemState::Skipped);
            if tx.move_item(item.id, from, to, None).await? {
                tx.commit().await?;
            }
            return Ok(Begun::Never);
        };
        let backup = tx
            .insert_backup(&NewBackup {
                token: self.new_backup_token(),
                server: server.id,
                server_name: server.name.to_string(),
                vmid: server.vmid,
                storage: spec.storage.clone(),
                origin: BackupOrigin::Schedule,
                schedule: Some(schedule.id),
                mode: Some(spec.mode),
                compression: Some(spec.compression),
                notes: spec.notes.clone(),
                protected: false,
            })
            .await?;
        let (from, to) = (RunItemState::Waiting, RunItemState::Started);
        if !tx.move_item(item.id, from, to, Some(backup)).await? {
            return Ok(Begun::NotNow);
        }
        let payload = BackupPayload {
            bounds: Some(BackupBounds {
                begin_before: item.begin_before,
                per_node: spec.per_node,
                per_storage: spec.per_storage,
            }),
            ..BackupPayload::of(backup)
        };
        let token = TaskToken(format!("task_schedule_{}_{}", item.id, tx.now().0));
        let asked = Asked {
            kind: TaskKind::CreateBackup,
            token,
            by: schedule.created_by,
            event: EventKind::BackupRequested,
        };
        match ask(&*tx, &server, &payload, asked).await {
            // Somebody else's task was quicker.
            Err(StoreError::Constraint(_)) => return Ok(Begun::NotNow),
            asked => asked?,
        }
        tx.commit().await?;
        Ok(Begun::Yes)
    }

    async fn end_runs(&self, schedules: &BTreeMap<ScheduleId, Schedule>) -> Result<(), StoreError> {
        for run in self.store().reads().runs_to_end().await? {
            let tx = self.store().begin().await?;
            if !tx.end_run(run.id).await? {
                continue;
            }
            let missed = run.tally.get(&RunItemState::Missed).copied().unwrap_or(0);
            if let Some(schedule) = schedules.get(&run.schedule)
                && missed > 0
            {
                let missed = EventKind::RunMissed {
                    due_at: run.due_at,
                    servers: usize::try_from(missed).unwrap_or(usize::MAX),
                };
                tx.add_event(&of_schedule(schedule, missed)).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn condemned(&self) -> Result<Vec<Backup>, StoreError> {
        let query = BackupQuery {
            condemned: true,
            ..BackupQuery::default()
        };
        let mut all = self.store().reads().backups(&query).await?.items;
        all.reverse();
        Ok(all)
    }

    /// Asks for the deletion of what is condemned, the oldest first, one of each server at a time.
    async fn delete_condemned(&self, done: &mut Scheduled) -> Result<(), StoreError> {
        let mut seen = BTreeSet::new();
        for backup in self.condemned().await? {
            if backup.state == BackupState::Deleting || !seen.insert(backup.server) {
                continue;
            }
            if self.delete_one(&backup).await? {
                done.deleting += 1;
            }
        }
        Ok(())
    }

    async fn delete_one(&self, seen: &Backup) -> Result<bool, StoreError> {
        let tx = self.store().begin().await?;
        let Some(mut backup) = tx.backup(seen.id).await? else {
            return Ok(false);
        };
        let Some(by) = backup.condemned_by else {
            return Ok(false);
        };
        if backup.state == BackupState::Deleting {
            return Ok(false);
        }
        // Protected since, gone by itself, or by now the only one to restore from.
        if backup.protected || !backup.is_good() || is_newest_good(&*tx, &backup).await? {
            backup.condemned_by = None;
            tx.save_backup(&backup).await?;
            tx.commit().await?;
            return Ok(false);
        }
        if tx.active_task(backup.server).await?.is_some() || is_tried(&*tx, &backup).await? {
            return Ok(false);
        }
        // The server may be deleted by now; its backups go all the same.
        let Some(server) = tx.server_ever(backup.server).await? else {
            return Ok(false);
        };
        backup.state = BackupState::Deleting;
        tx.save_backup(&backup).await?;
        let asked = Asked {
            kind: TaskKind::DeleteBackup,
            token: TaskToken(format!("task_prune_{}_{}", backup.id, tx.now().0)),
            by,
            event: EventKind::BackupDeleteRequested {
                backup: backup.token.0.clone(),
            },
        };
        match ask(&*tx, &server, &BackupPayload::of(backup.id), asked).await {
            Err(StoreError::Constraint(_)) => return Ok(false),
            asked => asked?,
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// The calendar of a schedule; `None` when it cannot be read, which was checked when it was made.
fn calendar(spec: &ScheduleSpec) -> Option<Calendar> {
    Calendar::parse(&spec.calendar, Zone::parse(&spec.time_zone)?)
}

/// What a part is over with; `None` while it is not.
async fn part_over(
    tx: &Tx,
    item: RunItemId,
    backup: BackupId,
) -> Result<Option<RunItemState>, StoreError> {
    if let Some(state) = drill_over(tx, item).await? {
        return Ok(state);
    }
    // Without a backup its task was cancelled, or it is deleted already.
    let backup = tx.backup(backup).await?;
    Ok(backup.map_or(Some(RunItemState::Skipped), |backup| over(&backup)))
}

/// What a part is over with, by its backup.
fn over(backup: &Backup) -> Option<RunItemState> {
    let code = backup.failure.as_ref().map(|why| why.code);
    match backup.state {
        BackupState::Pending => None,
        BackupState::Failed if code == Some(FailureCode::WindowMissed) => {
            Some(RunItemState::Missed)
        }
        BackupState::Failed => Some(RunItemState::Failed),
        BackupState::Completed | BackupState::Missing | BackupState::Deleting => {
            Some(RunItemState::Completed)
        }
    }
}

fn of_schedule(schedule: &Schedule, kind: EventKind) -> Event {
    Event {
        kind,
        server: None,
        server_name: schedule.spec.name.to_string(),
        task: None,
    }
}

/// A task that is asked for.
struct Asked {
    kind: TaskKind,
    token: TaskToken,
    by: UserId,
    event: EventKind,
}

async fn ask(
    tx: &Tx,
    server: &Server,
    payload: &BackupPayload,
    asked: Asked,
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(payload).map_err(|e| StoreError::Broken(e.into()))?;
    let name = server.name.to_string();
    let on = (server.id, name.clone());
    let task = NewTask {
        payload: Some(payload),
        ..NewTask::on(asked.kind, asked.token.clone(), on, asked.by)
    };
    tx.insert_task(&task).await?;
    tx.add_event(&Event {
        kind: asked.event,
        server: Some(server.id),
        server_name: name,
        task: Some(asked.token),
    })
    .await
}

/// Condemns the backups of a server that its schedule made and does not keep; how many.
async fn condemn(tx: &Tx, schedule: &Schedule, server: ServerId) -> Result<u32, StoreError> {
    let spec = &schedule.spec;
    let Some(zone) = Zone::parse(&spec.time_zone).filter(|_| !spec.retention.keeps_all()) else {
        return Ok(0);
    };
    let query = BackupQuery {
        server: Some(server),
        state: Some(BackupState::Completed),
        ..BackupQuery::default()
    };
    let mut condemned = 0;
    let mut all = tx.backups(&query).await?.items;
    all.retain(|backup| backup.schedule == Some(schedule.id));
    let known: Vec<_> = all.iter().map(Backup::prunable).collect();
    let marks = spec.retention.judge(&known, |at| zone.offset_secs(at));
    for (mut backup, mark) in all.into_iter().zip(marks) {
        if mark == PruneMark::Remove && backup.condemned_by.is_none() {
            backup.condemned_by = Some(schedule.created_by);
            tx.save_backup(&backup).await?;
            condemned += 1;
        }
    }
    Ok(condemned)
}

/// Whether no newer backup of its server can be restored.
async fn is_newest_good(tx: &Tx, backup: &Backup) -> Result<bool, StoreError> {
    let query = BackupQuery {
        server: Some(backup.server),
        state: Some(BackupState::Completed),
        ..BackupQuery::default()
    };
    let all = tx.backups(&query).await?.items;
    let newest = all.iter().find(|one| one.is_good());
    Ok(newest.is_none_or(|newest| newest.id == backup.id))
}
