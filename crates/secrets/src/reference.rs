//! A setting that names a secret instead of holding it: `vault:secret/proxmox#token`. It refuses everything that is
//! almost one, so that a slip of the pen is never taken for a password.

use crate::{BadPath, SecretError, SecretPath, SecretStore};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// How a reference begins.
pub const SCHEME: &str = "vault:";
/// Longest name of a field in bytes.
const MAX_FIELD: usize = 128;

/// Why a reference is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadReference {
    /// Not `vault:mount/key#field`.
    #[error("must be {SCHEME}mount/key#field")]
    Form,
    /// The path is no path.
    #[error(transparent)]
    Path(#[from] BadPath),
}

/// Why what a reference names is not there.
#[derive(Debug, Error)]
pub enum Unresolved {
    /// The store.
    #[error("cannot read {reference}")]
    Store {
        /// Which reference.
        reference: SecretRef,
        /// What the store said.
        source: SecretError,
    },
    /// The secret has no such field, or it is no text.
    #[error("{0} names no text")]
    Field(SecretRef),
}

impl Unresolved {
    /// Whether it may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Store { source, .. } if source.is_passing())
    }
}

/// A field of a secret, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    path: SecretPath,
    field: String,
}

impl SecretRef {
    /// Whether a text means to be a reference. What does not is a value as it stands.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// From `vault:mount/key#field`.
    ///
    /// # Errors
    /// What is wrong with it. The text is not repeated: it may be a password by mistake.
    pub fn parse(text: &str, mounts: &BTreeSet<String>) -> Result<Self, BadReference> {
        let rest = text.strip_prefix(SCHEME).ok_or(BadReference::Form)?;
        let (path, field) = rest.split_once('#').ok_or(BadReference::Form)?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if field.is_empty() || field.len() > MAX_FIELD || !field.bytes().all(letter) {
            return Err(BadReference::Form);
        }
        Ok(Self {
            path: SecretPath::parse(path, mounts)?,
            field: field.to_owned(),
        })
    }

    /// The secret.
    #[must_use]
    pub fn path(&self) -> &SecretPath {
        &self.path
    }

    /// The field of it.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What it names, as it stands in `store` now.
    ///
    /// # Errors
    /// The store's, or when the secret has no such text.
    pub async fn resolve(&self, store: &dyn SecretStore) -> Result<SecretString, Unresolved> {
        let read = store.read(&self.path, None).await;
        let secret = read.map_err(|source| Unresolved::Store {
            reference: self.clone(),
            source,
        })?;
        let value = secret.data.field(&self.field);
        value.ok_or_else(|| Unresolved::Field(self.clone()))
    }
}

/// Why a setting has no value.
#[derive(Debug, Error)]
pub enum FillError {
    /// It means to be a reference and is none.
    #[error("{setting}")]
    Bad {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        source: BadReference,
    },
    /// What it names is not there.
    #[error("{setting}")]
    Unresolved {
        /// The setting.
        setting: &'static str,
        /// Why.
        source: Unresolved,
    },
}

impl FillError {
    /// Whether it may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unresolved { source, .. } if source.is_passing())
    }
}

