//! People, roles, sessions, keys, wrong guesses.

use crate::rows::{SessionRow, Tables, constraint};
use crate::session::{Session as Db, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Assignment, Permissions, Role, Timestamp, UserId};
use tpm_store::{
    AccountReads, AccountWrites, ApiKey, Factor, KeyId, NewApiKey, NewSession, Result, Session,
    Throttle, User,
};

fn there(tables: &Tables) -> impl Iterator<Item = &User> {
    let rows = tables.users.values();
    rows.filter(|(_, deleted)| !deleted).map(|(user, _)| user)
}

fn session(tables: &Tables, digest: &str, row: &SessionRow) -> Option<Session> {
    Some(Session {
        digest: digest.to_owned(),
        user: tables.users.get(&row.user)?.0.clone(),
        address: row.address.clone(),
        agent: row.agent.clone(),
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
    })
}

#[async_trait]
impl<S: Source> AccountReads for Db<S> {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        let tables = self.0.look().await?;
        Ok(there(&tables)
            .find(|user| user.username == username)
            .cloned())
    }

    async fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        let tables = self.0.look().await?;
        Ok(there(&tables).find(|user| user.id == id).cloned())
    }

    async fn users(&self) -> Result<Vec<User>> {
        let tables = self.0.look().await?;
        let mut all: Vec<User> = there(&tables).cloned().collect();
        all.sort_by(|a, b| a.username.cmp(&b.username));
        Ok(all)
    }

    async fn any_user(&self) -> Result<bool> {
        Ok(self.0.look().await?.users.len() > 0)
    }

    async fn own_roles(&self) -> Result<Vec<Role>> {
        let tables = self.0.look().await?;
        let role = |(name, permissions): (&String, &Permissions)| Role {
            name: name.clone(),
            permissions: permissions.clone(),
            built_in: false,
        };
        Ok(tables.roles.iter().map(role).collect())
    }

    async fn session(&self, token_digest: &str) -> Result<Option<Session>> {
        let tables = self.0.look().await?;
        let found = tables.sessions.get(&token_digest.to_owned());
        Ok(found.and_then(|row| session(&tables, token_digest, row)))
    }

    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Session> = tables
            .sessions
            .iter()
            .filter(|(_, row)| row.user == user.0)
            .filter_map(|(digest, row)| session(&tables, digest, row))
            .collect();
        all.sort_by_key(|session| std::cmp::Reverse(session.created_at));
        Ok(all)
    }

    async fn api_key(&self, digest: &str) -> Result<Option<(ApiKey, User)>> {
        let tables = self.0.look().await?;
        let found = tables.keys.values().find(|(known, _)| known == digest);
        Ok(found.and_then(|(_, key)| {
            let (user, _) = tables.users.get(&key.user.0)?;
            Some((key.clone(), user.clone()))
        }))
    }

    async fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>> {
        let tables = self.0.look().await?;
        let all = tables.keys.values().rev().map(|(_, key)| key);
        Ok(all.filter(|key| key.user == user).cloned().collect())
    }

    async fn throttle(&self, key: &str) -> Result<Throttle> {
        let tables = self.0.look().await?;
        Ok(tables
            .throttles
            .get(&key.to_owned())
            .copied()
            .unwrap_or_default())
    }
}

#[async_trait]
impl AccountWrites for Db<Transaction> {
    async fn insert_user(
        &self,
        username: &str,
        hash: &str,
        assignments: &[Assignment],
    ) -> Result<UserId> {
        let now = self.0.now();
        self.0.change(|tables| {
            if there(tables).any(|user| user.username == username) {
                return Err(constraint(format!("user {username} twice")));
            }
            let id = UserId(tables.next_id());
            let user = User {
                id,
                username: username.to_owned(),
                password_hash: hash.to_owned(),
                assignments: assignments.to_vec(),
                disabled: false,
                language: None,
                password_ends_at: None,
                factor: None,
                created_at: now,
                updated_at: now,
            };
            tables.users.set(id.0, (user, false));
            Ok(id)
        })
    }

