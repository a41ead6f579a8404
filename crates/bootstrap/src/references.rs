//! Settings that name a secret get its value, once, before anything is built from them.
//!
//! What guards the store itself is never a reference: the database, the master key, and the keys that are checked when
//! settings are read.

use anyhow::Context as _;
use tpm_app::Secrets;
use tpm_secrets::fill;
use tpm_settings::Settings;

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
    ];
    let filled = fill(&mut named, store.as_ref(), &secrets.mounts).await;
    let count = filled.context("a setting that names a secret")?;
    if count > 0 {
        tracing::info!(count, "settings were filled in from the store of secrets");
    }
    Ok(())
}
