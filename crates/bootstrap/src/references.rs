//! Settings that name a secret get its value, once, before anything is built from them.
//!
//! What guards the store itself is never a reference: its master key, or what one logs in to it with; nor the database, where
//! that is the store.

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use tpm_app::Secrets;
use tpm_secrets::fill;
use tpm_settings::{SecretStoreKind, Settings};

/// Fills in the database's URL, which is needed before anything else, from a store that is not in it.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn resolve_database(settings: &mut Settings) -> anyhow::Result<()> {
    let url = settings.database.url.expose_secret();
    if settings.secrets.store != SecretStoreKind::Vault || !url.starts_with("vault:") {
        return Ok(());
    }
    let mounts: BTreeSet<String> = settings.secrets.mounts.iter().cloned().collect();
    let vault = crate::vault::open(&settings.vault, mounts.clone())?;
    let mut named = [("database.url", &mut settings.database.url)];
    let filled = fill(&mut named, &vault, &mounts).await;
    filled.context("a setting that names a secret")?;
    Ok(())
}

/// Fills in every setting that is `vault:mount/key#field`.
///
/// # Errors
/// With the name of the setting, when a reference is none, or what it names cannot be read.
pub(crate) async fn resolve(settings: &mut Settings, secrets: &Secrets) -> anyhow::Result<()> {
    let Some(store) = &secrets.store else {
        return Ok(());
    };
    let mut named = [
        ("proxmox.token_secret", &mut settings.proxmox.token_secret),
        ("proxmox.password", &mut settings.proxmox.password),
        (
            "monitoring.prometheus_token",
            &mut settings.monitoring.prometheus_token,
        ),
        (
            "monitoring.grafana_token",
            &mut settings.monitoring.grafana_token,
        ),
        ("worker.metrics_token", &mut settings.worker.metrics_token),
        ("auth.admin_password", &mut settings.auth.admin_password),
        ("security.mark_key", &mut settings.security.mark_key),
        ("security.state_key", &mut settings.security.state_key),
    ];
    let filled = fill(&mut named, store.as_ref(), &secrets.mounts).await;
    let count = filled.context("a setting that names a secret")?;
    if count > 0 {
        tracing::info!(count, "settings were filled in from the store of secrets");
    }
    // What was filled in is held to the same rules.
    let wrong = settings.problems().into_iter();
    let wrong: Vec<String> = wrong.map(|one| one.to_string()).collect();
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
