//! HashiCorp Vault or OpenBao as the store of secrets: KV version 1 and 2.

mod http;
mod refusal;
mod session;
mod settings;

pub use settings::{BadVault, VaultAuth, VaultSettings};

use crate::{
    Deletion, Folder, MountStatus, Rotated, Secret, SecretData, SecretError, SecretPath,
    SecretStore, StoreStatus, VersionInfo,
};
use async_trait::async_trait;
use chrono::DateTime;
use futures::future::join_all;
use http::Http;
use refusal::{Refusal, Why};
use serde_json::{Map, Value};
use session::{Session, Sessions};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tpm_domain::Timestamp;
use vaultrs::api::kv2::requests::SetSecretRequestOptions;
use vaultrs::api::kv2::responses::{ReadSecretMetadataResponse, SecretMetadata};
use vaultrs::{kv1, kv2};

/// How long it is believed which version a mount is.
const BELIEVED: Duration = Duration::from_secs(60);
const ONLY_V2: SecretError = SecretError::Unsupported("versions, on a mount of KV version 1");

/// Vault, or OpenBao.
pub struct Vault {
    settings: VaultSettings,
    http: Arc<Http>,
    sessions: Sessions,
    /// Which version each mount is, and since when that is known.
    mounts: Mutex<HashMap<String, (u8, Instant)>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("settings", &self.settings)
            .field("token", &format_args!("***"))
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Ready to ask; asks nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: VaultSettings) -> Result<Self, BadVault> {
        settings.check()?;
        let http = Arc::new(Http::new(&settings)?);
        Ok(Self {
            sessions: Sessions::new(http.clone(), settings.auth.clone()),
            http,
            settings,
            mounts: Mutex::default(),
        })
    }

    /// Logs in and keeps the token good, for as long as it is polled. Without it that happens when something is asked.
    pub async fn keep(&self) {
        self.sessions.keep().await;
    }

    /// The mounts that secrets are in.
    #[must_use]
    pub fn mounts(&self) -> &BTreeSet<String> {
        &self.settings.mounts
    }

    /// Asks with a good token; once more with another one when it turns out that the token is none any more.
    async fn ask<T, A>(&self, ask: impl Fn(Arc<Session>) -> A + Send + Sync) -> Result<T, Refusal>
    where
        A: Future<Output = Result<T, Refusal>> + Send,
        T: Send,
    {
        let session = self.sessions.get().await?;
        match ask(session.clone()).await {
            Err(refusal) if refusal.is_forbidden() && self.sessions.is_gone(&session).await => {
                let session = self.sessions.instead_of(&session).await?;
                ask(session).await
            }
            asked => asked,
        }
    }

    /// Which version of KV a mount is.
    async fn kv(&self, mount: &str) -> Result<u8, SecretError> {
        if let Some((version, since)) = self.known().get(mount)
            && since.elapsed() < BELIEVED
        {
            return Ok(*version);
        }
        let version = self
            .ask(|session| async move { self.http.kv_version(&session.token, mount).await })
            .await
            .map_err(|refusal| match refusal {
                // What there is none of is told in several ways.
                Refusal::Code {
                    code: 400 | 403 | 404,
                    why: Why::Other,
                } => SecretError::Forbidden(format!("using the mount `{mount}`, or it is none")),
                refusal => refusal.into_error("asking what kind the mount is"),
            })?;
        self.known()
            .insert(mount.to_owned(), (version, Instant::now()));
        Ok(version)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u8, Instant)>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the port; what kind the mount is is asked again when something went wrong there.
    fn told<T>(
        &self,
        mount: &str,
        what: &str,
        asked: Result<T, Refusal>,
    ) -> Result<T, SecretError> {
        asked.map_err(|refusal| {
            let error = refusal.into_error(what);
            if !matches!(error, SecretError::NotFound | SecretError::Changed { .. }) {
                self.known().remove(mount);
            }
            error
        })
    }

    async fn metadata(&self, path: &SecretPath) -> Result<ReadSecretMetadataResponse, Refusal> {
        self.ask(|session| async move {
            Ok(kv2::read_metadata(&session.client, path.mount(), path.key()).await?)
        })
        .await
    }

    /// The latest version; 0 when there is none.
    async fn current(&self, path: &SecretPath) -> Result<u64, Refusal> {
        match self.metadata(path).await {
            Ok(metadata) => Ok(metadata.current_version),
            Err(Refusal::Code { code: 404, .. }) => Ok(0),
            Err(refusal) => Err(refusal),
        }
    }

    async fn write_v1(
        &self,
        path: &SecretPath,
        fields: &Map<String, Value>,
    ) -> Result<u64, Refusal> {
        let fields: HashMap<&str, &Value> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let fields = &fields;
        self.ask(|session| async move {
            Ok(kv1::set(&session.client, path.mount(), path.key(), fields).await?)
        })
        .await?;
        Ok(0)
    }

    async fn write_v2(
        &self,
        path: &SecretPath,
        fields: &Map<String, Value>,
        expected: Option<u64>,
    ) -> Result<u64, Refusal> {
        // Versions are counted in 32 bits there: what is beyond is none for sure.
        let cas = expected.map(|version| u32::try_from(version).unwrap_or(u32::MAX));
        let written = self
            .ask(|session| async move {
                let (client, mount, key) = (&session.client, path.mount(), path.key());
                Ok(match cas {
                    Some(cas) => {
                        let options = SetSecretRequestOptions { cas };
                        kv2::set_with_options(client, mount, key, fields, options).await?
                    }
                    None => kv2::set(client, mount, key, fields).await?,
                })
            })
            .await;
        match written {
            Ok(written) => Ok(written.version),
            Err(Refusal::Code {
                why: Why::Changed, ..
            }) => {
                let current = self.current(path).await?;
                Err(SecretError::Changed { current }.into())
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn delete_v1(&self, path: &SecretPath) -> Result<(), Refusal> {
        self.ask(|session| async move {
            let (mount, key) = (path.mount(), path.key());
            // It says yes to whatever is to be deleted.
            self.http.read_v1(&session.token, mount, key).await?;
            Ok(kv1::delete(&session.client, mount, key).await?)
        })
        .await
    }

    async fn delete_v2(&self, path: &SecretPath, what: Deletion) -> Result<(), Refusal> {
        // It says yes to whatever is to be deleted.
        let metadata = self.metadata(path).await?;
        let version = match what {
            Deletion::Everything => None,
            Deletion::Latest => Some(metadata.current_version),
            Deletion::Version(version) => Some(version),
        };
        if let Some(version) = version {
            let found = metadata.versions.get(&version.to_string());
            if found.is_none_or(|found| deleted_at(found, &metadata.updated_time).is_some()) {
                return Err(SecretError::NotFound.into());
            }
        }
        self.ask(|session| async move {
            let (client, mount, key) = (&session.client, path.mount(), path.key());
            match version {
                // By its number: the latest may be another one by now.
                Some(version) => kv2::delete_versions(client, mount, key, vec![version]).await?,
                None => kv2::delete_metadata(client, mount, key).await?,
            }
            Ok(())
        })
        .await
    }

    async fn mount_status(&self, name: &str) -> MountStatus {
        self.known().remove(name);
        let asked = self.kv(name).await;
        MountStatus {
            name: name.to_owned(),
            version: asked.as_ref().ok().copied(),
            trouble: asked.err().map(|error| error.to_string()),
        }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp(at.timestamp_millis()))
}

/// When a version was deleted. It may also be known in advance; and what was destroyed was not always deleted first.
fn deleted_at(version: &SecretMetadata, updated: &str) -> Option<Timestamp> {
    let now = Timestamp(chrono::Utc::now().timestamp_millis());
    let deleted = moment(&version.deletion_time).filter(|at| *at <= now);
    match (deleted, version.destroyed) {
        (Some(at), _) => Some(at),
        (None, true) => moment(updated).or(Some(now)),
        (None, false) => None,
    }
}

#[async_trait]
impl SecretStore for Vault {
    async fn status(&self) -> StoreStatus {
        let mut status = StoreStatus {
            store: "vault",
            auth_method: self.settings.auth.name(),
            ..StoreStatus::default()
        };
        match self.http.health().await {
            Ok(health) => {
                status.reachable = true;
                status.initialized = Some(health.initialized);
                status.sealed = Some(health.sealed);
                status.version = health.version;
                if !health.initialized {
                    status.trouble = Some("the store of secrets was never set up".into());
                } else if health.sealed {
                    status.trouble = Some(SecretError::Sealed.to_string());
                }
            }
            Err(refusal) => {
                let error = refusal.into_error("asking how it is doing");
                status.reachable = !matches!(error, SecretError::Away(_));
                status.trouble = Some(error.to_string());
            }
        }
        if status.trouble.is_none() {
            match self.sessions.get().await {
                Ok(_) => {
                    let mounts = self.settings.mounts.iter();
                    status.mounts = join_all(mounts.map(|name| self.mount_status(name))).await;
                    status.token_ttl_secs = self.sessions.left().await.map(|left| left.as_secs());
                }
                Err(refusal) => {
                    status.trouble = Some(refusal.into_error("logging in").to_string());
                }
            }
        }
        status
    }

    async fn read(&self, path: &SecretPath, version: Option<u64>) -> Result<Secret, SecretError> {
        let (mount, key) = (path.mount(), path.key());
        let kv = self.kv(mount).await?;
        let asked = match (kv, version) {
            (1, Some(_)) => return Err(ONLY_V2),
            // It takes that for the latest.
            (_, Some(0)) => return Err(SecretError::NotFound),
            (1, None) => self
                .ask(|session| async move { self.http.read_v1(&session.token, mount, key).await })
                .await
                .map(|fields| Secret {
                    data: SecretData::new(&fields),
                    version: 0,
                    created_at: None,
                }),
            _ => self
                .ask(|session| async move {
                    self.http.read_v2(&session.token, mount, key, version).await
                })
                .await
                .map(|found| Secret {
                    data: SecretData::new(&found.data),
                    version: found.metadata.version,
                    created_at: moment(&found.metadata.created_time),
                }),
        };
        self.told(mount, "reading", asked)
    }

    async fn write(
        &self,
        path: &SecretPath,
        data: &SecretData,
        expected: Option<u64>,
    ) -> Result<u64, SecretError> {
        let fields = data.fields();
        let written = match (self.kv(path.mount()).await?, expected) {
            (1, Some(_)) => return Err(ONLY_V2),
            (1, None) => self.write_v1(path, &fields).await,
            _ => self.write_v2(path, &fields, expected).await,
        };
        self.told(path.mount(), "writing", written)
    }

    async fn delete(&self, path: &SecretPath, what: Deletion) -> Result<(), SecretError> {
        let deleted = match (self.kv(path.mount()).await?, what) {
            (1, Deletion::Version(_)) => return Err(ONLY_V2),
            (1, _) => self.delete_v1(path).await,
            _ => self.delete_v2(path, what).await,
        };
        self.told(path.mount(), "deleting", deleted)
    }

    async fn list(&self, folder: &Folder) -> Result<Vec<String>, SecretError> {
        let (mount, prefix) = (folder.mount(), folder.prefix());
        let kv = self.kv(mount).await?;
        let listed = self
            .ask(|session| async move {
                Ok(match kv {
                    1 => kv1::list(&session.client, mount, prefix).await?.data.keys,
                    _ => kv2::list(&session.client, mount, prefix).await?,
                })
            })
            .await;
        let mut names = self.told(mount, "listing", listed)?;
        names.sort();
        if names.is_empty() {
            return Err(SecretError::NotFound);
        }
        Ok(names)
    }

    async fn versions(&self, path: &SecretPath) -> Result<Vec<VersionInfo>, SecretError> {
        if self.kv(path.mount()).await? == 1 {
            return Err(ONLY_V2);
        }
        let asked = self.metadata(path).await;
        let metadata = self.told(path.mount(), "asking for versions", asked)?;
        let known = metadata.versions.iter().map(|(number, version)| {
            Some(VersionInfo {
                version: number.parse().ok()?,
                created_at: moment(&version.created_time)?,
                deleted_at: deleted_at(version, &metadata.updated_time),
            })
        });
        let known: Option<Vec<_>> = known.collect();
        let mut known = known.ok_or_else(|| {
            SecretError::Broken("the store's answer has another form than known".into())
        })?;
        known.sort_by_key(|version| version.version);
        Ok(known)
    }

    async fn rotate(&self) -> Result<Rotated, SecretError> {
        Err(SecretError::Unsupported("its key is its own affair"))
    }
}
