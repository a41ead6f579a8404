//! Schedules of backups, and their runs.

use crate::rows::{Tables, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tpm_domain::{
    BackupId, DrillId, RunId, RunItem, RunItemId, RunItemState, RunState, Schedule, ScheduleId,
    ScheduleRun, ScheduleSpec, Timestamp, UserId,
};
use tpm_store::{NewRun, Result, ScheduleReads, ScheduleWrites};

fn check_name(tables: &Tables, id: ScheduleId, spec: &ScheduleSpec) -> Result<()> {
    let taken = |other: &Schedule| other.id != id && other.spec.name == spec.name;
    if tables.schedules.values().any(taken) {
        return Err(constraint(format!("schedule {} twice", spec.name)));
    }
    Ok(())
}

/// A run with how many of its parts are how far.
fn counted(tables: &Tables, run: &ScheduleRun) -> ScheduleRun {
    let mut tally: BTreeMap<RunItemState, u64> = BTreeMap::new();
    for item in tables.run_items.values().filter(|one| one.run == run.id) {
        *tally.entry(item.state).or_default() += 1;
    }
    ScheduleRun {
        tally,
        ..run.clone()
    }
}

fn is_open(tables: &Tables, run: RunId) -> bool {
    let mut all = tables.run_items.values();
    all.any(|item| item.run == run && !item.state.is_final())
}

#[async_trait]
impl<S: Source> ScheduleReads for Session<S> {
    async fn schedules(&self) -> Result<Vec<Schedule>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Schedule> = tables.schedules.values().cloned().collect();
        all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(all)
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>> {
        Ok(self.0.look().await?.schedules.get(&id).cloned())
    }

    async fn last_runs(&self) -> Result<BTreeMap<ScheduleId, ScheduleRun>> {
        let tables = self.0.look().await?;
        let mut last = BTreeMap::new();
        for run in tables.runs.values() {
            last.insert(run.schedule, run);
        }
        let all = last.into_iter();
        Ok(all.map(|(id, run)| (id, counted(&tables, run))).collect())
    }

    async fn open_items(&self) -> Result<Vec<RunItem>> {
        let tables = self.0.look().await?;
        let open = tables
            .run_items
            .values()
            .filter(|one| !one.state.is_final());
        let placed = open.map(|item| {
            let row = tables.servers.get(&item.server);
            RunItem {
                node: row.and_then(|row| row.server.place().cloned()),
                ..item.clone()
            }
        });
        Ok(placed.collect())
    }

    async fn runs_to_end(&self) -> Result<Vec<ScheduleRun>> {
        let tables = self.0.look().await?;
        let over = |run: &&ScheduleRun| run.state == RunState::Running && !is_open(&tables, run.id);
        let all = tables.runs.values().filter(over);
        Ok(all.map(|run| counted(&tables, run)).collect())
    }
}

#[async_trait]
impl ScheduleWrites for Session<Transaction> {
    async fn insert_schedule(
        &self,
        spec: &ScheduleSpec,
        next_at: Option<Timestamp>,
        by: UserId,
    ) -> Result<ScheduleId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = ScheduleId(tables.next_id());
            check_name(tables, id, spec)?;
            let schedule = Schedule {
                id,
                spec: spec.clone(),
                next_at,
                created_by: by,
                created_at: now,
                updated_at: now,
            };
            tables.schedules.set(id, schedule);
            Ok(id)
        })
    }

    async fn save_schedule(&self, schedule: &Schedule) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            check_name(tables, schedule.id, &schedule.spec)?;
            let missing = || broken(format!("no schedule {}", schedule.id));
            let row = tables.schedules.get_mut(&schedule.id).ok_or_else(missing)?;
            row.spec = schedule.spec.clone();
            row.next_at = schedule.next_at;
            row.updated_at = now;
            Ok(())
        })
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<bool> {
        self.0.change(|tables| {
            tables.run_items.retain(|_, item| item.schedule != id);
            tables.runs.retain(|_, run| run.schedule != id);
            let all = tables.backups.iter();
            let its = all.filter(|(_, backup)| backup.schedule == Some(id));
            let its: Vec<BackupId> = its.map(|(id, _)| *id).collect();
            for backup in its {
                if let Some(row) = tables.backups.get_mut(&backup) {
                    row.schedule = None;
                }
            }
            let all = tables.drills.iter();
            let its = all.filter(|(_, drill)| drill.schedule == Some(id));
            let its: Vec<DrillId> = its.map(|(id, _)| *id).collect();
            for drill in its {
                if let Some(row) = tables.drills.get_mut(&drill) {
                    row.schedule = None;
                }
            }
            Ok(tables.schedules.remove(&id))
        })
    }

    async fn take_due(
        &self,
        id: ScheduleId,
        at: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool> {
        self.0.change(|tables| match tables.schedules.get_mut(&id) {
            Some(row) if row.next_at == Some(at) => {
                row.next_at = next;
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    async fn insert_run(&self, new: &NewRun) -> Result<RunId> {
        let now = self.0.now();
        self.0.change(|tables| {
            if !tables.schedules.contains(&new.schedule) {
                return Err(constraint(format!("no schedule {}", new.schedule)));
            }
            let id = RunId(tables.next_id());
            let run = ScheduleRun {
                id,
                schedule: new.schedule,
                due_at: new.due_at,
                fired_at: now,
                passed_over: new.passed_over,
                asked_by: new.asked_by,
                state: new.state,
                ended_at: (new.state != RunState::Running).then_some(now),
                tally: BTreeMap::new(),
            };
            tables.runs.set(id, run);
            for (server, due_at) in &new.items {
                if !tables.servers.contains(server) {
                    return Err(constraint(format!("no server {server}")));
                }
                let item = RunItem {
                    id: RunItemId(tables.next_id()),
                    run: id,
                    schedule: new.schedule,
                    server: *server,
                    due_at: *due_at,
                    begin_before: new.begin_before,
                    state: RunItemState::Waiting,
                    backup: None,
                    node: None,
                };
                tables.run_items.set(item.id, item);
            }
            Ok(id)
        })
    }

    async fn move_item(
        &self,
        id: RunItemId,
        from: RunItemState,
        to: RunItemState,
        backup: Option<BackupId>,
    ) -> Result<bool> {
        self.0.change(|tables| match tables.run_items.get_mut(&id) {
            Some(row) if row.state == from => {
                row.state = to;
                row.backup = backup.or(row.backup);
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    async fn end_run(&self, id: RunId) -> Result<bool> {
        let now = self.0.now();
        self.0.change(|tables| {
            if is_open(tables, id) {
                return Ok(false);
            }
            match tables.runs.get_mut(&id) {
                Some(row) if row.state == RunState::Running => {
                    row.state = RunState::Done;
                    row.ended_at = Some(now);
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }

    async fn trim_runs(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let mut last: BTreeMap<ScheduleId, RunId> = BTreeMap::new();
            for run in tables.runs.values() {
                last.insert(run.schedule, run.id);
            }
            let goes = |run: &ScheduleRun| {
                run.ended_at.is_some_and(|at| at < before)
                    && last.get(&run.schedule) != Some(&run.id)
            };
            let gone: Vec<RunId> = tables
                .runs
                .values()
                .filter(|run| goes(run))
                .map(|run| run.id)
                .collect();
            tables.run_items.retain(|_, item| !gone.contains(&item.run));
            Ok(tables.runs.retain(|id, _| !gone.contains(id)) as u64)
        })
    }
}
