//! What was measured of servers, what was published for Prometheus, and alerts.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_monitoring"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE server_figures (
        server_id BIGINT PRIMARY KEY REFERENCES servers (id),
        at_ms BIGINT NOT NULL,
        running BOOLEAN,
        cpu DOUBLE PRECISION CHECK (cpu BETWEEN 0 AND 100),
        memory DOUBLE PRECISION CHECK (memory BETWEEN 0 AND 100),
        counted TEXT NOT NULL
    )",
    "CREATE TABLE publications (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        at_ms BIGINT NOT NULL,
        body TEXT NOT NULL
    )",
    "CREATE TABLE alerts (
        id @PK@,
        rule TEXT NOT NULL,
        subject_key TEXT NOT NULL,
        server_id BIGINT REFERENCES servers (id),
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        severity TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
        since_ms BIGINT NOT NULL,
        fired_ms BIGINT,
        calm_ms BIGINT,
        resolved_ms BIGINT,
        CHECK (state = 'pending' OR fired_ms IS NOT NULL),
        CHECK ((state = 'resolved') = (resolved_ms IS NOT NULL))
    )",
    // One thing is wrong once.
    "CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject_key) WHERE state <> 'resolved'",
    "CREATE INDEX alerts_resolved ON alerts (resolved_ms)",
    "CREATE INDEX alerts_server ON alerts (server_id)",
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
