//! The port to a store of secrets.

use crate::{Folder, SecretPath};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::fmt;
use thiserror::Error;
use tpm_domain::Timestamp;

/// What a secret holds: an object of JSON. Kept as one text that is wiped when it is let go of, and never printed.
#[derive(Clone)]
pub struct SecretData(SecretString);

impl SecretData {
    /// From the fields.
    #[must_use]
    pub fn new(fields: &Map<String, Value>) -> Self {
        let text = serde_json::to_string(fields).unwrap_or_default();
        Self(text.into())
    }

    /// From the text that [`text`](Self::text) gave.
    ///
    /// # Errors
    /// When it is no object.
    pub fn parse(text: SecretString) -> Result<Self, SecretError> {
        match serde_json::from_str::<Map<String, Value>>(text.expose_secret()) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(SecretError::Broken("it is no object of JSON".into())),
        }
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(self.0.expose_secret()).unwrap_or_default()
    }

    /// One field that is a text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<SecretString> {
        match self.fields().remove(name)? {
            Value::String(text) => Some(text.into()),
            _ => None,
        }
    }

    /// All of it as text.
    #[must_use]
    pub fn text(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A version of a secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What it holds.
    pub data: SecretData,
    /// Which version; 0 where the store knows none (KV version 1).
    pub version: u64,
    /// When it was written, where the store knows.
    pub created_at: Option<Timestamp>,
}

/// What is known of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Which.
    pub version: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// What is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The latest version.
    Latest,
    /// This version.
    Version(u64),
    /// Every version, and that there ever was one.
    Everything,
}

/// How a mount is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountStatus {
    /// Its name.
    pub name: String,
    /// 1 or 2 (KV); `None` when that is not known.
    pub version: Option<u8>,
    /// Why it cannot be used; `None` when it can.
    pub trouble: Option<String>,
}

/// How a store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// `vault` or `embedded`.
    pub store: &'static str,
    /// Whether it answers.
    pub reachable: bool,
    /// Whether it was set up; `None` when that is not known.
    pub initialized: Option<bool>,
    /// Whether it is sealed.
    pub sealed: Option<bool>,
    /// Its version.
    pub version: Option<String>,
    /// How this service is known there: `approle`, `token_file`, …; `master_key` for the embedded store.
    pub auth_method: &'static str,
    /// Seconds that the token is good for; `None` when it does not end, or there is none.
    pub token_ttl_secs: Option<u64>,
    /// The mounts.
    pub mounts: Vec<MountStatus>,
    /// Why it cannot be used, for people; never with a secret in it.
    pub trouble: Option<String>,
}

impl StoreStatus {
    /// Whether secrets can be read now.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.reachable && self.sealed != Some(true) && self.trouble.is_none()
    }
}

/// What a change of the master key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The new key's name.
    pub key: String,
    /// Versions that were sealed anew.
    pub resealed: u64,
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// There is none, or that version was deleted.
    #[error("no such secret")]
    NotFound,
    /// Somebody else wrote meanwhile.
    #[error("the latest version is {current}")]
    Changed {
        /// The latest version; 0 when there is none.
        current: u64,
    },
    /// The store is sealed.
    #[error("the store of secrets is sealed")]
    Sealed,
    /// The store does not answer.
    #[error("the store of secrets does not answer: {0}")]
    Away(String),
    /// This service may not do that there.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The store cannot do that.
    #[error("the store cannot do that: {0}")]
    Unsupported(&'static str),
    /// What is stored cannot be made sense of.
    #[error("broken: {0}")]
    Broken(String),
}

impl SecretError {
    /// Whether it may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Sealed | Self::Away(_))
    }
}

/// A store of secrets.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// How it is doing. Never fails: what is not known is `None`.
    async fn status(&self) -> StoreStatus;

    /// A secret: the latest version, or that one.
    ///
    /// # Errors
    /// [`SecretError::NotFound`] also when it was deleted.
    async fn read(&self, path: &SecretPath, version: Option<u64>) -> Result<Secret, SecretError>;

    /// Writes a new version; the number of it. With `expected`, only on top of that version, 0 for none at all.
    ///
    /// # Errors
    /// [`SecretError::Changed`] when the latest is another one.
    async fn write(
        &self,
        path: &SecretPath,
        data: &SecretData,
        expected: Option<u64>,
    ) -> Result<u64, SecretError>;

    /// Deletes.
    ///
    /// # Errors
    /// [`SecretError::NotFound`] when there is nothing to delete.
    async fn delete(&self, path: &SecretPath, what: Deletion) -> Result<(), SecretError>;

    /// The names in a folder, sorted; folders end with a slash.
    ///
    /// # Errors
    /// [`SecretError::NotFound`] when there are none.
    async fn list(&self, folder: &Folder) -> Result<Vec<String>, SecretError>;

    /// What is known of each version, the oldest first.
    ///
    /// # Errors
    /// [`SecretError::NotFound`] when there never was one.
    async fn versions(&self, path: &SecretPath) -> Result<Vec<VersionInfo>, SecretError>;

    /// Replaces the master key, and seals everything anew.
    ///
    /// # Errors
    /// [`SecretError::Unsupported`] where the key is not this store's own.
    async fn rotate(&self) -> Result<Rotated, SecretError>;
}
