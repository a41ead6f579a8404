//! Requests that were answered.

use crate::error::store_error;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbBackend};
use tpm_domain::{Timestamp, UserId};
use tpm_store::{IdempotencyWrites, Remembered, Result};

#[async_trait]
impl IdempotencyWrites for Session<DatabaseTransaction> {
    async fn remembered(&self, user: UserId, key: &str) -> Result<Option<Remembered>> {
        // On SQLite the transaction is the only writer already.
        if self.backend == DbBackend::Postgres {
            self.run(
                "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                [i32::try_from(user.0).unwrap_or(i32::MAX).into(), key.into()],
            )
            .await?;
        }
        let row = self
            .first(
                "SELECT request_hash, outcome FROM idempotency WHERE user_id = $1 AND key = $2",
                [user.0.into(), key.into()],
            )
            .await?;
        row.map(|row| {
            Ok(Remembered {
                request_hash: row.try_get("", "request_hash").map_err(store_error)?,
                outcome: row.try_get("", "outcome").map_err(store_error)?,
            })
        })
        .transpose()
    }

    async fn remember(&self, user: UserId, key: &str, done: &Remembered) -> Result<()> {
        self.run(
            "INSERT INTO idempotency (user_id, key, request_hash, outcome, created_ms)
             VALUES ($1, $2, $3, $4, $5)",
            [
                user.0.into(),
                key.into(),
                done.request_hash.clone().into(),
                done.outcome.clone().into(),
                self.now_ms.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn forget_remembered(&self, before: Timestamp) -> Result<u64> {
        let done = self
            .run(
                "DELETE FROM idempotency WHERE created_ms < $1",
                [before.0.into()],
            )
            .await?;
        Ok(done.rows_affected())
    }
}