/// Puts values in the place of references: all of them or, when one is not to be had, none. Values stay as they are.
/// Returns how many references there were.
///
/// # Errors
/// The first that is no reference, before the store is asked; then the first that names nothing.
pub async fn fill(
    settings: &mut [(&'static str, &mut SecretString)],
    store: &dyn SecretStore,
    mounts: &BTreeSet<String>,
) -> Result<usize, FillError> {
    let mut named = Vec::new();
    for (at, (setting, value)) in settings.iter().enumerate() {
        let text = value.expose_secret();
        if SecretRef::is_meant(text) {
            let reference = SecretRef::parse(text, mounts);
            let bad = |source| FillError::Bad { setting, source };
            named.push((at, *setting, reference.map_err(bad)?));
        }
    }
    let mut found = Vec::with_capacity(named.len());
    for (at, setting, reference) in named {
        let value = reference.resolve(store).await;
        let missing = |source| FillError::Unresolved { setting, source };
        found.push((at, value.map_err(missing)?));
    }
    let count = found.len();
    for (at, value) in found {
        *settings[at].1 = value;
    }
    Ok(count)
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}#{}", self.path, self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shelf, data, mounts};
    use std::error::Error as _;

    fn reference(text: &str) -> SecretRef {
        SecretRef::parse(text, &mounts()).unwrap()
    }

    #[test]
    fn references_are_taken_as_they_are() {
        let found = reference("vault:secret/proxmox/lab#token");
        assert_eq!(found.path().to_string(), "secret/proxmox/lab");
        assert_eq!(found.field(), "token");
        assert_eq!(found.to_string(), "vault:secret/proxmox/lab#token");
    }

    #[test]
    fn what_is_almost_one_is_refused() {
        for text in [
            "vault:",
            "vault:#",
            "vault:secret/proxmox",
            "vault:secret/proxmox#",
            "vault:#token",
            "vault:secret#token",
            "vault:secret/proxmox#to ken",
            "vault:secret/proxmox#a#b",
            "vault:secret/../sys#token",
            "vault:secret//a#token",
            "vault:secret/a%2fb#token",
            "vault:secret/data/a#token",
            "vault: secret/a#token",
            "VAULT:secret/a#token",
            "secret/a#token",
        ] {
            assert!(SecretRef::parse(text, &mounts()).is_err(), "{text}");
        }
        assert_eq!(
            SecretRef::parse("vault:sys/a#token", &mounts()),
            Err(BadReference::Path(BadPath::Mount))
        );
        assert!(SecretRef::is_meant("vault:whatever"));
        assert!(!SecretRef::is_meant("a password"));
    }

    #[tokio::test]
    async fn it_gives_the_latest_text() {
        let store = Shelf::default();
        let named = reference("vault:secret/proxmox#token");
        for value in ["first", "second"] {
            let held = data(&[("token", value)]);
            store.write(named.path(), &held, None).await.unwrap();
        }
        let value = named.resolve(&store).await.unwrap();
        assert_eq!(value.expose_secret(), "second");
    }

    #[tokio::test]
    async fn what_is_missing_is_told_by_name_alone() {
        let store = Shelf::default();
        let named = reference("vault:secret/proxmox#token");
        let error = named.resolve(&store).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot read vault:secret/proxmox#token");
        assert_eq!(error.source().unwrap().to_string(), "no such secret");
        assert!(!error.is_passing());
        let held = data(&[("other", "hunter2")]);
        store.write(named.path(), &held, None).await.unwrap();
        let error = named.resolve(&store).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "vault:secret/proxmox#token names no text"
        );
        store.seal(true);
        assert!(named.resolve(&store).await.unwrap_err().is_passing());
    }

    #[tokio::test]
    async fn settings_are_filled_together_or_not_at_all() {
        let store = Shelf::default();
        let held = data(&[("token", "t0k"), ("password", "vault:secret/pve#token")]);
        let path = reference("vault:secret/pve#token").path().clone();
        store.write(&path, &held, None).await.unwrap();
        let of = |text: &str| SecretString::from(text.to_owned());
        let mut values = [
            of("vault:secret/pve#token"),
            of("as it stands"),
            of(""),
            of("vault:secret/pve#password"),
        ];
        let names = ["a.token", "a.plain", "a.empty", "a.password"];
        let filled = async |values: &mut [SecretString; 4]| {
            let mut settings: Vec<_> = names.into_iter().zip(values.iter_mut()).collect();
            fill(&mut settings, &store, &mounts()).await
        };
        let texts = |values: &[SecretString; 4]| -> Vec<String> {
            let text = |value: &SecretString| value.expose_secret().to_owned();
            values.iter().map(text).collect()
        };

        values[3] = of("vault:secret/pve#missing");
        let before = texts(&values);
        let error = filled(&mut values).await.unwrap_err();
        assert_eq!(error.to_string(), "a.password");
        assert!(!error.is_passing());
        assert_eq!(texts(&values), before);

        values[3] = of("vault:secret/hunter2");
        store.seal(true);
        let error = filled(&mut values).await.unwrap_err();
        assert!(matches!(
            error,
            FillError::Bad {
                setting: "a.password",
                ..
            }
        ));
        assert!(!format!("{error:?} {}", error.source().unwrap()).contains("hunter2"));

        values[3] = of("vault:secret/pve#password");
        assert!(filled(&mut values).await.unwrap_err().is_passing());

        store.seal(false);
        assert_eq!(filled(&mut values).await.unwrap(), 2);
        // A value that looks like a reference is a value: nothing is followed twice.
        let all = ["t0k", "as it stands", "", "vault:secret/pve#token"];
        assert_eq!(texts(&values), all);
    }
}
