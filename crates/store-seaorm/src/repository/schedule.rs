//! Schedules of backups, and their runs.

use crate::entity::schedules;
use crate::error::{broken, store_error};
use crate::rows::{from_json, size, to_json};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryOrder, QueryResult, Statement, Value,
};
use std::collections::BTreeMap;
use tpm_domain::{
    BackupId, NodeName, RunId, RunItem, RunItemId, RunItemState, RunState, Schedule, ScheduleId,
    ScheduleRun, ScheduleSpec, ServerId, Timestamp, UserId,
};
use tpm_store::{NewRun, Result, ScheduleReads, ScheduleWrites};

/// Parts are written so many at a time.
const AT_ONCE: usize = 200;

fn schedule(row: schedules::Model) -> Result<Schedule> {
    Ok(Schedule {
        id: ScheduleId(row.id),
        spec: from_json("schedules.spec", &row.spec)?,
        next_at: row.next_ms.map(Timestamp),
        created_by: UserId(row.created_by),
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

fn column<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T> {
    row.try_get("", name).map_err(store_error)
}

fn run(row: &QueryResult) -> Result<ScheduleRun> {
    let state: String = column(row, "state")?;
    let passed_over: i64 = column(row, "passed_over")?;
    Ok(ScheduleRun {
        id: RunId(column(row, "id")?),
        schedule: ScheduleId(column(row, "schedule_id")?),
        due_at: Timestamp(column(row, "due_ms")?),
        fired_at: Timestamp(column(row, "fired_ms")?),
        passed_over: u32::try_from(passed_over).map_err(|_| broken("schedule_runs.passed_over"))?,
        asked_by: column::<Option<i64>>(row, "asked_by")?.map(UserId),
        state: RunState::parse(&state).ok_or_else(|| broken("schedule_runs.state"))?,
        ended_at: column::<Option<i64>>(row, "ended_ms")?.map(Timestamp),
        tally: BTreeMap::new(),
    })
}

fn item(row: &QueryResult) -> Result<RunItem> {
    let state: String = column(row, "state")?;
    Ok(RunItem {
        id: RunItemId(column(row, "id")?),
        run: RunId(column(row, "run_id")?),
        schedule: ScheduleId(column(row, "schedule_id")?),
        server: ServerId(column(row, "server_id")?),
        due_at: Timestamp(column(row, "due_ms")?),
        begin_before: column::<Option<i64>>(row, "begin_before_ms")?.map(Timestamp),
        state: RunItemState::parse(&state).ok_or_else(|| broken("schedule_items.state"))?,
        backup: column::<Option<i64>>(row, "backup_id")?.map(BackupId),
        node: column::<Option<String>>(row, "node")?.map(NodeName),
    })
}

impl<C: ConnectionTrait + Send + Sync> Session<C> {
    pub(crate) async fn listed(&self, sql: &str) -> Result<Vec<QueryResult>> {
        let all = self
            .db
            .query_all_raw(Statement::from_string(self.backend, sql));
        all.await.map_err(store_error)
    }

    /// These runs, with how many of their parts are how far.
    async fn runs(&self, which: &str) -> Result<Vec<ScheduleRun>> {
        let rows = self
            .listed(&format!(
                "SELECT * FROM schedule_runs WHERE {which} ORDER BY id"
            ))
            .await?;
        let mut all = rows.iter().map(run).collect::<Result<Vec<_>>>()?;
        let counts = self
            .listed(&format!(
                "SELECT run_id, state, COUNT(*) AS n FROM schedule_items
                 WHERE run_id IN (SELECT id FROM schedule_runs WHERE {which}) GROUP BY run_id, state"
            ))
            .await?;
        for row in &counts {
            let id = RunId(column(row, "run_id")?);
            let state: String = column(row, "state")?;
            let state = RunItemState::parse(&state);
            let state = state.ok_or_else(|| broken("schedule_items.state"))?;
            let n = size("schedule_items", column(row, "n")?)?;
            // One that was written in between is not among them.
            if let Some(run) = all.iter_mut().find(|run| run.id == id) {
                run.tally.insert(state, n);
            }
        }
        Ok(all)
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ScheduleReads for Session<C> {
    async fn schedules(&self) -> Result<Vec<Schedule>> {
        let found = schedules::Entity::find()
            .order_by_asc(schedules::Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(schedule).collect()
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>> {
        let found = schedules::Entity::find_by_id(id.0).one(&self.db).await;
        found.map_err(store_error)?.map(schedule).transpose()
    }

    async fn last_runs(&self) -> Result<BTreeMap<ScheduleId, ScheduleRun>> {
        let which = "id IN (SELECT MAX(id) FROM schedule_runs GROUP BY schedule_id)";
        let all = self.runs(which).await?;
        Ok(all.into_iter().map(|run| (run.schedule, run)).collect())
    }

    async fn open_items(&self) -> Result<Vec<RunItem>> {
        let rows = self
            .listed(
                "SELECT i.*, r.schedule_id, COALESCE(s.node, s.place) AS node
                 FROM schedule_items i
                 JOIN schedule_runs r ON r.id = i.run_id
                 JOIN servers s ON s.id = i.server_id
                 WHERE i.state IN ('waiting', 'started') ORDER BY i.id",
            )
            .await?;
        rows.iter().map(item).collect()
    }

    async fn runs_to_end(&self) -> Result<Vec<ScheduleRun>> {
        self.runs(
            "state = 'running' AND id NOT IN (
               SELECT run_id FROM schedule_items WHERE state IN ('waiting', 'started'))",
        )
        .await
    }
}

#[async_trait]
impl ScheduleWrites for Session<DatabaseTransaction> {
    async fn insert_schedule(
        &self,
        spec: &ScheduleSpec,
        next_at: Option<Timestamp>,
        by: UserId,
    ) -> Result<ScheduleId> {
        let row = schedules::ActiveModel {
            id: NotSet,
            name: Set(spec.name.to_string()),
            spec: Set(to_json(spec)?),
            next_ms: Set(next_at.map(|at| at.0)),
            created_by: Set(by.0),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
        };
        let done = schedules::Entity::insert(row).exec(&self.db).await;
        Ok(ScheduleId(done.map_err(store_error)?.last_insert_id))
    }

    async fn save_schedule(&self, schedule: &Schedule) -> Result<()> {
        let row = schedules::ActiveModel {
            id: Set(schedule.id.0),
            name: Set(schedule.spec.name.to_string()),
            spec: Set(to_json(&schedule.spec)?),
            next_ms: Set(schedule.next_at.map(|at| at.0)),
            created_by: NotSet,
            created_ms: NotSet,
            updated_ms: Set(self.now_ms),
        };
        let done = schedules::Entity::update(row).exec(&self.db).await;
        done.map(|_| ()).map_err(store_error)
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<bool> {
        let sql = "DELETE FROM schedules WHERE id = $1";
        Ok(self.run(sql, [id.0.into()]).await?.rows_affected() == 1)
    }

    async fn take_due(
        &self,
        id: ScheduleId,
        at: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool> {
        let done = self
            .run(
                "UPDATE schedules SET next_ms = $3 WHERE id = $1 AND next_ms = $2",
                [id.0.into(), at.0.into(), next.map(|at| at.0).into()],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn insert_run(&self, new: &NewRun) -> Result<RunId> {
        let ended = (new.state != RunState::Running).then_some(self.now_ms);
        let row = self
            .first(
                "INSERT INTO schedule_runs (schedule_id, due_ms, fired_ms, passed_over, asked_by, state, ended_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                [
                    new.schedule.0.into(),
                    new.due_at.0.into(),
                    self.now_ms.into(),
                    i64::from(new.passed_over).into(),
                    new.asked_by.map(|by| by.0).into(),
                    new.state.as_str().into(),
                    ended.into(),
                ],
            )
            .await?
            .ok_or_else(|| broken("no id of a run"))?;
        let id: i64 = column(&row, "id")?;
        for some in new.items.chunks(AT_ONCE) {
            let mut values: Vec<Value> = vec![id.into(), new.begin_before.map(|at| at.0).into()];
            let mut rows = Vec::with_capacity(some.len());
            for (server, due_at) in some {
                let n = values.len();
                rows.push(format!("($1, ${}, ${}, $2, 'waiting')", n + 1, n + 2));
                values.extend([server.0.into(), due_at.0.into()]);
            }
            let sql = format!(
                "INSERT INTO schedule_items (run_id, server_id, due_ms, begin_before_ms, state) VALUES {}",
                rows.join(", ")
            );
            let sql = Statement::from_sql_and_values(self.backend, sql, values);
            self.db.execute_raw(sql).await.map_err(store_error)?;
        }
        Ok(RunId(id))
    }

    async fn move_item(
        &self,
        id: RunItemId,
        from: RunItemState,
        to: RunItemState,
        backup: Option<BackupId>,
    ) -> Result<bool> {
        let done = self
            .run(
                "UPDATE schedule_items SET state = $3, backup_id = COALESCE($4, backup_id)
                 WHERE id = $1 AND state = $2",
                [
                    id.0.into(),
                    from.as_str().into(),
                    to.as_str().into(),
                    backup.map(|id| id.0).into(),
                ],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn end_run(&self, id: RunId) -> Result<bool> {
        let done = self
            .run(
                "UPDATE schedule_runs SET state = 'done', ended_ms = $2
                 WHERE id = $1 AND state = 'running' AND NOT EXISTS (
                   SELECT 1 FROM schedule_items WHERE run_id = $1 AND state IN ('waiting', 'started'))",
                [id.0.into(), self.now_ms.into()],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn trim_runs(&self, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM schedule_runs WHERE ended_ms < $1
                   AND id NOT IN (SELECT MAX(id) FROM schedule_runs GROUP BY schedule_id)";
        Ok(self.run(sql, [before.0.into()]).await?.rows_affected())
    }
}
