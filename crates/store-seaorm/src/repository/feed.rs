//! The feed of what changed. Triggers write it.
//!
//! On PostgreSQL a row counts once no transaction as old as its own is under way: then no row can still
//! appear before it.

use crate::error::{broken, store_error};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement};
use tpm_domain::{NotificationId, ServerId, TaskId, Timestamp};
use tpm_store::{Changed, FeedPlace, FeedReads, FeedRow, FeedWrites, Result};

fn place(row: &QueryResult) -> Result<FeedPlace> {
    Ok(FeedPlace {
        transaction: row.try_get("", "xid").map_err(store_error)?,
        row: row.try_get("", "row_id").map_err(store_error)?,
    })
}

fn feed_row(row: &QueryResult) -> Result<FeedRow> {
    let kind: String = row.try_get("", "kind").map_err(store_error)?;
    let id: i64 = row.try_get("", "ref").map_err(store_error)?;
    let changed = match kind.as_str() {
        "server" => Changed::Server(ServerId(id)),
        "task" => Changed::Task(TaskId(id)),
        "notification" => Changed::Notification(NotificationId(id)),
        _ => return Err(broken("feed.kind")),
    };
    Ok(FeedRow {
        place: place(row)?,
        changed,
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> FeedReads for Session<C> {
    async fn feed_end(&self) -> Result<FeedPlace> {
        let sql = match self.backend {
            DbBackend::Postgres => {
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS xid,
                        9223372036854775807 AS row_id"
            }
            _ => {
                "SELECT 0 AS xid,
                        COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'feed'), 0) AS row_id"
            }
        };
        let row = self.first(sql, []).await?;
        place(&row.ok_or_else(|| broken("the feed has no end"))?)
    }

    async fn feed_after(&self, after: FeedPlace, limit: u64) -> Result<Option<Vec<FeedRow>>> {
        let floor = self
            .first("SELECT xid, row_id FROM feed_floor WHERE id = 1", [])
            .await?
            .ok_or_else(|| broken("the feed has no floor"))?;
        if after < place(&floor)? || after > self.feed_end().await? {
            return Ok(None);
        }
        let settled = match self.backend {
            DbBackend::Postgres => {
                "AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            }
            _ => "",
        };
        let sql = format!(
            "SELECT xid, id AS row_id, kind, ref FROM feed WHERE (xid, id) > ($1, $2) {settled}
             ORDER BY xid, id LIMIT $3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [after.transaction.into(), after.row.into(), limit.into()];
        let rows = self
            .db
            .query_all_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .map_err(store_error)?;
        rows.iter().map(feed_row).collect::<Result<_>>().map(Some)
    }
}

#[async_trait]
impl FeedWrites for Session<DatabaseTransaction> {
    async fn trim_feed(&self, before: Timestamp) -> Result<u64> {
        let mut gone = 0;
        if self.backend == DbBackend::Postgres {
            // A database that was restored elsewhere counts its transactions anew: nobody can go on from
            // what was written before.
            let done = self
                .run(
                    "DELETE FROM feed WHERE xid > pg_current_xact_id()::text::bigint",
                    [],
                )
                .await?;
            gone += done.rows_affected();
            self.run(
                "UPDATE feed_floor SET xid = pg_current_xact_id()::text::bigint, row_id = 0
                 WHERE xid > pg_current_xact_id()::text::bigint",
                [],
            )
            .await?;
        }
        let last = self
            .first(
                "SELECT xid, id AS row_id FROM feed WHERE at_ms < $1
                 ORDER BY xid DESC, id DESC LIMIT 1",
                [before.0.into()],
            )
            .await?;
        let Some(last) = last else {
            return Ok(gone);
        };
        let last = place(&last)?;
        let values = || [last.transaction.into(), last.row.into()];
        self.run(
            "UPDATE feed_floor SET xid = $1, row_id = $2 WHERE id = 1",
            values(),
        )
        .await?;
        let done = self
            .run("DELETE FROM feed WHERE (xid, id) <= ($1, $2)", values())
            .await?;
        Ok(gone + done.rows_affected())
    }
}
