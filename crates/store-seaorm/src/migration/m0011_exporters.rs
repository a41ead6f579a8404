//! What is known of exporters on servers.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0011_exporters"
    }
}

const TABLE: &str = "CREATE TABLE exporters (
    server_id BIGINT PRIMARY KEY REFERENCES servers (id),
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    pid BIGINT,
    attempts BIGINT NOT NULL,
    since_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, &[TABLE]).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
