//! Secrets in the shared database, for those who have no Vault.
//!
//! Each version is sealed with a key that stands in the database, sealed with a master key that does not. Whoever has
//! the one without the other has nothing. Every process that shares the database needs the master key; one that has
//! another key refuses to start and touches nothing.

mod master;

use async_trait::async_trait;
use master::Master;
pub use master::MasterSource;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use tpm_secrets::{
    Deletion, Folder, KEY_BYTES, MountStatus, Rotated, Seal, Secret, SecretData, SecretError,
    SecretPath, SecretStore, StoreStatus, VersionInfo,
};
use tpm_store::{SecretKey, SecretName, SecretVersion, Store, StoreError, UnitOfWork};
use zeroize::Zeroizing;

/// Versions that are kept of a secret.
pub const KEPT: u64 = 10;
/// A version is read again so often when its key was replaced meanwhile.
const READS: usize = 5;

/// Why the store does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be read or written.
    #[error("the file of the master key, {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// Others may read it.
    #[error("the file of the master key, {}, can be read by others: chmod 600", .0.display())]
    Readable(PathBuf),
    /// It is not 32 bytes in hex.
    #[error("the master key is not 32 bytes in hex")]
    NotAKey,
    /// There are secrets, and they are sealed with another one.
    #[error(
        "the secrets in the database are sealed with the master key {needed}, which is not among those given ({given}); \
         nothing was changed"
    )]
    OtherKey {
        /// The name of the one that is needed.
        needed: String,
        /// The names of those that are there.
        given: String,
    },
    /// A key in the database cannot be opened with its master key: it was altered.
    #[error("the key of the secrets in the database was altered; nothing was changed")]
    Altered,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for SecretError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => of_store(&error),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// What the database said, without what it was asked.
fn of_store(error: &StoreError) -> SecretError {
    match error {
        StoreError::Unavailable(_) | StoreError::Crossed(_) | StoreError::Full(_) => {
            SecretError::Away("the database".into())
        }
        other => {
            tracing::error!(error = other as &dyn std::error::Error, "stored secrets");
            SecretError::Broken("the database refused".into())
        }
    }
}

type Seals = BTreeMap<String, Arc<Seal>>;

/// The embedded store.
pub struct EmbeddedSecrets {
    store: Arc<dyn Store>,
    source: MasterSource,
    mounts: BTreeSet<String>,
    seals: RwLock<Seals>,
}

impl fmt::Debug for EmbeddedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedSecrets")
            .field("mounts", &self.mounts)
            .finish_non_exhaustive()
    }
}

/// What binds a version to its place.
fn label(name: SecretName<'_>, version: u64) -> String {
    format!("secret/{}/{}/{version}", name.mount, name.key)
}

fn name(path: &SecretPath) -> SecretName<'_> {
    SecretName {
        mount: path.mount(),
        key: path.key(),
    }
}

fn opened(key: &SecretKey, masters: &[Master]) -> Result<Seal, OpenError> {
    let master = masters.iter().find(|master| master.id == key.master);
    let Some(master) = master else {
        let given: Vec<&str> = masters.iter().map(|master| master.id.as_str()).collect();
        return Err(OpenError::OtherKey {
            needed: key.master.clone(),
            given: if given.is_empty() {
                "none".into()
            } else {
                given.join(", ")
            },
        });
    };
    let seal = Seal::new(master.key.expose_secret()).map_err(|_| OpenError::NotAKey)?;
    let plain = seal.open(&format!("key/{}", key.id), &key.sealed);
    let plain = plain.map(Zeroizing::new).map_err(|_| OpenError::Altered)?;
    Seal::new(&plain).map_err(|_| OpenError::Altered)
}

/// A new key, sealed with a master key.
fn new_key(master: &Master) -> Result<(SecretKey, Seal), OpenError> {
    let plain = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
    let id = hex::encode(rand::random::<[u8; 8]>());
    let seal = Seal::new(master.key.expose_secret()).map_err(|_| OpenError::NotAKey)?;
    let sealed = seal.seal(&format!("key/{id}"), &*plain);
    let key = SecretKey {
        id,
        master: master.id.clone(),
        sealed: sealed.map_err(|_| OpenError::NotAKey)?,
    };
    let seal = Seal::new(&*plain).map_err(|_| OpenError::NotAKey)?;
    Ok((key, seal))
}

impl EmbeddedSecrets {
    /// Opens the store. The first one on a database makes the keys.
    ///
    /// # Errors
    /// When the master key is missing though there are secrets, is another one, or can be read by others; or the
    /// database does not answer. Nothing is changed then.
    pub async fn open(
        store: Arc<dyn Store>,
        source: MasterSource,
        mounts: BTreeSet<String>,
    ) -> Result<Self, OpenError> {
        let this = Self {
            store,
            source,
            mounts,
            seals: RwLock::default(),
        };
        if this.load().await?.is_empty() {
            this.first_key().await?;
            this.load().await?;
        }
        Ok(this)
    }

