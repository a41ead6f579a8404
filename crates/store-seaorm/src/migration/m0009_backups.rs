//! Backups.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0009_backups"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE backups (
        id @PK@,
        token TEXT NOT NULL UNIQUE,
        server_id BIGINT NOT NULL REFERENCES servers (id),
        server_name TEXT NOT NULL,
        vmid BIGINT NOT NULL,
        node TEXT,
        storage TEXT NOT NULL,
        volume TEXT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'completed', 'failed', 'missing', 'deleting')),
        origin TEXT NOT NULL CHECK (origin IN ('asked', 'schedule', 'safety', 'found')),
        mode TEXT CHECK (mode IN ('snapshot', 'suspend', 'stop')),
        compression TEXT CHECK (compression IN ('zstd', 'gzip', 'lzo', 'none')),
        notes TEXT NOT NULL,
        protected BOOLEAN NOT NULL,
        size_bytes BIGINT CHECK (size_bytes >= 0),
        warnings TEXT NOT NULL,
        failure TEXT,
        verified TEXT,
        created_ms BIGINT NOT NULL,
        finished_ms BIGINT,
        CHECK (state NOT IN ('completed', 'missing') OR volume IS NOT NULL)
    )",
    "CREATE INDEX backups_of_server ON backups (server_id, id)",
    "CREATE INDEX backups_volume ON backups (volume) WHERE volume IS NOT NULL",
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
