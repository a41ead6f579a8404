//! What a worker writes about the task it holds.

use crate::entity::{steps, tasks};
use crate::error::{broken, store_error};
use crate::repository::task::{TO_TAKE_BACK, children_of};
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, Statement,
};
use std::time::Duration;
use tpm_domain::job::Width;
use tpm_domain::{Failure, ServerId, StepRecord, Task, TaskId, TaskNote, TaskState, parent_state};
use tpm_store::{Lease, LeaseWrites, Result, SlotAnswer, SlotNeed};

/// How far a bulk is, is brought up to date this often while none of its children ends, in milliseconds.
const BULK_SHOWN_MS: i64 = 500;

impl Session<DatabaseTransaction> {
    /// One counter row per slot serializes those who count its places and those who free them; see
    /// `lock_reservations`.
    async fn lock_slot(&self, slot: &str) -> Result<()> {
        self.run(
            "INSERT INTO counters (name, value) VALUES ($1, 0)
             ON CONFLICT (name) DO UPDATE SET value = counters.value",
            [format!("slot:{slot}").into()],
        )
        .await
        .map(drop)
    }

    /// The place that a task was parked for and has not asked for since; from here on it does not count on it.
    async fn unasked(&self, task: TaskId) -> Result<Option<String>> {
        let row = self
            .first(
                "SELECT waiting_slot FROM tasks WHERE id = $1 AND waiting_slot IS NOT NULL",
                [task.0.into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        self.run(
            "UPDATE tasks SET waiting_slot = NULL WHERE id = $1",
            [task.0.into()],
        )
        .await?;
        row.try_get("", "waiting_slot").map_err(store_error)
    }

    /// Whoever was woken for a place and goes another way leaves it to the next one.
    async fn hand_on(&self, task: TaskId) -> Result<()> {
        if let Some(slot) = self.unasked(task).await? {
            self.lock_slot(&slot).await?;
            self.wake_waiting(&slot, 1).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl LeaseWrites for Session<DatabaseTransaction> {
    async fn fence(&self, lease: &Lease) -> Result<bool> {
        // The update takes the row's lock, so a takeover waits until this transaction has ended.
        let done = self
            .run(
                "UPDATE tasks SET updated_ms = $1 WHERE id = $2 AND owner = $3 AND epoch = $4",
                [
                    self.now_ms.into(),
                    lease.task.0.into(),
                    lease.owner.clone().into(),
                    lease.epoch.into(),
                ],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn cancel_requested(&self, task: TaskId) -> Result<bool> {
        let row = self
            .first(
                "SELECT cancel_requested FROM tasks WHERE id = $1",
                [task.0.into()],
            )
            .await?
            .ok_or_else(|| broken("task is gone"))?;
        row.try_get("", "cancel_requested").map_err(store_error)
    }

    async fn save_step(&self, task: TaskId, step: &StepRecord) -> Result<()> {
        use steps::Column;
        let row = steps::ActiveModel {
            task_id: Set(task.0),
            seq: Set(step.seq.into()),
            undo: Set(step.undo),
            name: Set(step.name.clone()),
            state: Set(step.state.as_str().into()),
            attempt: Set(step.attempt.into()),
            intent: Set(step.intent.clone()),
            handle: Set(step.handle.clone()),
            evidence: Set(step.evidence.clone()),
            started_ms: Set(step.started_at.map(|at| at.0)),
            finished_ms: Set(step.finished_at.map(|at| at.0)),
        };
        let overwrite = OnConflict::columns([Column::TaskId, Column::Seq])
            .update_columns([
                Column::State,
                Column::Attempt,
                Column::Intent,
                Column::Handle,
                Column::Evidence,
                Column::StartedMs,
                Column::FinishedMs,
            ])
            .to_owned();
        steps::Entity::insert(row)
            .on_conflict(overwrite)
            .exec_without_returning(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn take_slots(&self, task: TaskId, seq: u32, needs: &[SlotNeed]) -> Result<SlotAnswer> {
        let unasked = self.unasked(task).await?;
        let is_needed = |slot: &&String| needs.iter().any(|need| need.name == **slot);
        let left = unasked.as_ref().filter(|slot| !is_needed(slot));
        let mut needs: Vec<&SlotNeed> = needs.iter().collect();
        needs.sort_by(|a, b| a.name.cmp(&b.name));
        // In one order, so that two tasks never wait for each other.
        let mut names: Vec<&String> = needs.iter().map(|need| &need.name).chain(left).collect();
        names.sort();
        for name in names {
            self.lock_slot(name).await?;
        }
        if let Some(slot) = left {
            self.wake_waiting(slot, 1).await?;
        }
        let (mut missing, mut full) = (Vec::new(), None);
        for need in needs {
            let row = self
                .first(
                    "SELECT COUNT(*) AS used,
                            COUNT(CASE WHEN task_id = $2 AND seq = $3 THEN 1 END) AS mine
                     FROM slots WHERE slot = $1",
                    [
                        need.name.clone().into(),
                        task.0.into(),
                        i64::from(seq).into(),
                    ],
                )
                .await?
                .ok_or_else(|| broken("no count"))?;
            let used: i64 = row.try_get("", "used").map_err(store_error)?;
            let mine: i64 = row.try_get("", "mine").map_err(store_error)?;
            if mine > 0 {
                continue;
            }
            if used < i64::from(need.limit) {
                missing.push(&need.name);
            } else if full.is_none() {
                full = Some(need.name.clone());
            }
        }
        if let Some(full) = full {
            for slot in missing {
                self.wake_waiting(slot, 1).await?;
            }
            return Ok(SlotAnswer::Full(full));
        }
        for slot in missing {
            self.run(
                "INSERT INTO slots (task_id, seq, slot) VALUES ($1, $2, $3)",
                [task.0.into(), i64::from(seq).into(), slot.clone().into()],
            )
            .await?;
        }
        Ok(SlotAnswer::Taken)
    }

    async fn free_slots(&self, task: TaskId, seq: u32) -> Result<Vec<String>> {
        let statement = Statement::from_sql_and_values(
            self.backend,
            "SELECT slot FROM slots WHERE task_id = $1 AND seq = $2 ORDER BY slot",
            [task.0.into(), i64::from(seq).into()],
        );
        let held = self
            .db
            .query_all_raw(statement)
            .await
            .map_err(store_error)?;
        let mut names = held
            .iter()
            .map(|row| row.try_get("", "slot").map_err(store_error))
            .collect::<Result<Vec<String>>>()?;
        let left = self.unasked(task).await?;
        let mut all: Vec<&String> = names.iter().chain(&left).collect();
        all.sort();
        all.dedup();
        // Whoever found it full is parked by now, or will find it free.
        for slot in all {
            self.lock_slot(slot).await?;
        }
        names.sort();
        if let Some(slot) = &left {
            self.wake_waiting(slot, 1).await?;
        }
        self.run(
            "DELETE FROM slots WHERE task_id = $1 AND seq = $2",
            [task.0.into(), i64::from(seq).into()],
        )
        .await?;
        for slot in &names {
            self.wake_waiting(slot, 1).await?;
        }
        Ok(names)
    }

    async fn wake_waiting(&self, slot: &str, count: u32) -> Result<()> {
        for _ in 0..count {
            // Of those who wait, one whose bulk has the fewest places; then the oldest. Which place it was woken
            // for stays written until it asks for it.
            let woken = self
                .run(
                    "UPDATE tasks SET next_run_ms = $1 WHERE owner IS NULL AND id = (
                    SELECT w.id FROM tasks w
                    LEFT JOIN (
                        SELECT COALESCE(o.parent_id, o.id) AS bulk, COUNT(*) AS places
                        FROM slots s JOIN tasks o ON o.id = s.task_id
                        WHERE s.slot = $2 GROUP BY COALESCE(o.parent_id, o.id)
                    ) held ON held.bulk = COALESCE(w.parent_id, w.id)
                    WHERE w.waiting_slot = $2 AND w.owner IS NULL AND w.next_run_ms > $1
                    ORDER BY COALESCE(held.places, 0), w.id LIMIT 1)",
                    [self.now_ms.into(), slot.into()],
                )
                .await?;
            if woken.rows_affected() == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn width(&self, slot: &str) -> Result<(Option<Width>, bool)> {
        let row = self
            .first("SELECT width FROM widths WHERE slot = $1", [slot.into()])
            .await?;
        let known = row
            .map(|row| {
                let text: String = row.try_get("", "width").map_err(store_error)?;
                rows::from_json("widths.width", &text)
            })
            .transpose()?;
        let waiting = self
            .first(
                "SELECT 1 AS n FROM tasks
                 WHERE waiting_slot = $1 AND owner IS NULL AND next_run_ms > $2 LIMIT 1",
                [slot.into(), self.now_ms.into()],
            )
            .await?;
        Ok((known, waiting.is_some()))
    }

    async fn save_width(&self, slot: &str, width: &Width) -> Result<()> {
        self.run(
            "INSERT INTO widths (slot, width) VALUES ($1, $2)
             ON CONFLICT (slot) DO UPDATE SET width = $2",
            [slot.into(), rows::to_json(width)?.into()],
        )
        .await
        .map(|_| ())
    }

    async fn to_take_back(&self, bulk: TaskId) -> Result<Vec<Task>> {
        let statement = Statement::from_sql_and_values(
            self.backend,
            format!("SELECT t.* {TO_TAKE_BACK} ORDER BY id"),
            [bulk.0.into()],
        );
        tasks::Entity::find()
            .from_raw_sql(statement)
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(|row| rows::task(row, None))
            .collect()
    }

    async fn set_task_server(&self, task: TaskId, server: ServerId, name: &str) -> Result<()> {
        self.run(
            "UPDATE tasks SET server_id = $1, server_name = $2 WHERE id = $3",
            [server.0.into(), name.into(), task.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn save_progress(&self, task: TaskId, note: &TaskNote, progress: u8) -> Result<()> {
        self.run(
            "UPDATE tasks SET note = $1, state = 'running', updated_ms = $2,
                    progress = CASE WHEN progress < $3 THEN $3 ELSE progress END
             WHERE id = $4",
            [
                rows::to_json(note)?.into(),
                self.now_ms.into(),
                i64::from(progress.min(100)).into(),
                task.0.into(),
            ],
        )
        .await?;
        self.refresh_parent_now_and_then(task).await
    }

    async fn begin_undo(&self, task: TaskId, failure: Option<&Failure>) -> Result<()> {
        let failure = failure.map(rows::to_json).transpose()?;
        self.hand_on(task).await?;
        self.run(
            "UPDATE tasks SET undoing = $1, failure = $2, note = $3 WHERE id = $4",
            [
                true.into(),
                failure.into(),
                rows::to_json(&TaskNote::Undoing)?.into(),
                task.0.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn park(
        &self,
        task: TaskId,
        after: Duration,
        waiting_for_slot: Option<&str>,
    ) -> Result<()> {
        let after = i64::try_from(after.as_millis()).map_err(broken)?;
        self.hand_on(task).await?;
        self.run(
            "UPDATE tasks SET owner = NULL, lease_until_ms = NULL, next_run_ms = $1,
                    waiting_slot = $2
             WHERE id = $3",
            [
                (self.now_ms + after).into(),
                waiting_for_slot.map(str::to_owned).into(),
                task.0.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn refresh_bulk(&self, bulk: TaskId) -> Result<()> {
        // This update locks the bulk's row, so that of two children that end at once the second one
        // counts the first.
        self.run(
            "UPDATE tasks SET updated_ms = $1 WHERE id = $2",
            [self.now_ms.into(), bulk.0.into()],
        )
        .await?;
        let children = children_of(self, bulk.0).await?;
        let state = parent_state(&children);
        let progress = if state.is_final() {
            100
        } else {
            (children.progress_sum / children.total.max(1)).min(99)
        };
        let note = match (state.is_final(), children.undoing) {
            (true, _) => TaskNote::Ended,
            (false, 0) => TaskNote::Queued,
            (false, _) => TaskNote::Undoing,
        };
        self.run(
            "UPDATE tasks SET state = $1, note = $2,
                    progress = CASE WHEN progress < $3 THEN $3 ELSE progress END
             WHERE id = $4",
            [
                state.as_str().into(),
                rows::to_json(&note)?.into(),
                i64::from(progress).into(),
                bulk.0.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn end_task(
        &self,
        task: TaskId,
        state: TaskState,
        failure: Option<&Failure>,
    ) -> Result<()> {
        let failure = failure.map(rows::to_json).transpose()?;
        self.hand_on(task).await?;
        self.run(
            "UPDATE tasks SET state = $1, failure = $2, note = $3, updated_ms = $4, progress = 100,
                    owner = NULL, lease_until_ms = NULL, next_run_ms = NULL, waiting_slot = NULL
             WHERE id = $5",
            [
                state.as_str().into(),
                failure.into(),
                rows::to_json(&TaskNote::Ended)?.into(),
                self.now_ms.into(),
                task.0.into(),
            ],
        )
        .await?;
        // Whatever places the task still had.
        for seq in self.slots_of(task).await? {
            self.free_slots(task, seq).await?;
        }
        self.refresh_parent(task).await
    }
}

impl Session<DatabaseTransaction> {
    async fn slots_of(&self, task: TaskId) -> Result<Vec<u32>> {
        let statement = Statement::from_sql_and_values(
            self.backend,
            "SELECT DISTINCT seq FROM slots WHERE task_id = $1",
            [task.0.into()],
        );
        let found = self
            .db
            .query_all_raw(statement)
            .await
            .map_err(store_error)?;
        found
            .iter()
            .map(|row| {
                let seq: i64 = row.try_get("", "seq").map_err(store_error)?;
                u32::try_from(seq).map_err(broken)
            })
            .collect()
    }

    /// Brings the bulk that a task belongs to up to date.
    /// The same for a child that goes on: a bulk of a thousand is not counted at every step of each. One that
    /// is being brought up to date by somebody else is left to them.
    async fn refresh_parent_now_and_then(&self, child: TaskId) -> Result<()> {
        let lock = match self.backend {
            DbBackend::Postgres => "FOR UPDATE OF p SKIP LOCKED",
            // The transaction is the only writer already.
            _ => "",
        };
        let sql = format!(
            "SELECT p.id FROM tasks p JOIN tasks c ON c.parent_id = p.id
             WHERE c.id = $1 AND (p.state = 'pending' OR p.updated_ms < $2) {lock}"
        );
        let before = self.now_ms - BULK_SHOWN_MS;
        match self.first(&sql, [child.0.into(), before.into()]).await? {
            Some(row) => {
                let parent: i64 = row.try_get("", "id").map_err(store_error)?;
                self.refresh_bulk(TaskId(parent)).await
            }
            None => Ok(()),
        }
    }

    async fn refresh_parent(&self, child: TaskId) -> Result<()> {
        let row = self
            .first(
                "SELECT parent_id FROM tasks WHERE id = $1 AND parent_id IS NOT NULL",
                [child.0.into()],
            )
            .await?;
        match row {
            Some(row) => {
                let parent: i64 = row.try_get("", "parent_id").map_err(store_error)?;
                self.refresh_bulk(TaskId(parent)).await
            }
            None => Ok(()),
        }
    }
}