    async fn first_key(&self) -> Result<(), OpenError> {
        let mut masters = self.source.read()?;
        if masters.is_empty() {
            masters = self.source.make()?;
        }
        let master = masters.last().ok_or(OpenError::NotAKey)?;
        let tx = self.store.begin().await?;
        tx.lock_secrets().await?;
        // Another process may have been here meanwhile.
        if tx.secret_keys().await?.is_empty() {
            let (key, _) = new_key(master)?;
            tx.replace_secret_key(&key).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Reads the keys anew.
    async fn load(&self) -> Result<Seals, OpenError> {
        let keys = self.store.reads().secret_keys().await?;
        let masters = if keys.is_empty() {
            Vec::new()
        } else {
            self.source.read()?
        };
        let mut seals = Seals::new();
        for key in &keys {
            seals.insert(key.id.clone(), Arc::new(opened(key, &masters)?));
        }
        let mut kept = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        kept.clone_from(&seals);
        Ok(seals)
    }

    fn seal_of(&self, key: &str) -> Option<Arc<Seal>> {
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        seals.get(key).cloned()
    }

    /// The key that is in use inside of a transaction that has locked it.
    async fn current(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
    ) -> Result<(String, Arc<Seal>), OpenError> {
        let keys = tx.secret_keys().await?;
        let key = keys.last().ok_or(OpenError::Altered)?;
        if let Some(seal) = self.seal_of(&key.id) {
            return Ok((key.id.clone(), seal));
        }
        let seal = Arc::new(opened(key, &self.source.read()?)?);
        let mut kept = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key.id.clone(), Arc::clone(&seal));
        Ok((key.id.clone(), seal))
    }

    /// Replaces the master key by a new one, of the file or given, and seals everything anew.
    async fn replace_master(&self, new: &Master, keep_file: bool) -> Result<Rotated, OpenError> {
        let tx = self.store.begin().await?;
        tx.lock_secrets().await?;
        let masters = self.source.read()?;
        let keys = tx.secret_keys().await?;
        let mut old = Seals::new();
        for key in &keys {
            old.insert(key.id.clone(), Arc::new(opened(key, &masters)?));
        }
        if keep_file {
            // Killed from here on, the file has both: the one that the database needs is among them.
            let both: Vec<Master> = masters.iter().cloned().chain([new.clone()]).collect();
            self.source.write(&both)?;
        }
        let (key, seal) = new_key(new)?;
        let mut resealed = 0;
        for row in tx.all_secrets().await? {
            let name = SecretName {
                mount: &row.mount,
                key: &row.key,
            };
            let label = label(name, row.version.version);
            let sealed = row.version.sealed.as_deref().unwrap_or_default();
            let before = old.get(&row.version.key).ok_or(OpenError::Altered)?;
            let plain = before.open(&label, sealed).map(Zeroizing::new);
            let plain = plain.map_err(|_| OpenError::Altered)?;
            let sealed = seal.seal(&label, &plain).map_err(|_| OpenError::Altered)?;
            tx.reseal_secret(name, row.version.version, &key.id, &sealed)
                .await?;
            resealed += 1;
        }
        tx.replace_secret_key(&key).await?;
        tx.commit().await?;
        let mut kept = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Seals::from([(key.id, Arc::new(seal))]);
        drop(kept);
        Ok(Rotated {
            key: new.id.clone(),
            resealed,
        })
    }

    /// Takes master keys out of the file that nothing is sealed with any more.
    async fn tidy(&self) -> Result<(), OpenError> {
        let tx = self.store.begin().await?;
        tx.lock_secrets().await?;
        let keys = tx.secret_keys().await?;
        let mut masters = self.source.read()?;
        let all = masters.len();
        masters.retain(|master| keys.iter().any(|key| key.master == master.id));
        if !masters.is_empty() && masters.len() < all {
            self.source.write(&masters)?;
        }
        Ok(())
    }

    /// Seals everything anew under a master key that is given, for those who give it: the processes are started with
    /// it afterwards.
    ///
    /// # Errors
    /// As for opening.
    pub async fn rotate_to(&self, key: &SecretString) -> Result<Rotated, OpenError> {
        let new = MasterSource::Given(key.clone()).read()?;
        let new = new.first().ok_or(OpenError::NotAKey)?;
        self.replace_master(new, false).await
    }

    async fn row(
        &self,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<SecretVersion, SecretError> {
        let found = self.store.reads().secret(name(path), version).await;
        let found = found.map_err(|error| of_store(&error))?;
        found
            .filter(|row| row.deleted_at.is_none())
            .ok_or(SecretError::NotFound)
    }
}

fn info(row: &SecretVersion) -> VersionInfo {
    VersionInfo {
        version: row.version,
        created_at: row.created_at,
        deleted_at: row.deleted_at,
    }
}

#[async_trait]
impl SecretStore for EmbeddedSecrets {
    async fn status(&self) -> StoreStatus {
        let mut status = StoreStatus {
            store: "embedded",
            auth_method: "master_key",
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..StoreStatus::default()
        };
        match self.load().await {
            Ok(seals) => {
                status.reachable = true;
                status.initialized = Some(!seals.is_empty());
                status.sealed = Some(false);
            }
            Err(OpenError::Store(_)) => status.trouble = Some("the database is away".into()),
            Err(error) => {
                status.reachable = true;
                status.initialized = Some(true);
                status.sealed = Some(true);
                status.trouble = Some(error.to_string());
            }
        }
        let mount = |name: &String| MountStatus {
            name: name.clone(),
            version: Some(2),
            trouble: None,
        };
        status.mounts = self.mounts.iter().map(mount).collect();
        status
    }

    async fn read(&self, path: &SecretPath, version: Option<u64>) -> Result<Secret, SecretError> {
        for _ in 0..READS {
            let row = self.row(path, version).await?;
            let seal = match self.seal_of(&row.key) {
                Some(seal) => seal,
                // Another process replaced it. Between the two reads it may have been replaced again.
                None => match self.load().await?.get(&row.key) {
                    Some(seal) => Arc::clone(seal),
                    None => continue,
                },
            };
            let sealed = row.sealed.as_deref().unwrap_or_default();
            let plain = seal.open(&label(name(path), row.version), sealed);
            let plain = plain.map(Zeroizing::new);
            let plain = plain.map_err(|_| SecretError::Broken("it was altered".into()))?;
            let text = std::str::from_utf8(&plain);
            let text = text.map_err(|_| SecretError::Broken("it is no text".into()))?;
            return Ok(Secret {
                data: SecretData::parse(text.to_owned().into())?,
                version: row.version,
                created_at: Some(row.created_at),
            });
        }
        Err(SecretError::Away("keys are being replaced".into()))
    }

    async fn write(
        &self,
        path: &SecretPath,
        data: &SecretData,
        expected: Option<u64>,
    ) -> Result<u64, SecretError> {
        let tx = self.store.begin().await.map_err(|error| of_store(&error))?;
        tx.lock_secrets().await.map_err(|error| of_store(&error))?;
        let latest = tx.secret(name(path), None).await;
        let latest = latest.map_err(|error| of_store(&error))?;
        let current = latest.map_or(0, |row| row.version);
        if expected.is_some_and(|expected| expected != current) {
            return Err(SecretError::Changed { current });
        }
        let (key, seal) = self.current(&*tx).await?;
        let version = current + 1;
        let text = data.text().expose_secret().as_bytes();
        let sealed = seal.seal(&label(name(path), version), text);
        let row = SecretVersion {
            version,
            key,
            sealed: Some(sealed.map_err(|_| SecretError::Broken("it is too long".into()))?),
            created_at: tx.now(),
            deleted_at: None,
        };
        let written = async {
            tx.insert_secret(name(path), &row).await?;
            tx.trim_secret(name(path), KEPT).await?;
            tx.commit().await
        };
        written.await.map_err(|error| of_store(&error))?;
        Ok(version)
    }

    async fn delete(&self, path: &SecretPath, what: Deletion) -> Result<(), SecretError> {
        let deleted = async {
            let tx = self.store.begin().await?;
            tx.lock_secrets().await?;
            let done = match what {
                Deletion::Everything => tx.delete_secret(name(path)).await?,
                Deletion::Version(version) => tx.wipe_secret(name(path), version).await?,
                Deletion::Latest => match tx.secret(name(path), None).await? {
                    Some(row) => tx.wipe_secret(name(path), row.version).await?,
                    None => false,
                },
            };
            tx.commit().await?;
            Ok::<_, StoreError>(done)
        };
        match deleted.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SecretError::NotFound),
            Err(error) => Err(of_store(&error)),
        }
    }

