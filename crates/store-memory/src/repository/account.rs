//! People, sessions, wrong guesses.

use crate::rows::{SessionRow, constraint};
use crate::session::{Session as Db, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Timestamp, UserId, UserRole};
use tpm_store::{AccountReads, AccountWrites, Result, Session, Throttle, User};

#[async_trait]
impl<S: Source> AccountReads for Db<S> {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        let tables = self.0.look().await?;
        Ok(tables
            .users
            .values()
            .find(|user| user.username == username)
            .cloned())
    }

    async fn any_user(&self) -> Result<bool> {
        Ok(self.0.look().await?.users.len() > 0)
    }

    async fn session(&self, token_digest: &str) -> Result<Option<Session>> {
        let tables = self.0.look().await?;
        let found = tables.sessions.get(&token_digest.to_owned());
        Ok(found.and_then(|row| {
            Some(Session {
                user: tables.users.get(&row.user)?.clone(),
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
            })
        }))
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
    async fn insert_user(&self, username: &str, hash: &str, role: UserRole) -> Result<UserId> {
        self.0.change(|tables| {
            if tables.users.values().any(|user| user.username == username) {
                return Err(constraint(format!("user {username} twice")));
            }
            let id = UserId(tables.next_id());
            let user = User {
                id,
                username: username.to_owned(),
                password_hash: hash.to_owned(),
                role,
            };
            tables.users.set(id.0, user);
            Ok(id)
        })
    }

    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<()> {
        self.0.change(|tables| {
            if let Some(user) = tables.users.get_mut(&user.0) {
                user.password_hash = hash.to_owned();
            }
            Ok(())
        })
    }

    async fn insert_session(&self, token_digest: &str, user: UserId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let key = token_digest.to_owned();
            if tables.sessions.contains(&key) || !tables.users.contains(&user.0) {
                return Err(constraint("session twice, or of nobody"));
            }
            let row = SessionRow {
                user: user.0,
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

    async fn sweep_sessions(&self, begun: Timestamp, seen: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let gone = tables
                .sessions
                .retain(|_, row| row.created_at >= begun && row.last_seen_at >= seen);
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
