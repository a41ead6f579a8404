//! Restore drills.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0013_drills"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE drills (
        id @PK@,
        token TEXT NOT NULL UNIQUE,
        backup_id BIGINT NOT NULL,
        backup_token TEXT NOT NULL,
        server_id BIGINT NOT NULL REFERENCES servers (id),
        server_name TEXT NOT NULL,
        guest_id BIGINT REFERENCES servers (id),
        task TEXT,
        spec TEXT NOT NULL,
        item_id BIGINT,
        schedule_id BIGINT REFERENCES schedules (id) ON DELETE SET NULL,
        asked_by BIGINT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'passed', 'failed', 'cancelled')),
        failure TEXT,
        evidence TEXT,
        digest TEXT,
        created_ms BIGINT NOT NULL,
        decided_ms BIGINT,
        cleared_ms BIGINT,
        CHECK ((state = 'running') = (decided_ms IS NULL)),
        CHECK ((evidence IS NULL) = (digest IS NULL))
    )",
    "CREATE INDEX drills_of_server ON drills (server_id, id)",
    "CREATE INDEX drills_of_backup ON drills (backup_token)",
    "CREATE INDEX drills_of_item ON drills (item_id) WHERE item_id IS NOT NULL",
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