    async fn list(&self, folder: &Folder) -> Result<Vec<String>, SecretError> {
        let names = self.store.reads();
        let names = names.secret_names(folder.mount(), folder.prefix()).await;
        let names = names.map_err(|error| of_store(&error))?;
        let shown = names.iter().filter_map(|name| folder.name_of(name));
        let shown: BTreeSet<&str> = shown.collect();
        if shown.is_empty() {
            return Err(SecretError::NotFound);
        }
        Ok(shown.into_iter().map(str::to_owned).collect())
    }

    async fn versions(&self, path: &SecretPath) -> Result<Vec<VersionInfo>, SecretError> {
        let rows = self.store.reads().secret_versions(name(path)).await;
        let rows = rows.map_err(|error| of_store(&error))?;
        if rows.is_empty() {
            return Err(SecretError::NotFound);
        }
        Ok(rows.iter().map(info).collect())
    }

    async fn rotate(&self) -> Result<Rotated, SecretError> {
        if matches!(self.source, MasterSource::Given(_)) {
            return Err(SecretError::Unsupported(
                "the master key is given from outside",
            ));
        }
        let done = self.replace_master(&Master::random(), true).await?;
        self.tidy().await?;
        tracing::info!(
            key = done.key,
            resealed = done.resealed,
            "the master key was replaced"
        );
        Ok(done)
    }
}
