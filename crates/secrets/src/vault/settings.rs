//! Where the store is, and how this service is known there.

use reqwest::header::HeaderValue;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// How this service proves who it is.
#[derive(Clone)]
pub enum VaultAuth {
    /// A role's id and its secret id.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// Which role.
        role_id: String,
        /// What proves it.
        secret_id: SecretString,
    },
    /// A file that somebody else, an agent say, keeps a token in. It is read anew when the token is refused.
    TokenFile(PathBuf),
    /// The service account of a pod.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// Which role.
        role: String,
        /// The file with the account's token; read at every login.
        jwt: PathBuf,
    },
    /// A name and a password.
    Userpass {
        /// Where the method is mounted, usually `userpass`.
        mount: String,
        /// Who.
        username: String,
        /// What proves it.
        password: SecretString,
    },
}

impl VaultAuth {
    /// What the method is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AppRole { .. } => "approle",
            Self::TokenFile(_) => "token_file",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Userpass { .. } => "userpass",
        }
    }
}

impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = format_args!("***");
        match self {
            Self::AppRole { mount, role_id, .. } => f
                .debug_struct("AppRole")
                .field("mount", mount)
                .field("role_id", role_id)
                .field("secret_id", &hidden)
                .finish(),
            Self::TokenFile(file) => f.debug_tuple("TokenFile").field(file).finish(),
            Self::Kubernetes { mount, role, jwt } => f
                .debug_struct("Kubernetes")
                .field("mount", mount)
                .field("role", role)
                .field("jwt", jwt)
                .finish(),
            Self::Userpass {
                mount, username, ..
            } => f
                .debug_struct("Userpass")
                .field("mount", mount)
                .field("username", username)
                .field("password", &hidden)
                .finish(),
        }
    }
}

/// Where the store is, and how this service is known there.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// Scheme, host and port.
    pub url: Url,
    /// The namespace, where there are such.
    pub namespace: Option<String>,
    /// PEM of the authorities that may vouch for the store, instead of those that everybody trusts.
    pub ca: Option<Vec<u8>>,
    /// The mounts that secrets are in.
    pub mounts: BTreeSet<String>,
    /// Longest time an answer may take.
    pub timeout: Duration,
    /// How this service is known there.
    pub auth: VaultAuth,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadVault {
    /// Not `http` or `https` with a host, or there is more to it.
    #[error("the address of Vault is a scheme, a host and a port, and nothing else")]
    Url,
    /// It cannot stand in a header.
    #[error("the namespace is none")]
    Namespace,
    /// A mount's or a user's name that would become another path.
    #[error("`{0}` is no name of a mount or a user")]
    Name(String),
    /// The authorities' certificates are none.
    #[error("the certificates of Vault's authorities cannot be read")]
    Ca,
    /// There is no TLS.
    #[error("there can be no connection to Vault: {0}")]
    Client(String),
}

/// Letters that stay what they are in a path, and no step.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-@".contains(&byte);
    !name.is_empty() && name.bytes().all(letter) && !name.bytes().all(|byte| byte == b'.')
}

impl VaultSettings {
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), BadVault> {
        let url = &self.url;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(BadVault::Url);
        }
        if let Some(namespace) = &self.namespace
            && HeaderValue::from_str(namespace).is_err()
        {
            return Err(BadVault::Namespace);
        }
        let mut names: Vec<&str> = self.mounts.iter().map(String::as_str).collect();
        match &self.auth {
            VaultAuth::AppRole { mount, .. } | VaultAuth::Kubernetes { mount, .. } => {
                names.extend(mount.split('/'));
            }
            VaultAuth::Userpass {
                mount, username, ..
            } => {
                names.extend(mount.split('/'));
                names.push(username);
            }
            VaultAuth::TokenFile(_) => {}
        }
        match names.into_iter().find(|name| !is_name(name)) {
            Some(name) => Err(BadVault::Name(name.to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> VaultSettings {
        VaultSettings {
            url: url.parse().unwrap(),
            namespace: None,
            ca: None,
            mounts: ["secret".to_owned()].into(),
            timeout: Duration::from_secs(5),
            auth: VaultAuth::Userpass {
                mount: "userpass".into(),
                username: "tpm".into(),
                password: "marked-pass".into(),
            },
        }
    }

    #[test]
    fn what_would_become_another_path_is_refused() {
        assert_eq!(settings("https://vault:8200").check(), Ok(()));
        for url in [
            "ftp://vault",
            "https://vault/v1",
            "https://me@vault",
            "https://vault/?a",
        ] {
            assert_eq!(settings(url).check(), Err(BadVault::Url), "{url}");
        }
        for mount in ["", "..", "a/b", "a b", "a%2e"] {
            let mut settings = settings("https://vault");
            settings.mounts = [mount.to_owned()].into();
            assert_eq!(settings.check(), Err(BadVault::Name(mount.into())));
        }
        let mut settings = settings("https://vault");
        settings.namespace = Some("a\nb".into());
        assert_eq!(settings.check(), Err(BadVault::Namespace));
    }

    #[test]
    fn what_proves_who_it_is_is_not_printed() {
        let printed = format!("{:?}", settings("https://vault"));
        assert!(
            printed.contains("***") && !printed.contains("marked"),
            "{printed}"
        );
        let role = VaultAuth::AppRole {
            mount: "approle".into(),
            role_id: "role".into(),
            secret_id: "marked-id".into(),
        };
        let printed = format!("{role:?}");
        assert!(
            printed.contains("***") && !printed.contains("marked"),
            "{printed}"
        );
    }
}
