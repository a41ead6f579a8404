//! Requests that were answered, so that the same request again has no second effect.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::{Timestamp, UserId};

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Digest of the request.
    pub request_hash: String,
    /// What it came to, as JSON text.
    pub outcome: String,
}

/// Remembering, in the transaction of the effect.
#[async_trait]
pub trait IdempotencyWrites: Send + Sync {
    /// What a person's key was used for. Waits for another transaction that is using the same key.
    async fn remembered(&self, user: UserId, key: &str) -> Result<Option<Remembered>>;
    /// Remembers what a person's key came to.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when another transaction was first.
    async fn remember(&self, user: UserId, key: &str, done: &Remembered) -> Result<()>;
    /// Forgets what was remembered before a moment; returns how many.
    async fn forget_remembered(&self, before: Timestamp) -> Result<u64>;
}
