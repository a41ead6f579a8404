//! Secrets, as people and programs read and write them. Reading one is written down before it is told; a value never is.

use crate::{App, AppError, Ctx, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tpm_domain::{AuditTarget, Conflict, Error, FieldErrors, Permission, Reason, ResourceKind};
use tpm_secrets::{
    BadPath, Deletion, Folder, Rotated, Secret, SecretData, SecretError, SecretPath, SecretStore,
    StoreStatus, VersionInfo,
};

/// Most of what a secret holds, in bytes of JSON.
pub const MAX_SECRET: usize = 64 * 1024;
/// When a store that is away is worth asking again.
const AGAIN: u64 = 5;

/// Where secrets are.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The store; none where nobody brings one.
    pub store: Option<Arc<dyn SecretStore>>,
    /// The mounts that may be asked for.
    pub mounts: BTreeSet<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("mounts", &self.mounts)
            .finish_non_exhaustive()
    }
}

fn refusal(path: &str, error: SecretError) -> AppError {
    let conflict = |conflict| AppError::Refused(Error::Conflict(conflict));
    match error {
        SecretError::NotFound => Error::not_found(ResourceKind::Secret, path).into(),
        SecretError::Changed { current } => conflict(Conflict::VersionChanged { current }),
        SecretError::Sealed => Error::SecretsAway {
            sealed: true,
            retry_after_secs: AGAIN,
        }
        .into(),
        SecretError::Away(why) => {
            tracing::warn!(why, "the store of secrets is away");
            Error::SecretsAway {
                sealed: false,
                retry_after_secs: AGAIN,
            }
            .into()
        }
        SecretError::Forbidden(why) => conflict(Conflict::SecretsRefused { why }),
        SecretError::Unsupported(why) => conflict(Conflict::SecretsRefused { why: why.into() }),
        SecretError::Broken(why) => {
            tracing::error!(path, why, "a secret cannot be read");
            conflict(Conflict::SecretsRefused { why })
        }
    }
}

fn bad(error: BadPath) -> AppError {
    match error {
        BadPath::Mount => Error::Forbidden.into(),
        BadPath::Form => {
            let mut errors = FieldErrors::default();
            errors.add("path", Reason::SecretPath);
            match errors.into_result(()) {
                Err(error) => error.into(),
                Ok(()) => Error::Forbidden.into(),
            }
        }
    }
}

impl App {
    fn secret_store(&self) -> Result<&dyn SecretStore> {
        let away = || Error::SecretsAway {
            sealed: false,
            retry_after_secs: AGAIN,
        };
        Ok(self.parts().secrets.store.as_deref().ok_or_else(away)?)
    }

    fn secret_path(&self, text: &str) -> Result<SecretPath> {
        SecretPath::parse(text, &self.parts().secrets.mounts).map_err(bad)
    }

    /// Written down, before anything is done: no audit, no secret.
    async fn noted(&self, ctx: &Ctx, path: &str) -> Result<()> {
        let tx = self.store().begin().await?;
        self.commit(ctx, tx, AuditTarget::new("secret", path)).await
    }

    /// How the store of secrets is doing; `None` where there is none.
    ///
    /// # Errors
    /// Forbidden.
    pub async fn secrets_status(&self, ctx: &Ctx) -> Result<Option<StoreStatus>> {
        ctx.authorize(Permission::ReadSystem)?;
        match &self.parts().secrets.store {
            Some(store) => Ok(Some(store.status().await)),
            None => Ok(None),
        }
    }

    /// A secret.
    ///
    /// # Errors
    /// Forbidden, also for a mount that is not allowed; invalid, not found, the store is away or refuses.
    pub async fn read_secret(
        &self,
        ctx: &Ctx,
        path: &str,
        version: Option<u64>,
    ) -> Result<(SecretPath, Secret)> {
        ctx.authorize(Permission::ReadSecrets)?;
        let parsed = self.secret_path(path)?;
        // It changes nothing, so it is done in a copy, too.
        let tx = self.store().begin().await?;
        self.commit_in_a_copy(ctx, tx, AuditTarget::new("secret", path))
            .await?;
        let found = self.secret_store()?.read(&parsed, version).await;
        let found = found.map_err(|error| refusal(path, error))?;
        Ok((parsed, found))
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// As for reading.
    pub async fn list_secrets(&self, ctx: &Ctx, folder: &str) -> Result<Vec<String>> {
        ctx.authorize(Permission::ReadSecrets)?;
        let parsed = Folder::parse(folder, &self.parts().secrets.mounts).map_err(bad)?;
        let found = self.secret_store()?.list(&parsed).await;
        found.map_err(|error| refusal(folder, error))
    }

    /// What is known of the versions of a secret.
    ///
    /// # Errors
    /// As for reading.
    pub async fn secret_versions(&self, ctx: &Ctx, path: &str) -> Result<Vec<VersionInfo>> {
        ctx.authorize(Permission::ReadSecrets)?;
        let parsed = self.secret_path(path)?;
        let found = self.secret_store()?.versions(&parsed).await;
        found.map_err(|error| refusal(path, error))
    }

    /// Writes a new version; the number of it.
    ///
    /// # Errors
    /// As for reading; conflict when another version than `expected` is the latest.
    pub async fn write_secret(
        &self,
        ctx: &Ctx,
        path: &str,
        data: &SecretData,
        expected: Option<u64>,
    ) -> Result<u64> {
        use secrecy::ExposeSecret as _;
        ctx.authorize(Permission::WriteSecrets)?;
        let parsed = self.secret_path(path)?;
        let mut errors = FieldErrors::default();
        if data.text().expose_secret().len() > MAX_SECRET {
            errors.add("body", Reason::TooLong { max: MAX_SECRET });
        }
        if data.fields().is_empty() {
            errors.add("body", Reason::Required);
        }
        errors.into_result(())?;
        self.noted(ctx, path).await?;
        let written = self.secret_store()?.write(&parsed, data, expected).await;
        written.map_err(|error| refusal(path, error))
    }

    /// Deletes a version, or everything.
    ///
    /// # Errors
    /// As for reading.
    pub async fn delete_secret(&self, ctx: &Ctx, path: &str, what: Deletion) -> Result<()> {
        ctx.authorize(Permission::WriteSecrets)?;
        let parsed = self.secret_path(path)?;
        self.noted(ctx, path).await?;
        let deleted = self.secret_store()?.delete(&parsed, what).await;
        deleted.map_err(|error| refusal(path, error))
    }

    /// Replaces the master key of the embedded store, and seals everything anew.
    ///
    /// # Errors
    /// Forbidden, conflict where the key is not this service's to replace, the store is away.
    pub async fn rotate_secrets(&self, ctx: &Ctx) -> Result<Rotated> {
        ctx.authorize(Permission::RotateSecrets)?;
        let tx = self.store().begin().await?;
        self.commit(ctx, tx, AuditTarget::new("secrets", "master key"))
            .await?;
        let done = self.secret_store()?.rotate().await;
        done.map_err(|error| refusal("master key", error))
    }
}
