//! From settings to the direct engine.

use crate::keys::mark_key;
use crate::policy::templates;
use anyhow::Context;
use secrecy::ExposeSecret;
use std::fs;
use std::time::Duration;
use tpm_provisioner::MarkSigner;
use tpm_provisioner_proxmox::{BackupWidths, EngineRole, EngineSettings, ProxmoxProvisioner};
use tpm_pve_client::{Client, ClientConfig, Credentials, TlsTrust};
use tpm_settings::{CloneMode, Settings};

/// The client of the configured cluster; `None` when no endpoint is configured.
pub(crate) fn client(settings: &Settings) -> anyhow::Result<Option<Client>> {
    let proxmox = &settings.proxmox;
    if proxmox.endpoints.is_empty() {
        return Ok(None);
    }
    let endpoints = proxmox
        .endpoints
        .iter()
        .map(|url| {
            url.parse()
                .with_context(|| format!("proxmox.endpoints: {url}"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let credentials = if proxmox.token_id.is_empty() {
        Credentials::Password {
            username: proxmox.username.clone(),
            password: proxmox.password.clone(),
        }
    } else {
        Credentials::Token {
            id: proxmox.token_id.clone(),
            secret: proxmox.token_secret.clone(),
        }
    };
    let trust = if proxmox.fingerprint.is_empty() {
        let pem = fs::read(&proxmox.ca_file);
        TlsTrust::Ca(pem.with_context(|| format!("proxmox.ca_file: {}", proxmox.ca_file))?)
    } else {
        let pin = proxmox.fingerprint.parse().context("proxmox.fingerprint")?;
        TlsTrust::Fingerprints(vec![pin])
    };
    let config = ClientConfig::new(endpoints, credentials, trust);
    Ok(Some(Client::new(config).context("the Proxmox VE client")?))
}

/// The engine on that cluster.
pub(crate) fn direct(
    settings: &Settings,
    client: Client,
    instance: &str,
) -> anyhow::Result<ProxmoxProvisioner> {
    let signer = MarkSigner::new(instance, &mark_key(settings)?)?;
    let proxmox = &settings.proxmox;
    let roles = settings.roles.iter().map(|(name, role)| {
        let engine_role = EngineRole {
            templates: templates(role).iter().map(|vmid| vmid.0).collect(),
            user: role.user.clone(),
            ssh_keys: role.ssh_keys.clone(),
            tags: role.tags.clone(),
        };
        (name.clone(), engine_role)
    });
    let dns = settings
        .network
        .dns
        .iter()
        .map(|ip| ip.parse().context("network.dns"));
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let engine_settings = EngineSettings {
        roles: roles.collect(),
        full_clone: proxmox.clone_mode == CloneMode::Full,
        storage: some(&proxmox.storage),
        max_clones: proxmox.max_clones,
        max_clones_per_node: proxmox.max_clones_per_node,
        node_patience: Duration::from_secs(proxmox.node_patience_secs),
        shutdown_timeout: Duration::from_secs(proxmox.shutdown_timeout_secs),
        agent_timeout: Duration::from_secs(proxmox.agent_timeout_secs),
        step_timeout: Duration::from_secs(proxmox.step_timeout_secs),
        backup: BackupWidths {
            per_node: settings.backups.max_per_node,
            per_storage: settings.backups.max_per_storage,
            timeout: Duration::from_secs(settings.backups.timeout_minutes * 60),
        },
        dns: dns.collect::<anyhow::Result<_>>()?,
        search_domain: some(&settings.network.search_domain),
    };
    Ok(ProxmoxProvisioner::new(client, signer, engine_settings))
}

/// The database's URL: the configured one, or a SQLite file in the data directory. One on another machine has to be known
/// by its certificate.
pub(crate) fn database_url(settings: &Settings) -> anyhow::Result<String> {
    let url = settings.database.url.expose_secret();
    if url.is_empty() {
        let file = settings.data_dir.join("manager.db");
        return Ok(format!("sqlite://{}", file.display()));
    }
    let safe = tpm_store_seaorm::is_verified(url).context("database.url")?;
    anyhow::ensure!(
        safe || settings.may_be_unencrypted("database"),
        "database.url: a database on another machine needs sslmode=verify-full or verify-ca, unless \
         security.unencrypted names database"
    );
    Ok(url.to_owned())
}
