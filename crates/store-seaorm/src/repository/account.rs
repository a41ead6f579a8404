//! People, sessions, wrong guesses.

use crate::entity::{login_throttle, sessions, users};
use crate::error::store_error;
use crate::rows;
use crate::session::Session as Db;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter,
};
use tpm_domain::{Timestamp, UserId, UserRole};
use tpm_store::{AccountReads, AccountWrites, Result, Session, Throttle, User};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> AccountReads for Db<C> {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        users::Entity::find()
            .filter(users::Column::Username.eq(username))
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::user)
            .transpose()
    }

    async fn any_user(&self) -> Result<bool> {
        Ok(users::Entity::find()
            .count(&self.db)
            .await
            .map_err(store_error)?
            > 0)
    }

    async fn session(&self, token_digest: &str) -> Result<Option<Session>> {
        let found = sessions::Entity::find_by_id(token_digest)
            .find_also_related(users::Entity)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        let Some((row, Some(user))) = found else {
            return Ok(None);
        };
        Ok(Some(Session {
            user: rows::user(user)?,
            created_at: Timestamp(row.created_ms),
            last_seen_at: Timestamp(row.last_seen_ms),
        }))
    }

    async fn throttle(&self, key: &str) -> Result<Throttle> {
        let row = login_throttle::Entity::find_by_id(key)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        Ok(row.map_or_else(Throttle::default, |row| Throttle {
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            not_before_ms: row.not_before_ms,
        }))
    }
}

#[async_trait]
impl AccountWrites for Db<DatabaseTransaction> {
    async fn insert_user(&self, username: &str, hash: &str, role: UserRole) -> Result<UserId> {
        let row = users::ActiveModel {
            username: Set(username.into()),
            password_hash: Set(hash.into()),
            role: Set(rows::role_text(role).into()),
            created_ms: Set(self.now_ms),
            ..Default::default()
        };
        let inserted = users::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(UserId(inserted.last_insert_id))
    }

    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<()> {
        self.run(
            "UPDATE users SET password_hash = $1 WHERE id = $2",
            [hash.into(), user.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn insert_session(&self, token_digest: &str, user: UserId) -> Result<()> {
        let row = sessions::ActiveModel {
            token_digest: Set(token_digest.into()),
            user_id: Set(user.0),
            created_ms: Set(self.now_ms),
            last_seen_ms: Set(self.now_ms),
        };
        sessions::Entity::insert(row)
            .exec_without_returning(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn touch_session(&self, token_digest: &str) -> Result<()> {
        self.run(
            "UPDATE sessions SET last_seen_ms = $1 WHERE token_digest = $2",
            [self.now_ms.into(), token_digest.into()],
        )
        .await
        .map(|_| ())
    }

    async fn delete_session(&self, token_digest: &str) -> Result<bool> {
        let done = self
            .run(
                "DELETE FROM sessions WHERE token_digest = $1",
                [token_digest.into()],
            )
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn sweep_sessions(&self, begun: Timestamp, seen: Timestamp) -> Result<u64> {
        let done = self
            .run(
                "DELETE FROM sessions WHERE created_ms < $1 OR last_seen_ms < $2",
                [begun.0.into(), seen.0.into()],
            )
            .await?;
        Ok(done.rows_affected())
    }

    async fn set_throttle(&self, key: &str, throttle: Throttle) -> Result<()> {
        if throttle.failures == 0 {
            return self
                .run(
                    "DELETE FROM login_throttle WHERE subject = $1",
                    [key.into()],
                )
                .await
                .map(|_| ());
        }
        self.run(
            "INSERT INTO login_throttle (subject, failures, not_before_ms) VALUES ($1, $2, $3)
             ON CONFLICT (subject) DO UPDATE
             SET failures = excluded.failures, not_before_ms = excluded.not_before_ms",
            [
                key.into(),
                i64::from(throttle.failures).into(),
                throttle.not_before_ms.into(),
            ],
        )
        .await
        .map(|_| ())
    }
}
