//! People, roles, sessions, keys, wrong guesses.

use crate::entity::{api_keys, login_throttle, roles, sessions, users};
use crate::error::store_error;
use crate::rows;
use crate::session::Session as Db;
use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction,
    EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use tpm_domain::{Assignment, Permissions, Role, Timestamp, UserId};
use tpm_store::{
    AccountReads, AccountWrites, ApiKey, Factor, KeyId, NewApiKey, NewSession, Result, Session,
    Throttle, User,
};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> AccountReads for Db<C> {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        users::Entity::find()
            .filter(users::Column::Username.eq(username))
            .filter(users::Column::DeletedMs.is_null())
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::user)
            .transpose()
    }

    async fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        users::Entity::find_by_id(id.0)
            .filter(users::Column::DeletedMs.is_null())
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::user)
            .transpose()
    }

    async fn users(&self) -> Result<Vec<User>> {
        let found = users::Entity::find()
            .filter(users::Column::DeletedMs.is_null())
            .order_by_asc(users::Column::Username)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::user).collect()
    }

    async fn own_roles(&self) -> Result<Vec<Role>> {
        let found = roles::Entity::find()
            .order_by_asc(roles::Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let role = |row: roles::Model| {
            Ok(Role {
                permissions: rows::from_json("roles.permissions", &row.permissions)?,
                name: row.name,
                built_in: false,
            })
        };
        found.into_iter().map(role).collect()
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
        Ok(Some(rows::session(row, rows::user(user)?)))
    }

    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>> {
        let Some(owner) = self.user_by_id(user).await? else {
            return Ok(Vec::new());
        };
        let found = sessions::Entity::find()
            .filter(sessions::Column::UserId.eq(user.0))
            .order_by_desc(sessions::Column::CreatedMs)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let session = |row| rows::session(row, owner.clone());
        Ok(found.into_iter().map(session).collect())
    }

    async fn api_key(&self, digest: &str) -> Result<Option<(ApiKey, User)>> {
        let found = api_keys::Entity::find()
            .filter(api_keys::Column::Digest.eq(digest))
            .find_also_related(users::Entity)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        match found {
            Some((row, Some(user))) => Ok(Some((rows::api_key(row)?, rows::user(user)?))),
            _ => Ok(None),
        }
    }

    async fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>> {
        let found = api_keys::Entity::find()
            .filter(api_keys::Column::UserId.eq(user.0))
            .order_by_desc(api_keys::Column::Id)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::api_key).collect()
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
    async fn insert_user(
        &self,
        username: &str,
        hash: &str,
        assignments: &[Assignment],
    ) -> Result<UserId> {
        let row = users::ActiveModel {
            username: Set(username.into()),
            password_hash: Set(hash.into()),
            assignments: Set(rows::to_json(&assignments)?),
            disabled: Set(false),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        let inserted = users::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(UserId(inserted.last_insert_id))
    }

    async fn save_user(&self, user: &User) -> Result<()> {
        let row = users::ActiveModel {
            id: Set(user.id.0),
            password_hash: Set(user.password_hash.clone()),
            assignments: Set(rows::to_json(&user.assignments)?),
            disabled: Set(user.disabled),
            language: Set(user.language.clone()),
            password_ends_ms: Set(user.password_ends_at.map(|at| at.0)),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        row.update(&self.db).await.map(|_| ()).map_err(store_error)
    }

    async fn swap_factor(
        &self,
        user: UserId,
        from: Option<&Factor>,
        to: Option<&Factor>,
    ) -> Result<bool> {
        let from = from.map(rows::factor_text).transpose()?.unwrap_or_default();
        let to = to.map(rows::factor_text).transpose()?;
        let done = self
            .run(
                "UPDATE users SET factor = $1, updated_ms = $2
                 WHERE id = $3 AND COALESCE(factor, '') = $4 AND deleted_ms IS NULL",
                [to.into(), self.now_ms.into(), user.0.into(), from.into()],
            )
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_user(&self, user: UserId) -> Result<()> {
        // The name is free for somebody else; what the person did keeps it.
        self.run(
            "UPDATE users SET deleted_ms = $1, disabled = $2, assignments = '[]',
                    password_hash = '', factor = NULL, username = username || '~' || id
             WHERE id = $3 AND deleted_ms IS NULL",
            [self.now_ms.into(), true.into(), user.0.into()],
        )
        .await?;
        self.run("DELETE FROM api_keys WHERE user_id = $1", [user.0.into()])
            .await?;
        self.run("DELETE FROM sessions WHERE user_id = $1", [user.0.into()])
            .await
            .map(|_| ())
    }

    async fn save_role(&self, name: &str, permissions: &Permissions) -> Result<()> {
        self.run(
            "INSERT INTO roles (name, permissions, created_ms, updated_ms) VALUES ($1, $2, $3, $3)
             ON CONFLICT (name) DO UPDATE
             SET permissions = excluded.permissions, updated_ms = excluded.updated_ms",
            [
                name.into(),
                rows::to_json(permissions)?.into(),
                self.now_ms.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn delete_role(&self, name: &str) -> Result<bool> {
        let done = self
            .run("DELETE FROM roles WHERE name = $1", [name.into()])
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn insert_session(&self, session: &NewSession) -> Result<()> {
        let row = sessions::ActiveModel {
            token_digest: Set(session.digest.clone()),
            user_id: Set(session.user.0),
            address: Set(session.address.clone()),
            agent: Set(session.agent.clone()),
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

    async fn delete_sessions_of(&self, user: UserId, but: Option<&str>) -> Result<u64> {
        let done = self
            .run(
                "DELETE FROM sessions WHERE user_id = $1 AND token_digest <> $2",
                [user.0.into(), but.unwrap_or_default().into()],
            )
            .await?;
        Ok(done.rows_affected())
    }

    async fn insert_api_key(&self, key: &NewApiKey) -> Result<KeyId> {
        let row = api_keys::ActiveModel {
            digest: Set(key.digest.clone()),
            user_id: Set(key.user.0),
            name: Set(key.name.clone()),
            prefix: Set(key.prefix.clone()),
            scopes: Set(rows::to_json(&key.scopes)?),
            networks: Set(rows::to_json(&key.networks)?),
            expires_ms: Set(key.expires_at.map(|at| at.0)),
            created_ms: Set(self.now_ms),
            ..Default::default()
        };
        let inserted = api_keys::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(KeyId(inserted.last_insert_id))
    }

    async fn touch_api_key(&self, id: KeyId, address: &str) -> Result<()> {
        self.run(
            "UPDATE api_keys SET last_used_ms = $1, last_address = $2 WHERE id = $3",
            [self.now_ms.into(), address.into(), id.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn delete_api_key(&self, user: UserId, id: KeyId) -> Result<bool> {
        let done = self
            .run(
                "DELETE FROM api_keys WHERE id = $1 AND user_id = $2",
                [id.0.into(), user.0.into()],
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

    async fn sweep_throttles(&self, before: Timestamp) -> Result<u64> {
        let done = self
            .run(
                "DELETE FROM login_throttle WHERE not_before_ms < $1",
                [before.0.into()],
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
