//! Channels, and what is sent to them.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0010_channels"
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE channels (
        id @PK@,
        name TEXT NOT NULL UNIQUE,
        url TEXT NOT NULL,
        types TEXT NOT NULL,
        format TEXT NOT NULL,
        language TEXT NOT NULL,
        enabled BOOLEAN NOT NULL,
        salt TEXT NOT NULL,
        generation BIGINT NOT NULL,
        rotated_ms BIGINT,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )",
    "CREATE TABLE deliveries (
        id @PK@,
        channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
        notification_id BIGINT REFERENCES notifications (id),
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
        attempts BIGINT NOT NULL,
        claim BIGINT NOT NULL,
        due_ms BIGINT NOT NULL,
        body TEXT,
        stamp_ms BIGINT,
        status BIGINT,
        error TEXT,
        created_ms BIGINT NOT NULL,
        ended_ms BIGINT,
        CHECK ((state = 'pending') = (ended_ms IS NULL))
    )",
    // A channel is told once.
    "CREATE UNIQUE INDEX deliveries_once ON deliveries (channel_id, notification_id)",
    "CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state = 'pending'",
    "CREATE INDEX deliveries_ended ON deliveries (ended_ms)",
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
