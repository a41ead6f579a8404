//! From settings to the store of secrets.

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tpm_app::Secrets;
use tpm_secrets::SecretStore;
use tpm_secrets_embedded::{EmbeddedSecrets, MasterSource};
use tpm_settings::{SecretStoreKind, Settings};
use tpm_store::Store;

/// The name of the file of the master key in the data directory.
pub(crate) const FILE: &str = "secrets.key";
/// The name of the credential that systemd may give.
const CREDENTIAL: &str = "tpm-secrets-key";

/// The credential that systemd gives, when it does.
fn credential() -> anyhow::Result<Option<SecretString>> {
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let path = Path::new(&folder).join(CREDENTIAL);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned().into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Where the master key comes from: the setting, else systemd's credential, else the file.
pub(crate) fn source(settings: &Settings) -> anyhow::Result<MasterSource> {
    let given = &settings.secrets.master_key;
    if !given.expose_secret().is_empty() {
        return Ok(MasterSource::Given(given.clone()));
    }
    Ok(match credential()? {
        Some(key) => MasterSource::Given(key),
        None => MasterSource::File(file(settings)),
    })
}

fn file(settings: &Settings) -> PathBuf {
    settings.data_dir.join(FILE)
}

/// The embedded store.
pub(crate) async fn embedded(
    settings: &Settings,
    store: Arc<dyn Store>,
) -> anyhow::Result<EmbeddedSecrets> {
    let mounts = settings.secrets.mounts.iter().cloned().collect();
    let opened = EmbeddedSecrets::open(store, source(settings)?, mounts).await;
    opened.context("secrets")
}

/// The store, and what may be asked for.
pub(crate) async fn open(settings: &Settings, store: Arc<dyn Store>) -> anyhow::Result<Secrets> {
    let opened: Arc<dyn SecretStore> = match settings.secrets.store {
        SecretStoreKind::Embedded => Arc::new(embedded(settings, store).await?),
        SecretStoreKind::Vault => {
            let mounts = settings.secrets.mounts.iter().cloned().collect();
            let vault = Arc::new(crate::vault::open(&settings.vault, mounts)?);
            let held = Arc::clone(&vault);
            // Its token is kept good for as long as the process lives.
            tokio::spawn(async move { held.keep().await });
            vault
        }
    };
    Ok(Secrets {
        store: Some(opened),
        mounts: settings.secrets.mounts.iter().cloned().collect(),
    })
}
