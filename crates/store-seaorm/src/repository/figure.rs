//! Counting over whole tables, one statement each.

use crate::connect::now_sql;
use crate::error::{broken, store_error};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use std::time::Duration;
use tpm_domain::{TaskKind, TaskState};
use tpm_store::{FigureReads, Result, Supplies, TaskFigure, VmidRange};

fn number(row: &QueryResult, column: &str) -> Result<i64> {
    row.try_get("", column).map_err(store_error)
}

fn count(row: &QueryResult, column: &str) -> Result<u64> {
    u64::try_from(number(row, column)?).map_err(broken)
}

/// A moment that lies ahead, by a clock that was set back, is now.
fn age(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn task_figure(row: &QueryResult) -> Result<TaskFigure> {
    let kind: String = row.try_get("", "kind").map_err(store_error)?;
    let state: String = row.try_get("", "state").map_err(store_error)?;
    Ok(TaskFigure {
        kind: TaskKind::parse(&kind).ok_or_else(|| broken("tasks.kind"))?,
        state: TaskState::parse(&state).ok_or_else(|| broken("tasks.state"))?,
        count: count(row, "tasks")?,
        oldest: age(number(row, "oldest_ms")?),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> FigureReads for Session<C> {
    async fn task_figures(&self) -> Result<Vec<TaskFigure>> {
        let now = now_sql(self.backend);
        let sql = format!(
            "SELECT kind, state, COUNT(*) AS tasks, {now} - MIN(created_ms) AS oldest_ms
             FROM tasks GROUP BY kind, state ORDER BY kind, state"
        );
        let rows = self
            .db
            .query_all_raw(Statement::from_string(self.backend, sql))
            .await
            .map_err(store_error)?;
        rows.iter().map(task_figure).collect()
    }

    async fn supplies(&self, range: VmidRange) -> Result<Supplies> {
        let now = now_sql(self.backend);
        let (first, last) = (i64::from(range.first.0), i64::from(range.last.0));
        let rest = i64::try_from(range.quarantine.as_millis()).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM (
                        SELECT CAST(value AS BIGINT) AS vmid FROM reservations
                        WHERE kind = 'vmid' AND state <> 'released'
                          AND (state = 'held' OR ended_ms > {now} - $3)
                        UNION SELECT vmid FROM burnt_vmids
                    ) AS blocked WHERE vmid BETWEEN $1 AND $2) AS blocked,
                    (SELECT {now} - value FROM counters WHERE name = 'picture') AS picture_ms"
        );
        let row = self
            .first(&sql, [first.into(), last.into(), rest.into()])
            .await?
            .ok_or_else(|| broken("no row of figures"))?;
        let all = u64::try_from(last - first + 1).unwrap_or_default();
        let picture: Option<i64> = row.try_get("", "picture_ms").map_err(store_error)?;
        Ok(Supplies {
            vmids_free: all.saturating_sub(count(&row, "blocked")?),
            picture_age: picture.map(age),
        })
    }
}