    async fn save_user(&self, user: &User) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            if let Some((row, _)) = tables.users.get_mut(&user.id.0) {
                *row = User {
                    username: row.username.clone(),
                    created_at: row.created_at,
                    updated_at: now,
                    factor: row.factor.clone(),
                    ..user.clone()
                };
            }
            Ok(())
        })
    }

    async fn swap_factor(
        &self,
        user: UserId,
        from: Option<&Factor>,
        to: Option<&Factor>,
    ) -> Result<bool> {
        let now = self.0.now();
        self.0.change(|tables| {
            let row = tables.users.get_mut(&user.0);
            let row = row.filter(|(row, deleted)| !deleted && row.factor.as_ref() == from);
            Ok(row
                .map(|(row, _)| {
                    row.factor = to.cloned();
                    row.updated_at = now;
                })
                .is_some())
        })
    }

    async fn delete_user(&self, user: UserId) -> Result<()> {
        self.0.change(|tables| {
            if let Some((row, deleted)) = tables.users.get_mut(&user.0) {
                row.disabled = true;
                row.assignments.clear();
                row.password_hash.clear();
                row.factor = None;
                *deleted = true;
            }
            tables.sessions.retain(|_, row| row.user != user.0);
            tables.keys.retain(|_, (_, key)| key.user != user);
            Ok(())
        })
    }

    async fn save_role(&self, name: &str, permissions: &Permissions) -> Result<()> {
        self.0.change(|tables| {
            tables.roles.set(name.to_owned(), permissions.clone());
            Ok(())
        })
    }

    async fn delete_role(&self, name: &str) -> Result<bool> {
        self.0
            .change(|tables| Ok(tables.roles.remove(&name.to_owned())))
    }

    async fn insert_session(&self, session: &NewSession) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let key = session.digest.clone();
            if tables.sessions.contains(&key) || !tables.users.contains(&session.user.0) {
                return Err(constraint("session twice, or of nobody"));
            }
            let row = SessionRow {
                user: session.user.0,
                address: session.address.clone(),
                agent: session.agent.clone(),
                created_at: now,
                last_seen_at: now,
            };
            tables.sessions.set(key, row);
            Ok(())
        })
    }

    async fn touch_session(&self, token_digest: &str) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            if let Some(row) = tables.sessions.get_mut(&token_digest.to_owned()) {
                row.last_seen_at = now;
            }
            Ok(())
        })
    }

    async fn delete_session(&self, token_digest: &str) -> Result<bool> {
        self.0
            .change(|tables| Ok(tables.sessions.remove(&token_digest.to_owned())))
    }

    async fn delete_sessions_of(&self, user: UserId, but: Option<&str>) -> Result<u64> {
        self.0.change(|tables| {
            let gone = tables
                .sessions
                .retain(|digest, row| row.user != user.0 || Some(digest.as_str()) == but);
            Ok(gone as u64)
        })
    }

    async fn sweep_sessions(&self, begun: Timestamp, seen: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let gone = tables
                .sessions
                .retain(|_, row| row.created_at >= begun && row.last_seen_at >= seen);
            Ok(gone as u64)
        })
    }

    async fn insert_api_key(&self, key: &NewApiKey) -> Result<KeyId> {
        let now = self.0.now();
        self.0.change(|tables| {
            if tables
                .keys
                .values()
                .any(|(digest, _)| *digest == key.digest)
            {
                return Err(constraint("key twice"));
            }
            let id = KeyId(tables.next_id());
            let row = ApiKey {
                id,
                user: key.user,
                name: key.name.clone(),
                prefix: key.prefix.clone(),
                scopes: key.scopes.clone(),
                networks: key.networks.clone(),
                expires_at: key.expires_at,
                last_used_at: None,
                last_address: None,
                created_at: now,
            };
            tables.keys.set(id.0, (key.digest.clone(), row));
            Ok(id)
        })
    }

    async fn touch_api_key(&self, id: KeyId, address: &str) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            if let Some((_, key)) = tables.keys.get_mut(&id.0) {
                key.last_used_at = Some(now);
                key.last_address = Some(address.to_owned());
            }
            Ok(())
        })
    }

    async fn delete_api_key(&self, user: UserId, id: KeyId) -> Result<bool> {
        self.0.change(|tables| {
            let gone = tables
                .keys
                .retain(|known, (_, key)| *known != id.0 || key.user != user);
            Ok(gone > 0)
        })
    }

    async fn sweep_throttles(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let gone = tables
                .throttles
                .retain(|_, row| row.not_before_ms >= before.0);
            Ok(gone as u64)
        })
    }

    async fn set_throttle(&self, key: &str, throttle: Throttle) -> Result<()> {
        self.0.change(|tables| {
            if throttle.failures == 0 {
                tables.throttles.remove(&key.to_owned());
            } else {
                tables.throttles.set(key.to_owned(), throttle);
            }
            Ok(())
        })
    }
}
