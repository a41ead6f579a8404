//! Schedules of backups, and their runs.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0012_schedules"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE schedules (
        id @PK@,
        name TEXT NOT NULL UNIQUE,
        spec TEXT NOT NULL,
        next_ms BIGINT,
        created_by BIGINT NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )",
    "CREATE TABLE schedule_runs (
        id @PK@,
        schedule_id BIGINT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
        due_ms BIGINT NOT NULL,
        fired_ms BIGINT NOT NULL,
        passed_over BIGINT NOT NULL,
        asked_by BIGINT,
        state TEXT NOT NULL CHECK (state IN ('running', 'done', 'missed')),
        ended_ms BIGINT,
        CHECK ((state = 'running') = (ended_ms IS NULL))
    )",
    "CREATE INDEX schedule_runs_latest ON schedule_runs (schedule_id, id)",
    "CREATE INDEX schedule_runs_open ON schedule_runs (id) WHERE state = 'running'",
    "CREATE TABLE schedule_items (
        id @PK@,
        run_id BIGINT NOT NULL REFERENCES schedule_runs (id) ON DELETE CASCADE,
        server_id BIGINT NOT NULL REFERENCES servers (id),
        due_ms BIGINT NOT NULL,
        begin_before_ms BIGINT,
        state TEXT NOT NULL
            CHECK (state IN ('waiting', 'started', 'completed', 'failed', 'missed', 'skipped')),
        backup_id BIGINT,
        UNIQUE (run_id, server_id)
    )",
    "CREATE INDEX schedule_items_open ON schedule_items (id) WHERE state IN ('waiting', 'started')",
    "ALTER TABLE backups ADD COLUMN schedule_id BIGINT REFERENCES schedules (id) ON DELETE SET NULL",
    "ALTER TABLE backups ADD COLUMN condemned_by BIGINT",
    "CREATE INDEX backups_condemned ON backups (id) WHERE condemned_by IS NOT NULL",
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
