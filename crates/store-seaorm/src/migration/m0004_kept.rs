//! Tags and descriptions of servers, and what is left as it is on their guests.

use sea_orm::ConnectionTrait;
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_kept"
    }
}

const CHANGES: &[&str] = &[
    "ALTER TABLE servers ADD COLUMN tags TEXT",
    "ALTER TABLE servers ADD COLUMN description TEXT",
    "ALTER TABLE servers ADD COLUMN kept TEXT NOT NULL DEFAULT '{}'",
    // It is kept in parts now; the next look at the guest finds it again.
    "UPDATE servers SET drift = '[]' WHERE drift <> '[]'",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for sql in CHANGES {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
