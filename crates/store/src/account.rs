//! People, roles, sessions, keys, and how often somebody guessed wrong.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::{Assignment, Permissions, Role, Timestamp, UserId};

/// A person who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The person's number.
    pub id: UserId,
    /// The name to log in with.
    pub username: String,
    /// The password's Argon2id hash in PHC form.
    pub password_hash: String,
    /// What the person may do, and where.
    pub assignments: Vec<Assignment>,
    /// Whether the person is kept out.
    pub disabled: bool,
    /// The language the person reads, `ko` or `en`; `None` is what the client asks for.
    pub language: Option<String>,
    /// When the password ends, unless it is changed before: it was made up, or set by somebody else for the beginning.
    pub password_ends_at: Option<Timestamp>,
    /// What logging in takes beside the password. It is changed by [`AccountWrites::swap_factor`] alone.
    pub factor: Option<Factor>,
    /// When the person was added.
    pub created_at: Timestamp,
    /// When anything above changed last.
    pub updated_at: Timestamp,
}

impl User {
    /// Whether logging in takes a second factor.
    #[must_use]
    pub fn has_factor(&self) -> bool {
        self.factor.as_ref().is_some_and(|factor| factor.confirmed)
    }
}

/// A second factor: codes of an authenticator app.
#[derive(Clone, PartialEq, Eq)]
pub struct Factor {
    /// The app's secret, sealed, in hex.
    pub sealed: String,
    /// Whether a code of it was shown; until then nothing takes one.
    pub confirmed: bool,
    /// The step of time of the last code that was used; none of it or before is taken any more.
    pub used: i64,
    /// Digests of the codes that are left for when the app is lost.
    pub recovery: Vec<String>,
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor")
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("assignments", &self.assignments)
            .finish_non_exhaustive()
    }
}

/// A session, found by the digest of its token.
#[derive(Clone, Debug)]
pub struct Session {
    /// Digest of its token (hex SHA-256).
    pub digest: String,
    /// Whose it is.
    pub user: User,
    /// Where it was begun.
    pub address: String,
    /// By which program, as it said itself.
    pub agent: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub last_seen_at: Timestamp,
}

/// A session to be written.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Digest of its token (hex SHA-256).
    pub digest: String,
    /// Whose it is.
    pub user: UserId,
    /// Where it is begun.
    pub address: String,
    /// By which program, as it says itself.
    pub agent: String,
}

/// A key's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub i64);

/// A key for programs. Its text is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The beginning of its text, to know it by.
    pub prefix: String,
    /// What it allows at most.
    pub scopes: Permissions,
    /// Networks it may be used from (CIDR); from anywhere when there are none.
    pub networks: Vec<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_address: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key to be written.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Digest of its text (hex SHA-256).
    pub digest: String,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The beginning of its text.
    pub prefix: String,
    /// What it allows at most.
    pub scopes: Permissions,
    /// Networks it may be used from.
    pub networks: Vec<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
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
    /// The person of that number.
    async fn user_by_id(&self, id: UserId) -> Result<Option<User>>;
    /// Everybody, by name.
    async fn users(&self) -> Result<Vec<User>>;
    /// Whether there is anybody at all.
    async fn any_user(&self) -> Result<bool>;
    /// Roles that are not built in, by name.
    async fn own_roles(&self) -> Result<Vec<Role>>;
    /// The session of that token digest (hex SHA-256), however old.
    async fn session(&self, token_digest: &str) -> Result<Option<Session>>;
    /// A person's sessions, the latest first.
    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>>;
    /// The key of that digest (hex SHA-256), however old, and its owner.
    async fn api_key(&self, digest: &str) -> Result<Option<(ApiKey, User)>>;
    /// A person's keys, the latest first.
    async fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>>;
    /// The wrong guesses noted under a key.
    async fn throttle(&self, key: &str) -> Result<Throttle>;
}

/// Changes to people and what they log in with.
#[async_trait]
pub trait AccountWrites: Send + Sync {
    /// Writes a new person.
    async fn insert_user(
        &self,
        username: &str,
        hash: &str,
        assignments: &[Assignment],
    ) -> Result<UserId>;
    /// Writes back what can change of a person.
    async fn save_user(&self, user: &User) -> Result<()>;
    /// Puts one second factor in the place of another; `false` when it is not that one any more.
    async fn swap_factor(
        &self,
        user: UserId,
        from: Option<&Factor>,
        to: Option<&Factor>,
    ) -> Result<bool>;
    /// Takes a person out of every list, with sessions and keys; the row stays for history.
    async fn delete_user(&self, user: UserId) -> Result<()>;
    /// Writes a role, new or changed.
    async fn save_role(&self, name: &str, permissions: &Permissions) -> Result<()>;
    /// Removes a role; `false` when there was none.
    async fn delete_role(&self, name: &str) -> Result<bool>;
    /// Writes a new session.
    async fn insert_session(&self, session: &NewSession) -> Result<()>;
    /// Notes that a session was used.
    async fn touch_session(&self, token_digest: &str) -> Result<()>;
    /// Ends a session; `false` when there was none.
    async fn delete_session(&self, token_digest: &str) -> Result<bool>;
    /// Ends every session of a person but one.
    async fn delete_sessions_of(&self, user: UserId, but: Option<&str>) -> Result<u64>;
    /// Ends every session begun or last used before these moments.
    async fn sweep_sessions(&self, begun: Timestamp, seen: Timestamp) -> Result<u64>;
    /// Writes a new key.
    async fn insert_api_key(&self, key: &NewApiKey) -> Result<KeyId>;
    /// Notes that a key was used.
    async fn touch_api_key(&self, id: KeyId, address: &str) -> Result<()>;
    /// Removes a person's key; `false` when there was none.
    async fn delete_api_key(&self, user: UserId, id: KeyId) -> Result<bool>;
    /// Notes wrong guesses under a key; zero failures forget the key.
    async fn set_throttle(&self, key: &str, throttle: Throttle) -> Result<()>;
    /// Forgets the wrong guesses of all keys under which a guess counted again before this moment; how many.
    async fn sweep_throttles(&self, before: Timestamp) -> Result<u64>;
}
