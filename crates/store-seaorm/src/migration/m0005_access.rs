//! Roles of one's own, keys, what is known of sessions, and the audit.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_access"
    }
}

/// `@PK@` stands for the backend's self-numbering key.
const CHANGES: &[&str] = &[
    "ALTER TABLE users ADD COLUMN assignments TEXT NOT NULL DEFAULT '[]'",
    "UPDATE users SET assignments = '[{\"role\":\"' || role || '\",\"project\":null}]'",
    "ALTER TABLE users DROP COLUMN role",
    "ALTER TABLE users ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE users ADD COLUMN language TEXT CHECK (language IN ('ko', 'en'))",
    "ALTER TABLE users ADD COLUMN updated_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE users ADD COLUMN deleted_ms BIGINT",
    "UPDATE users SET updated_ms = created_ms",
    "ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX sessions_user ON sessions (user_id)",
    "CREATE TABLE roles (
        name TEXT PRIMARY KEY CHECK (name NOT IN ('admin', 'operator', 'viewer')),
        permissions TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )",
    "CREATE TABLE api_keys (
        id @PK@,
        digest TEXT NOT NULL UNIQUE,
        user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        prefix TEXT NOT NULL,
        scopes TEXT NOT NULL,
        networks TEXT NOT NULL,
        expires_ms BIGINT,
        last_used_ms BIGINT,
        last_address TEXT,
        created_ms BIGINT NOT NULL
    )",
    "CREATE INDEX api_keys_user ON api_keys (user_id)",
    "CREATE TABLE audit (
        seq BIGINT PRIMARY KEY CHECK (seq > 0),
        at_ms BIGINT NOT NULL,
        actor_id BIGINT,
        action TEXT NOT NULL,
        target_kind TEXT NOT NULL,
        target TEXT NOT NULL,
        project_id BIGINT,
        refused TEXT,
        entry TEXT NOT NULL,
        link TEXT NOT NULL
    )",
    "CREATE INDEX audit_target ON audit (target_kind, target, seq)",
    "CREATE INDEX audit_actor ON audit (actor_id, seq)",
    "CREATE INDEX audit_at ON audit (at_ms)",
    "CREATE TABLE audit_head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        seq BIGINT NOT NULL,
        link TEXT NOT NULL,
        seal TEXT NOT NULL
    )",
    "INSERT INTO audit_head (id, seq, link, seal) VALUES (1, 0, '', '')",
];

/// Rows of the audit are added and stay.
const SQLITE: &[&str] = &[
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
     BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
     BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END",
];
const POSTGRES: &[&str] = &[
    "CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION 'the audit is not changed'; END $$",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
     FOR EACH ROW EXECUTE FUNCTION audit_stays()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
     FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, guards) = match manager.get_database_backend() {
            DbBackend::Postgres => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", POSTGRES),
            _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", SQLITE),
        };
        let db = manager.get_connection();
        for sql in CHANGES.iter().chain(guards) {
            db.execute_unprepared(&sql.replace("@PK@", key)).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
