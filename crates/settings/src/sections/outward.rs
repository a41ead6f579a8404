//! Where notifications are sent to, and where secrets are kept.

use super::words;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;

/// Where notifications may be sent to beside the inbox.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Ports that a channel's URL may have.
    #[serde(deserialize_with = "words")]
    pub ports: Vec<String>,
    /// Networks (CIDR) outside the open internet that may be connected to.
    #[serde(deserialize_with = "words")]
    pub networks: Vec<String>,
    /// Whether `http` is allowed beside `https`.
    pub http: bool,
    /// PEM file of CAs that are believed beside those of this machine. Empty: none.
    pub ca_file: PathBuf,
}

/// Which store of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretStoreKind {
    /// The shared database, sealed.
    Embedded,
    /// HashiCorp Vault or OpenBao.
    Vault,
}

/// How this service is known to Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaultLogin {
    /// `role_id` and `secret_id`.
    Approle,
    /// A token in `token_file`, which somebody else keeps good.
    TokenFile,
    /// The role `role_id`, and the service account's token in `token_file`.
    Kubernetes,
    /// `username` and `password`.
    Userpass,
}

/// Vault, where secrets are kept there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Scheme, host and port.
    pub url: String,
    /// The namespace. Empty: none.
    pub namespace: String,
    /// PEM file of the CAs that may vouch for it. Empty: those of this machine.
    pub ca_file: PathBuf,
    /// How this service is known there.
    pub auth: VaultLogin,
    /// Where that method is mounted. Empty: under its own name.
    pub auth_mount: String,
    /// The role's id, or a role of Kubernetes.
    pub role_id: String,
    /// What proves the role.
    pub secret_id: SecretString,
    /// The file with a token.
    pub token_file: PathBuf,
    /// Who logs in.
    pub username: String,
    /// What proves that.
    pub password: SecretString,
    /// Longest time an answer may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Where secrets are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSettings {
    /// The store.
    pub store: SecretStoreKind,
    /// The mounts that may be asked for.
    #[serde(deserialize_with = "words")]
    pub mounts: Vec<String>,
    /// Hex master key of the embedded store, 32 bytes, the same for every process. Empty: the systemd credential
    /// `tpm-secrets-key`, or a file in `data_dir`, made on the first start.
    pub master_key: SecretString,
}
