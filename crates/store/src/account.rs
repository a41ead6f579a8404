//! People, their sessions, and how often somebody guessed wrong.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::{Timestamp, UserId, UserRole};

/// A person who may log in.
#[derive(Clone)]
pub struct User {
    /// The person's number.
    pub id: UserId,
    /// The name to log in with.
    pub username: String,
    /// The password's Argon2id hash in PHC form.
    pub password_hash: String,
    /// What the person may do.
    pub role: UserRole,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("username", &self.username)
            .finish()
    }
}

/// A session, found by the digest of its token.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is.
    pub user: User,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub last_seen_at: Timestamp,
}

/// Wrong guesses for one account or from one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Wrong ones in a row.
    pub failures: u32,
    /// No guess counts before this moment (milliseconds since the epoch, 0 = now).
    pub not_before_ms: i64,
}

/// Questions about people.
#[async_trait]
pub trait AccountReads: Send + Sync {
    /// The person of that name.
    async fn user(&self, username: &str) -> Result<Option<User>>;
    /// Whether there is anybody at all.
    async fn any_user(&self) -> Result<bool>;
    /// The session of that token digest (hex SHA-256), however old.
    async fn session(&self, token_digest: &str) -> Result<Option<Session>>;
    /// The wrong guesses noted under a key.
    async fn throttle(&self, key: &str) -> Result<Throttle>;
}

/// Changes to people and their sessions.
#[async_trait]
pub trait AccountWrites: Send + Sync {
    /// Writes a new person.
    async fn insert_user(&self, username: &str, hash: &str, role: UserRole) -> Result<UserId>;
    /// Replaces a person's password hash.
    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<()>;
    /// Writes a new session.
    async fn insert_session(&self, token_digest: &str, user: UserId) -> Result<()>;
    /// Notes that a session was used.
    async fn touch_session(&self, token_digest: &str) -> Result<()>;
    /// Ends a session; `false` when there was none.
    async fn delete_session(&self, token_digest: &str) -> Result<bool>;
    /// Ends every session begun or last used before these moments.
    async fn sweep_sessions(&self, begun: Timestamp, seen: Timestamp) -> Result<u64>;
    /// Notes wrong guesses under a key; zero failures forget the key.
    async fn set_throttle(&self, key: &str, throttle: Throttle) -> Result<()>;
}
