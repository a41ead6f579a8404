//! Secrets, sealed.

use crate::error::store_error;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, Value};
use tpm_domain::Timestamp;
use tpm_store::{
    Result, SecretKey, SecretName, SecretReads, SecretRow, SecretVersion, SecretWrites,
};

/// Any number that nobody else locks by.
const LOCK: i64 = 0x7470_6d02;

fn get<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T> {
    row.try_get("", name).map_err(store_error)
}

fn version(row: &QueryResult) -> Result<SecretVersion> {
    Ok(SecretVersion {
        version: rows::size("secrets.version", get(row, "version")?)?,
        key: get(row, "key_id")?,
        sealed: get(row, "sealed")?,
        created_at: Timestamp(get(row, "created_ms")?),
        deleted_at: get::<Option<i64>>(row, "deleted_ms")?.map(Timestamp),
    })
}

impl<C: ConnectionTrait + Send + Sync> Session<C> {
    async fn every<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<Vec<QueryResult>> {
        self.db
            .query_all_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .map_err(store_error)
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> SecretReads for Session<C> {
    async fn secret_keys(&self) -> Result<Vec<SecretKey>> {
        let sql = "SELECT id, master, sealed FROM secret_keys ORDER BY created_ms, id";
        let rows = self.every(sql, []).await?;
        let key = |row: &QueryResult| {
            Ok(SecretKey {
                id: get(row, "id")?,
                master: get(row, "master")?,
                sealed: get(row, "sealed")?,
            })
        };
        rows.iter().map(key).collect()
    }

    async fn secret(
        &self,
        name: SecretName<'_>,
        wanted: Option<u64>,
    ) -> Result<Option<SecretVersion>> {
        let sql = "SELECT version, key_id, sealed, created_ms, deleted_ms FROM secrets
                   WHERE mount = $1 AND name = $2 AND ($3 = 0 OR version = $3)
                   ORDER BY version DESC LIMIT 1";
        // Versions begin at 1; a wanted 0 is none.
        let wanted = match wanted {
            Some(0) => return Ok(None),
            Some(version) => rows::stored(version),
            None => 0,
        };
        let row = self
            .first(sql, [name.mount.into(), name.key.into(), wanted.into()])
            .await?;
        row.as_ref().map(version).transpose()
    }

    async fn secret_versions(&self, name: SecretName<'_>) -> Result<Vec<SecretVersion>> {
        let sql = "SELECT version, key_id, sealed, created_ms, deleted_ms FROM secrets
                   WHERE mount = $1 AND name = $2 ORDER BY version";
        let rows = self
            .every(sql, [name.mount.into(), name.key.into()])
            .await?;
        rows.iter().map(version).collect()
    }

    async fn secret_names(&self, mount: &str, prefix: &str) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT name FROM secrets
                   WHERE mount = $1 AND SUBSTR(name, 1, $2) = $3 ORDER BY name";
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        // PostgreSQL's `substr` counts in 32 bits.
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        let rows = self
            .every(sql, [mount.into(), length.into(), prefix.into()])
            .await?;
        let mut names = rows
            .iter()
            .map(|row| get::<String>(row, "name"))
            .collect::<Result<Vec<String>>>()?;
        // Whatever the database's order of letters is.
        names.sort();
        Ok(names)
    }
}

#[async_trait]
impl SecretWrites for Session<DatabaseTransaction> {
    async fn lock_secrets(&self) -> Result<()> {
        // On SQLite the transaction is the only writer already.
        if self.backend == DbBackend::Postgres {
            let sql = "SELECT pg_advisory_xact_lock($1)";
            self.first(sql, [LOCK.into()]).await?;
        }
        Ok(())
    }

    async fn replace_secret_key(&self, key: &SecretKey) -> Result<()> {
        self.run("DELETE FROM secret_keys", []).await?;
        self.run(
            "INSERT INTO secret_keys (id, master, sealed, created_ms) VALUES ($1, $2, $3, $4)",
            [
                key.id.clone().into(),
                key.master.clone().into(),
                key.sealed.clone().into(),
                self.now_ms.into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn insert_secret(&self, name: SecretName<'_>, version: &SecretVersion) -> Result<()> {
        self.run(
            "INSERT INTO secrets (mount, name, version, key_id, sealed, created_ms, deleted_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                name.mount.into(),
                name.key.into(),
                rows::stored(version.version).into(),
                version.key.clone().into(),
                version.sealed.clone().into(),
                version.created_at.0.into(),
                version.deleted_at.map(|at| at.0).into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn wipe_secret(&self, name: SecretName<'_>, version: u64) -> Result<bool> {
        let done = self
            .run(
                "UPDATE secrets SET sealed = NULL, deleted_ms = $4
                 WHERE mount = $1 AND name = $2 AND version = $3 AND deleted_ms IS NULL",
                [
                    name.mount.into(),
                    name.key.into(),
                    rows::stored(version).into(),
                    self.now_ms.into(),
                ],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_secret(&self, name: SecretName<'_>) -> Result<bool> {
        let sql = "DELETE FROM secrets WHERE mount = $1 AND name = $2";
        let done = self.run(sql, [name.mount.into(), name.key.into()]).await?;
        Ok(done.rows_affected() > 0)
    }

    async fn trim_secret(&self, name: SecretName<'_>, keep: u64) -> Result<()> {
        self.run(
            "DELETE FROM secrets WHERE mount = $1 AND name = $2 AND version <=
               (SELECT MAX(version) FROM secrets WHERE mount = $1 AND name = $2) - $3",
            [
                name.mount.into(),
                name.key.into(),
                rows::stored(keep).into(),
            ],
        )
        .await
        .map(|_| ())
    }

    async fn all_secrets(&self) -> Result<Vec<SecretRow>> {
        let sql = "SELECT mount, name, version, key_id, sealed, created_ms, deleted_ms
                   FROM secrets WHERE deleted_ms IS NULL ORDER BY mount, name, version";
        let rows = self.every(sql, []).await?;
        let read = |row: &QueryResult| {
            Ok(SecretRow {
                mount: get(row, "mount")?,
                key: get(row, "name")?,
                version: version(row)?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn reseal_secret(
        &self,
        name: SecretName<'_>,
        version: u64,
        key: &str,
        sealed: &[u8],
    ) -> Result<()> {
        self.run(
            "UPDATE secrets SET key_id = $4, sealed = $5
             WHERE mount = $1 AND name = $2 AND version = $3 AND deleted_ms IS NULL",
            [
                name.mount.into(),
                name.key.into(),
                rows::stored(version).into(),
                key.into(),
                sealed.to_vec().into(),
            ],
        )
        .await
        .map(|_| ())
    }
}
