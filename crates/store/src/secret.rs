//! Secrets, sealed: what they hold is nobody's business here.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::Timestamp;

/// A key that secrets are sealed with, itself sealed with the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// Its name.
    pub id: String,
    /// The name of the master key that it is sealed with.
    pub master: String,
    /// The key, sealed.
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey")
            .field("id", &self.id)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// Which secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretName<'n> {
    /// The mount.
    pub mount: &'n str,
    /// What stands below it.
    pub key: &'n str,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// Which.
    pub version: u64,
    /// The name of the key that it is sealed with.
    pub key: String,
    /// What it holds, sealed; `None` once it was deleted.
    pub sealed: Option<Vec<u8>>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A version and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// The mount.
    pub mount: String,
    /// What stands below it.
    pub key: String,
    /// The version.
    pub version: SecretVersion,
}

/// Looking at them.
#[async_trait]
pub trait SecretReads: Send + Sync {
    /// The keys; one, but for nobody's first start.
    async fn secret_keys(&self) -> Result<Vec<SecretKey>>;
    /// The latest version, deleted or not, or that one.
    async fn secret(
        &self,
        name: SecretName<'_>,
        version: Option<u64>,
    ) -> Result<Option<SecretVersion>>;
    /// Every version, the oldest first.
    async fn secret_versions(&self, name: SecretName<'_>) -> Result<Vec<SecretVersion>>;
    /// The keys of a mount that begin so, in order.
    async fn secret_names(&self, mount: &str, prefix: &str) -> Result<Vec<String>>;
}

/// Changing them.
#[async_trait]
pub trait SecretWrites: Send + Sync {
    /// Waits until nobody else changes secrets, and keeps them out until the end: keys and versions stay as they are
    /// read from here on.
    async fn lock_secrets(&self) -> Result<()>;
    /// Writes down the one key; those before it are gone.
    async fn replace_secret_key(&self, key: &SecretKey) -> Result<()>;
    /// Writes a new version.
    async fn insert_secret(&self, name: SecretName<'_>, version: &SecretVersion) -> Result<()>;
    /// Wipes what a version held; `false` when there is none, or it was wiped before.
    async fn wipe_secret(&self, name: SecretName<'_>, version: u64) -> Result<bool>;
    /// Removes every version; `false` when there was none.
    async fn delete_secret(&self, name: SecretName<'_>) -> Result<bool>;
    /// Removes all versions but so many of the latest.
    async fn trim_secret(&self, name: SecretName<'_>, keep: u64) -> Result<()>;
    /// Every version that was not deleted.
    async fn all_secrets(&self) -> Result<Vec<SecretRow>>;
    /// Writes back what a version holds, sealed anew.
    async fn reseal_secret(
        &self,
        name: SecretName<'_>,
        version: u64,
        key: &str,
        sealed: &[u8],
    ) -> Result<()>;
}
