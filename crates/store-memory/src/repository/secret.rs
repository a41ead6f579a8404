//! Secrets, sealed.

use crate::rows::constraint;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_store::{
    Result, SecretKey, SecretName, SecretReads, SecretRow, SecretVersion, SecretWrites,
};

fn place(name: SecretName<'_>, version: u64) -> (String, String, u64) {
    (name.mount.to_owned(), name.key.to_owned(), version)
}

fn is_of(name: SecretName<'_>, at: &(String, String, u64)) -> bool {
    at.0 == name.mount && at.1 == name.key
}

#[async_trait]
impl<S: Source> SecretReads for Session<S> {
    async fn secret_keys(&self) -> Result<Vec<SecretKey>> {
        let tables = self.0.look().await?;
        Ok(tables.secret_keys.values().cloned().collect())
    }

    async fn secret(
        &self,
        name: SecretName<'_>,
        version: Option<u64>,
    ) -> Result<Option<SecretVersion>> {
        let all = self.secret_versions(name).await?;
        let wanted = |one: &SecretVersion| version.is_none_or(|version| version == one.version);
        Ok(all.into_iter().rfind(wanted))
    }

    async fn secret_versions(&self, name: SecretName<'_>) -> Result<Vec<SecretVersion>> {
        let tables = self.0.look().await?;
        let all = tables.secrets.iter().filter(|(at, _)| is_of(name, at));
        Ok(all.map(|(_, row)| row.clone()).collect())
    }

    async fn secret_names(&self, mount: &str, prefix: &str) -> Result<Vec<String>> {
        let tables = self.0.look().await?;
        let all = tables.secrets.iter();
        let all = all.filter(|(at, _)| at.0 == mount && at.1.starts_with(prefix));
        let mut names: Vec<String> = all.map(|(at, _)| at.1.clone()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

#[async_trait]
impl SecretWrites for Session<Transaction> {
    async fn lock_secrets(&self) -> Result<()> {
        // The transaction is the only writer already.
        Ok(())
    }

    async fn replace_secret_key(&self, key: &SecretKey) -> Result<()> {
        self.0.change(|tables| {
            tables.secret_keys.retain(|_, _| false);
            tables.secret_keys.set(key.id.clone(), key.clone());
            Ok(())
        })
    }

    async fn insert_secret(&self, name: SecretName<'_>, version: &SecretVersion) -> Result<()> {
        self.0.change(|tables| {
            let at = place(name, version.version);
            if tables.secrets.contains(&at) {
                return Err(constraint(format!("secret {at:?} twice")));
            }
            tables.secrets.set(at, version.clone());
            Ok(())
        })
    }

    async fn wipe_secret(&self, name: SecretName<'_>, version: u64) -> Result<bool> {
        let now = self.0.now();
        self.0.change(|tables| {
            let row = tables.secrets.get_mut(&place(name, version));
            let Some(row) = row.filter(|row| row.deleted_at.is_none()) else {
                return Ok(false);
            };
            row.sealed = None;
            row.deleted_at = Some(now);
            Ok(true)
        })
    }

    async fn delete_secret(&self, name: SecretName<'_>) -> Result<bool> {
        self.0.change(|tables| {
            let gone = tables.secrets.retain(|at, _| !is_of(name, at));
            Ok(gone > 0)
        })
    }

    async fn trim_secret(&self, name: SecretName<'_>, keep: u64) -> Result<()> {
        self.0.change(|tables| {
            let of = tables.secrets.iter().filter(|(at, _)| is_of(name, at));
            let latest = of.map(|(at, _)| at.2).max().unwrap_or_default();
            let first = latest.saturating_sub(keep);
            tables
                .secrets
                .retain(|at, _| !is_of(name, at) || at.2 > first);
            Ok(())
        })
    }

    async fn all_secrets(&self) -> Result<Vec<SecretRow>> {
        let tables = self.0.look().await?;
        let all = tables.secrets.iter();
        let all = all.filter(|(_, row)| row.deleted_at.is_none());
        Ok(all
            .map(|((mount, key, _), version)| SecretRow {
                mount: mount.clone(),
                key: key.clone(),
                version: version.clone(),
            })
            .collect())
    }

    async fn reseal_secret(
        &self,
        name: SecretName<'_>,
        version: u64,
        key: &str,
        sealed: &[u8],
    ) -> Result<()> {
        self.0.change(|tables| {
            let row = tables.secrets.get_mut(&place(name, version));
            if let Some(row) = row.filter(|row| row.deleted_at.is_none()) {
                row.key = key.to_owned();
                row.sealed = Some(sealed.to_vec());
            }
            Ok(())
        })
    }
}
