//! States, locks, plans and logs of Terraform.

use crate::SeaStore;
use crate::connect::begin;
use crate::error::{broken, store_error};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, Value};
use tpm_domain::{ServerId, TaskToken, Timestamp};
use tpm_store::{
    Fence, Locked, PlanRow, Result, StateRow, StateWrites, TerraformStore, UnitOfWork,
};

/// A claim that is over owns nothing: the task was claimed again, or has ended.
const ALIVE: &str =
    "EXISTS (SELECT 1 FROM tasks t WHERE t.token = l.task_token AND t.epoch = l.epoch
        AND t.owner IS NOT NULL)";

/// Whether the claim goes on. Takes the task's row, so that a takeover waits until the transaction ends.
async fn holds(session: &Session<DatabaseTransaction>, fence: &Fence) -> Result<bool> {
    let done = session
        .run(
            "UPDATE tasks SET updated_ms = $1 WHERE token = $2 AND epoch = $3 AND owner IS NOT NULL",
            [
                session.now_ms.into(),
                fence.task.0.clone().into(),
                fence.epoch.into(),
            ],
        )
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a version above all others; whether it is.
async fn add_state(
    session: &Session<DatabaseTransaction>,
    server: ServerId,
    serial: u64,
    sealed: &[u8],
    task: Option<&TaskToken>,
) -> Result<bool> {
    let done = session
        .run(
            "INSERT INTO tf_states (server_id, serial, sealed, task_token, created_ms)
             SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS
                (SELECT 1 FROM tf_states WHERE server_id = $1 AND serial >= $2)",
            [
                server.0.into(),
                number(serial),
                sealed.to_vec().into(),
                task.map(|task| task.0.clone()).into(),
                session.now_ms.into(),
            ],
        )
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn all<C: ConnectionTrait>(
    session: &Session<C>,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>> {
    session
        .db
        .query_all_raw(Statement::from_sql_and_values(session.backend, sql, values))
        .await
        .map_err(store_error)
}

fn number(value: u64) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

fn unsigned(row: &QueryResult, column: &str) -> Result<u64> {
    let value: i64 = row.try_get("", column).map_err(store_error)?;
    u64::try_from(value).map_err(|_| broken("a negative number"))
}

fn text(row: &QueryResult, column: &str) -> Result<String> {
    row.try_get("", column).map_err(store_error)
}

fn state_row(row: &QueryResult) -> Result<StateRow> {
    let task: Option<String> = row.try_get("", "task_token").map_err(store_error)?;
    Ok(StateRow {
        serial: unsigned(row, "serial")?,
        sealed: row.try_get("", "sealed").map_err(store_error)?,
        task: task.map(TaskToken),
        at: Timestamp(row.try_get("", "created_ms").map_err(store_error)?),
    })
}

fn plan_row(row: &QueryResult) -> Result<PlanRow> {
    Ok(PlanRow {
        hash: text(row, "hash")?,
        base_serial: unsigned(row, "base_serial")?,
        guest_digest: row.try_get("", "guest_digest").map_err(store_error)?,
        sealed: row.try_get("", "sealed").map_err(store_error)?,
        summary: text(row, "summary")?,
    })
}

#[async_trait]
impl StateWrites for Session<DatabaseTransaction> {
    async fn add_state(&self, server: ServerId, serial: u64, sealed: &[u8]) -> Result<bool> {
        add_state(self, server, serial, sealed, None).await
    }
}

#[async_trait]
impl TerraformStore for SeaStore {
    async fn latest_state(&self, server: ServerId) -> Result<Option<StateRow>> {
        let row = self
            .outside()
            .first(
                "SELECT serial, sealed, task_token, created_ms FROM tf_states
                 WHERE server_id = $1 ORDER BY serial DESC LIMIT 1",
                [server.0.into()],
            )
            .await?;
        row.as_ref().map(state_row).transpose()
    }

    async fn state(&self, server: ServerId, serial: u64) -> Result<Option<StateRow>> {
        let row = self
            .outside()
            .first(
                "SELECT serial, sealed, task_token, created_ms FROM tf_states
                 WHERE server_id = $1 AND serial = $2",
                [server.0.into(), number(serial)],
            )
            .await?;
        row.as_ref().map(state_row).transpose()
    }

    async fn states(&self, server: ServerId) -> Result<Vec<StateRow>> {
        let session = self.outside();
        let empty = match session.backend {
            DbBackend::Postgres => "''::bytea",
            _ => "x''",
        };
        let sql = format!(
            "SELECT serial, {empty} AS sealed, task_token, created_ms FROM tf_states
             WHERE server_id = $1 ORDER BY serial DESC"
        );
        let rows = all(&session, &sql, vec![server.0.into()]).await?;
        rows.iter().map(state_row).collect()
    }

    async fn put_state(
        &self,
        server: ServerId,
        fence: &Fence,
        serial: u64,
        sealed: &[u8],
    ) -> Result<bool> {
        let session = begin(self.writer()).await?;
        if !holds(&session, fence).await? {
            return Ok(false);
        }
        let written = add_state(&session, server, serial, sealed, Some(&fence.task)).await?;
        Box::new(session).commit().await?;
        Ok(written)
    }

    async fn lock_state(
        &self,
        server: ServerId,
        fence: &Fence,
        id: &str,
        info: &str,
    ) -> Result<Locked> {
        let session = begin(self.writer()).await?;
        if !holds(&session, fence).await? {
            return Ok(Locked::Stale);
        }
        let sql = format!(
            "SELECT l.info FROM tf_locks l WHERE l.server_id = $1 AND {ALIVE}
             AND NOT (l.task_token = $2 AND l.epoch = $3)"
        );
        let theirs = session
            .first(
                &sql,
                [
                    server.0.into(),
                    fence.task.0.clone().into(),
                    fence.epoch.into(),
                ],
            )
            .await?;
        if let Some(row) = theirs {
            return Ok(Locked::Held(text(&row, "info")?));
        }
        session
            .run(
                "INSERT INTO tf_locks (server_id, lock_id, info, task_token, epoch, created_ms)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (server_id) DO UPDATE SET lock_id = excluded.lock_id,
                    info = excluded.info, task_token = excluded.task_token,
                    epoch = excluded.epoch, created_ms = excluded.created_ms",
                [
                    server.0.into(),
                    id.into(),
                    info.into(),
                    fence.task.0.clone().into(),
                    fence.epoch.into(),
                    session.now_ms.into(),
                ],
            )
            .await?;
        Box::new(session).commit().await?;
        Ok(Locked::Taken)
    }

    async fn unlock_state(&self, server: ServerId, id: &str) -> Result<()> {
        let session = begin(self.writer()).await?;
        session
            .run(
                "DELETE FROM tf_locks WHERE server_id = $1 AND lock_id = $2",
                [server.0.into(), id.into()],
            )
            .await?;
        Box::new(session).commit().await
    }

    async fn state_lock(&self, server: ServerId) -> Result<Option<String>> {
        let sql = format!("SELECT l.info FROM tf_locks l WHERE l.server_id = $1 AND {ALIVE}");
        let row = self.outside().first(&sql, [server.0.into()]).await?;
        row.map(|row| text(&row, "info")).transpose()
    }

    async fn save_plan(&self, server: ServerId, fence: &Fence, plan: &PlanRow) -> Result<bool> {
        let session = begin(self.writer()).await?;
        if !holds(&session, fence).await? {
            return Ok(false);
        }
        session
            .run(
                "INSERT INTO tf_plans (task_token, server_id, hash, base_serial, guest_digest, sealed,
                    summary, created_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (task_token) DO UPDATE SET hash = excluded.hash,
                    base_serial = excluded.base_serial, guest_digest = excluded.guest_digest,
                    sealed = excluded.sealed, summary = excluded.summary,
                    created_ms = excluded.created_ms",
                [
                    fence.task.0.clone().into(),
                    server.0.into(),
                    plan.hash.clone().into(),
                    number(plan.base_serial),
                    plan.guest_digest.clone().into(),
                    plan.sealed.clone().into(),
                    plan.summary.clone().into(),
                    session.now_ms.into(),
                ],
            )
            .await?;
        Box::new(session).commit().await?;
        Ok(true)
    }

    async fn plan(&self, task: &TaskToken) -> Result<Option<PlanRow>> {
        let row = self
            .outside()
            .first(
                "SELECT hash, base_serial, guest_digest, sealed, summary FROM tf_plans
                 WHERE task_token = $1",
                [task.0.clone().into()],
            )
            .await?;
        row.as_ref().map(plan_row).transpose()
    }

    async fn latest_plan(&self, server: ServerId) -> Result<Option<(TaskToken, PlanRow)>> {
        let row = self
            .outside()
            .first(
                "SELECT task_token, hash, base_serial, guest_digest, sealed, summary FROM tf_plans
                 WHERE server_id = $1 ORDER BY created_ms DESC, task_token LIMIT 1",
                [server.0.into()],
            )
            .await?;
        row.map(|row| Ok((TaskToken(text(&row, "task_token")?), plan_row(&row)?)))
            .transpose()
    }

    async fn append_log(&self, task: &TaskToken, lines: &[String]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let session = begin(self.writer()).await?;
        let row = session
            .first(
                "SELECT COALESCE(MAX(number), 0) AS n FROM task_logs WHERE task_token = $1",
                [task.0.clone().into()],
            )
            .await?
            .ok_or_else(|| broken("no maximum"))?;
        let last = unsigned(&row, "n")?;
        for (line, number_of_it) in lines.iter().zip(last + 1..) {
            session
                .run(
                    "INSERT INTO task_logs (task_token, number, at_ms, line) VALUES ($1, $2, $3, $4)",
                    [
                        task.0.clone().into(),
                        number(number_of_it),
                        session.now_ms.into(),
                        line.as_str().into(),
                    ],
                )
                .await?;
        }
        Box::new(session).commit().await
    }

    async fn log(&self, task: &TaskToken) -> Result<Vec<(Timestamp, String)>> {
        let rows = all(
            &self.outside(),
            "SELECT at_ms, line FROM task_logs WHERE task_token = $1 ORDER BY number",
            vec![task.0.clone().into()],
        )
        .await?;
        rows.iter()
            .map(|row| {
                let at = Timestamp(row.try_get("", "at_ms").map_err(store_error)?);
                Ok((at, text(row, "line")?))
            })
            .collect()
    }
}
