//! Secrets, sealed.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0008_secrets"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE secret_keys (
        id TEXT PRIMARY KEY,
        master TEXT NOT NULL,
        sealed @BYTES@ NOT NULL,
        created_ms BIGINT NOT NULL
    )",
    "CREATE TABLE secrets (
        mount TEXT NOT NULL,
        name TEXT NOT NULL,
        version BIGINT NOT NULL CHECK (version > 0),
        key_id TEXT NOT NULL,
        sealed @BYTES@,
        created_ms BIGINT NOT NULL,
        deleted_ms BIGINT,
        PRIMARY KEY (mount, name, version),
        CHECK ((sealed IS NULL) = (deleted_ms IS NOT NULL))
    )",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, TABLES).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
