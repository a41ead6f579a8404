//! A second factor of people, and passwords that end.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0014_factors"
    }
}

const COLUMNS: &[&str] = &[
    "ALTER TABLE users ADD COLUMN password_ends_ms BIGINT",
    "ALTER TABLE users ADD COLUMN factor TEXT",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, COLUMNS).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
