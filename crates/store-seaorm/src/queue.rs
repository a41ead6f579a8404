//! Claiming tasks.

use crate::connect::{begin, now_sql};
use crate::entity::{steps, tasks};
use crate::error::{broken, store_error};
use crate::repository::task::with_children;
use crate::rows;
use crate::session::Session;
use crate::wake::Wake;
use async_trait::async_trait;
use sea_orm::{ColumnTrait, DatabaseConnection, DbBackend, EntityTrait, QueryFilter, QueryOrder};
use std::time::Duration;
use tpm_domain::{TaskId, Timestamp};
use tpm_store::{Claim, ClaimOrder, JobQueue, Lease, Result, UnitOfWork};

/// The queue on the pool that writes.
#[derive(Debug)]
pub(crate) struct SeaQueue {
    db: DatabaseConnection,
    wake: Wake,
}

impl SeaQueue {
    pub(crate) fn new(db: DatabaseConnection, wake: Wake) -> Self {
        Self { db, wake }
    }

    fn outside(&self) -> Session<DatabaseConnection> {
        Session::outside(self.db.clone())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl JobQueue for SeaQueue {
    async fn claim(&self, owner: &str, ttl: Duration, order: ClaimOrder) -> Result<Option<Claim>> {
        // Most scans find nothing: ask without taking the write lock first.
        if self.next_due().await?.is_none_or(|wait| !wait.is_zero()) {
            return Ok(None);
        }
        let session = begin(&self.db).await?;
        // PostgreSQL passes over rows that another worker is claiming at this moment. SQLite has no such
        // clause and needs none: this transaction is its only writer.
        let skip = match session.backend {
            DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        let order = match order {
            ClaimOrder::SmallTurns => "turn, next_run_ms, id",
            ClaimOrder::OldestFirst => "id",
        };
        // Due and nobody's, or held by an owner whose lease is over.
        let pick = format!(
            "SELECT id, epoch FROM tasks
             WHERE next_run_ms IS NOT NULL AND next_run_ms <= $1
               AND (owner IS NULL OR lease_until_ms < $1)
             ORDER BY {order} LIMIT 1 {skip}"
        );
        let Some(row) = session.first(&pick, [session.now_ms.into()]).await? else {
            return Ok(None);
        };
        let id: i64 = row.try_get("", "id").map_err(store_error)?;
        let seen: i64 = row.try_get("", "epoch").map_err(store_error)?;
        // Compare-and-set: only the claim that saw this epoch may take it on.
        let taken = session
            .run(
                "UPDATE tasks SET owner = $1, epoch = $2, lease_until_ms = $3, updated_ms = $4
                 WHERE id = $5 AND epoch = $6",
                [
                    owner.into(),
                    (seen + 1).into(),
                    (session.now_ms + millis(ttl)).into(),
                    session.now_ms.into(),
                    id.into(),
                    seen.into(),
                ],
            )
            .await?;
        if taken.rows_affected() != 1 {
            return Ok(None);
        }
        let row = tasks::Entity::find_by_id(id)
            .one(&session.db)
            .await
            .map_err(store_error)?
            .ok_or_else(|| broken("claimed task is gone"))?;
        let undoing = row.undoing;
        let task = with_children(&session, row).await?;
        let steps = steps::Entity::find()
            .filter(steps::Column::TaskId.eq(id))
            .order_by_asc(steps::Column::Seq)
            .all(&session.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(rows::step)
            .collect::<Result<_>>()?;
        let now = Timestamp(session.now_ms);
        Box::new(session).commit().await?;
        let lease = Lease {
            task: TaskId(id),
            owner: owner.to_owned(),
            epoch: seen + 1,
        };
        Ok(Some(Claim {
            lease,
            task,
            undoing,
            now,
            steps,
        }))
    }

    async fn renew(&self, owner: &str, tasks: &[TaskId], ttl: Duration) -> Result<u64> {
        if tasks.is_empty() {
            return Ok(0);
        }
        let session = self.outside();
        // The ids are our own integers, so they may stand in the text.
        let ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
        let sql = format!(
            "UPDATE tasks SET lease_until_ms = {} + $1 WHERE owner = $2 AND id IN ({})",
            now_sql(session.backend),
            ids.join(", ")
        );
        let done = session
            .run(&sql, [millis(ttl).into(), owner.into()])
            .await?;
        Ok(done.rows_affected())
    }

    async fn surrender(&self, owner: &str) -> Result<u64> {
        let session = begin(&self.db).await?;
        let done = session
            .run(
                "UPDATE tasks SET owner = NULL, lease_until_ms = NULL, next_run_ms = $1
                 WHERE owner = $2",
                [session.now_ms.into(), owner.into()],
            )
            .await?;
        Box::new(session).commit().await?;
        Ok(done.rows_affected())
    }

    async fn next_due(&self) -> Result<Option<Duration>> {
        let session = self.outside();
        let sql = format!(
            "SELECT MIN(CASE WHEN owner IS NULL OR lease_until_ms < next_run_ms THEN next_run_ms
                             ELSE lease_until_ms + 1 END) - {} AS wait
             FROM tasks WHERE next_run_ms IS NOT NULL",
            now_sql(session.backend)
        );
        let row = session.first(&sql, []).await?;
        let wait: Option<i64> = match row {
            Some(row) => row.try_get("", "wait").map_err(store_error)?,
            None => None,
        };
        Ok(wait.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    async fn take_turn(&self, name: &str, every: Duration) -> Result<bool> {
        let session = self.outside();
        // Compare-and-set by one statement: of all who ask, one finds the turn due.
        let sql = format!(
            "INSERT INTO turns (name, next_ms) VALUES ($1, {now} + $2)
             ON CONFLICT (name) DO UPDATE SET next_ms = {now} + $2 WHERE turns.next_ms <= {now}",
            now = now_sql(session.backend)
        );
        let done = session
            .run(&sql, [name.into(), millis(every).into()])
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn woken(&self) {
        self.wake.woken().await;
    }

    async fn wake(&self) {
        self.wake.wake(&self.db).await;
    }
}
