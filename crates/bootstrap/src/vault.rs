//! From settings to Vault as the store of secrets.

use anyhow::Context;
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::time::Duration;
use tpm_secrets::{Vault, VaultAuth, VaultSettings};
use tpm_settings::{Vault as Section, VaultLogin};

/// Vault, which nobody was asked so far.
pub(crate) fn open(section: &Section, mounts: BTreeSet<String>) -> anyhow::Result<Vault> {
    let ca = &section.ca_file;
    let ca = (!ca.as_os_str().is_empty())
        .then(|| std::fs::read(ca).with_context(|| format!("vault.ca_file: {}", ca.display())));
    let mount = |usual: &str| match section.auth_mount.as_str() {
        "" => usual.to_owned(),
        other => other.to_owned(),
    };
    let auth = match section.auth {
        VaultLogin::Approle => VaultAuth::AppRole {
            mount: mount("approle"),
            role_id: section.role_id.clone(),
            secret_id: section.secret_id.clone(),
        },
        VaultLogin::TokenFile => VaultAuth::TokenFile(section.token_file.clone()),
        VaultLogin::Kubernetes => VaultAuth::Kubernetes {
            mount: mount("kubernetes"),
            role: section.role_id.clone(),
            jwt: section.token_file.clone(),
        },
        VaultLogin::Userpass => VaultAuth::Userpass {
            mount: mount("userpass"),
            username: section.username.clone(),
            password: section.password.expose_secret().to_owned().into(),
        },
    };
    let vault = Vault::new(VaultSettings {
        url: section.url.parse().context("vault.url")?,
        namespace: (!section.namespace.is_empty()).then(|| section.namespace.clone()),
        ca: ca.transpose()?,
        mounts,
        timeout: Duration::from_millis(section.timeout_ms),
        auth,
    });
    vault.context("vault")
}
