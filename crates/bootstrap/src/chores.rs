//! What the worker binary does once instead of working: secrets from store to store, another master key, its own backup.
//! It prints paths and counts, never a value.

use crate::{engine, own_backup, references, secrets, vault};
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use tpm_secrets::{SecretStore, transfer};
use tpm_secrets_embedded::MasterSource;
use tpm_settings::Settings;
use tpm_store::Store;
use tpm_store_seaorm::SeaStore;

/// Something that is done once.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Chore {
    /// Secrets.
    #[command(subcommand)]
    Secrets(SecretsChore),
    /// Writes the database and the keys to a file, while the service runs; whoever has the file has everything
    Backup {
        /// The file, which must not be there.
        file: PathBuf,
        /// Leave the keys out: they are kept elsewhere.
        #[arg(long)]
        without_keys: bool,
    },
    /// Makes the database and the keys of such a file, where there are none; nothing is changed by people or on the
    /// cluster until an admin has accepted the copy
    Restore {
        /// The file.
        file: PathBuf,
    },
}

/// What is done with secrets.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SecretsChore {
    /// Copies the latest version of every secret into the other store, and reads it back; overwrites and deletes nothing
    Move {
        /// Where to.
        #[arg(long)]
        to: StoreName,
    },
    /// Replaces the master key of the embedded store, and seals everything anew
    Rotate {
        /// File with the new key, 64 hex digits, where the key is given from outside; the processes are started with it
        /// afterwards.
        #[arg(long)]
        new_key_file: Option<PathBuf>,
    },
}

/// A store of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreName {
    /// The shared database.
    Embedded,
    /// As `[vault]` says.
    Vault,
}

/// A line for whoever asked.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Does it.
///
/// # Errors
/// When it cannot be done; with what was done until then.
pub(crate) async fn run(settings: &Settings, chore: Chore) -> anyhow::Result<()> {
    let mut settings = settings.clone();
    references::resolve_database(&mut settings).await?;
    let settings = &settings;
    // Where there is no database so far none is to be made by looking.
    if let Chore::Restore { file } = &chore {
        return own_backup::restore(settings, file).await;
    }
    let store = SeaStore::open(&engine::database_url(settings)?).await;
    let store = store.context("database")?;
    if let Chore::Backup { file, without_keys } = &chore {
        return own_backup::write(settings, &store, file, !without_keys).await;
    }
    let store: Arc<dyn Store> = Arc::new(store);
    match chore {
        Chore::Secrets(SecretsChore::Move { to }) => carry(settings, store, to).await,
        Chore::Secrets(SecretsChore::Rotate { new_key_file }) => {
            rotate(settings, store, new_key_file).await
        }
        // Done above.
        Chore::Backup { .. } | Chore::Restore { .. } => Ok(()),
    }
}

async fn carry(settings: &Settings, store: Arc<dyn Store>, to: StoreName) -> anyhow::Result<()> {
    let mounts = settings.secrets.mounts.iter().cloned().collect();
    let embedded = secrets::embedded(settings, store).await?;
    let vault = vault::open(&settings.vault, mounts)?;
    let (from, to): (&dyn SecretStore, &dyn SecretStore) = match to {
        StoreName::Embedded => (&vault, &embedded),
        StoreName::Vault => (&embedded, &vault),
    };
    let mounts = settings.secrets.mounts.iter().cloned().collect();
    let carried = transfer(from, to, &mounts).await?;
    for (said, paths) in [
        ("copied", &carried.written),
        ("there already", &carried.same),
        ("left alone, another one is there", &carried.different),
        ("left alone, its name is no path here", &carried.unreadable),
    ] {
        for path in paths {
            say(&format!("{path}: {said}"))?;
        }
    }
    say(&format!("{} copied", carried.written.len()))?;
    let left = carried.different.len() + carried.unreadable.len();
    if left > 0 {
        bail!("{left} secrets were left alone");
    }
    Ok(())
}

async fn rotate(
    settings: &Settings,
    store: Arc<dyn Store>,
    new_key_file: Option<PathBuf>,
) -> anyhow::Result<()> {
    let embedded = secrets::embedded(settings, store).await?;
    let done = match new_key_file {
        None => embedded.rotate().await?,
        Some(_) if matches!(secrets::source(settings)?, MasterSource::File(_)) => {
            bail!("the master key is in a file of ours: it is replaced without --new-key-file")
        }
        Some(file) => {
            let key = std::fs::read_to_string(&file);
            let key = key.with_context(|| format!("cannot read {}", file.display()))?;
            embedded.rotate_to(&key.trim().to_owned().into()).await?
        }
    };
    let (key, resealed) = (done.key, done.resealed);
    say(&format!(
        "master key {key}: {resealed} versions sealed anew"
    ))
}
