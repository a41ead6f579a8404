//! Terraform's states, locks, plans and logs.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_terraform"
    }
}

/// `@BYTES@` stands for the type of a sealed content.
const TABLES: &[&str] = &[
    "CREATE TABLE tf_states (
        server_id BIGINT NOT NULL REFERENCES servers (id),
        serial BIGINT NOT NULL CHECK (serial > 0),
        sealed @BYTES@ NOT NULL,
        task_token TEXT,
        created_ms BIGINT NOT NULL,
        PRIMARY KEY (server_id, serial)
    )",
    "CREATE TABLE tf_locks (
        server_id BIGINT PRIMARY KEY REFERENCES servers (id),
        lock_id TEXT NOT NULL,
        info TEXT NOT NULL,
        task_token TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        created_ms BIGINT NOT NULL
    )",
    "CREATE TABLE tf_plans (
        task_token TEXT PRIMARY KEY REFERENCES tasks (token),
        server_id BIGINT NOT NULL REFERENCES servers (id),
        hash TEXT NOT NULL,
        base_serial BIGINT NOT NULL,
        guest_digest TEXT,
        sealed @BYTES@ NOT NULL,
        summary TEXT NOT NULL,
        created_ms BIGINT NOT NULL
    )",
    "CREATE TABLE task_logs (
        task_token TEXT NOT NULL,
        number BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (task_token, number)
    )",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let bytes = match manager.get_database_backend() {
            DbBackend::Postgres => "BYTEA",
            _ => "BLOB",
        };
        let db = manager.get_connection();
        for sql in TABLES {
            db.execute_unprepared(&sql.replace("@BYTES@", bytes))
                .await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
