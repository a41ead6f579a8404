//! The first schema.
//!
//! Times are milliseconds since the epoch by the database's clock. Lists and small records that are
//! only ever read whole are JSON text.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_begin"
    }
}

/// `@PK@` stands for the backend's self-numbering key, whose numbers are never given twice.
const UP: &[&str] = &[
    "CREATE TABLE instance (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        instance_id TEXT NOT NULL,
        created_ms BIGINT NOT NULL
    )",
    // Monotonic numbers: the last VMID that was ever given.
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "CREATE TABLE users (
        id @PK@,
        username TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
        created_ms BIGINT NOT NULL
    )",
    "CREATE TABLE sessions (
        token_digest TEXT PRIMARY KEY,
        user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        created_ms BIGINT NOT NULL,
        last_seen_ms BIGINT NOT NULL
    )",
    "CREATE TABLE login_throttle (
        subject TEXT PRIMARY KEY,
        failures BIGINT NOT NULL CHECK (failures > 0),
        not_before_ms BIGINT NOT NULL
    )",
    "CREATE TABLE servers (
        id @PK@,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        cpu BIGINT NOT NULL CHECK (cpu > 0),
        memory_mb BIGINT NOT NULL CHECK (memory_mb > 0),
        disk_gb BIGINT NOT NULL CHECK (disk_gb > 0),
        nics TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('creating', 'running', 'stopped', 'restarting',
            'deleting', 'error', 'missing', 'unknown')),
        engine TEXT NOT NULL,
        vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
        node TEXT,
        identity TEXT,
        created_by TEXT NOT NULL,
        ip_address TEXT,
        problem TEXT,
        readiness TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        deleted_ms BIGINT
    )",
    // A VMID belongs to one server for all time.
    "CREATE UNIQUE INDEX servers_vmid ON servers (vmid)",
    "CREATE INDEX servers_alive ON servers (deleted_ms, id)",
    "CREATE TABLE tasks (
        id @PK@,
        token TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        server_id BIGINT REFERENCES servers (id),
        server_name TEXT,
        parent_id BIGINT REFERENCES tasks (id),
        requested_by BIGINT NOT NULL REFERENCES users (id),
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'partial', 'failed',
            'cancelled')),
        progress BIGINT NOT NULL CHECK (progress BETWEEN 0 AND 100),
        note TEXT NOT NULL,
        failure TEXT,
        undoing BOOLEAN NOT NULL,
        cancel_requested BOOLEAN NOT NULL,
        owner TEXT,
        epoch BIGINT NOT NULL,
        lease_until_ms BIGINT,
        next_run_ms BIGINT,
        waiting_slot TEXT,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        CHECK ((owner IS NULL) = (lease_until_ms IS NULL)),
        CHECK (state IN ('pending', 'running') OR (owner IS NULL AND next_run_ms IS NULL))
    )",
    // One task at a time works on a server.
    "CREATE UNIQUE INDEX tasks_one_active ON tasks (server_id)
        WHERE state IN ('pending', 'running') AND server_id IS NOT NULL",
    "CREATE INDEX tasks_due ON tasks (next_run_ms) WHERE next_run_ms IS NOT NULL",
    "CREATE INDEX tasks_leased ON tasks (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX tasks_waiting ON tasks (waiting_slot, id) WHERE waiting_slot IS NOT NULL",
    "CREATE INDEX tasks_children ON tasks (parent_id, id)",
    "CREATE INDEX tasks_of_server ON tasks (server_id, id)",
    "CREATE TABLE steps (
        task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
        seq BIGINT NOT NULL,
        undo BOOLEAN NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'unknown', 'done', 'failed', 'skipped')),
        attempt BIGINT NOT NULL,
        intent TEXT,
        handle TEXT,
        evidence TEXT,
        started_ms BIGINT,
        finished_ms BIGINT,
        PRIMARY KEY (task_id, seq)
    )",
    // Places in use, of those there are only a few of.
    "CREATE TABLE slots (
        task_id BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        slot TEXT NOT NULL,
        PRIMARY KEY (task_id, seq)
    )",
    "CREATE INDEX slots_name ON slots (slot)",
    "CREATE TABLE reservations (
        id @PK@,
        kind TEXT NOT NULL CHECK (kind IN ('name', 'address', 'vmid')),
        value TEXT NOT NULL,
        server_id BIGINT NOT NULL REFERENCES servers (id),
        state TEXT NOT NULL CHECK (state IN ('held', 'quarantine', 'released')),
        created_ms BIGINT NOT NULL,
        ended_ms BIGINT,
        CHECK (kind <> 'vmid' OR state <> 'released')
    )",
    "CREATE UNIQUE INDEX reservations_one_holder ON reservations (kind, value)
        WHERE state <> 'released'",
    "CREATE INDEX reservations_of_server ON reservations (server_id)",
    "CREATE TABLE events (
        id @PK@,
        at_ms BIGINT NOT NULL,
        kind TEXT NOT NULL,
        server_id BIGINT NOT NULL,
        server_name TEXT NOT NULL,
        task_token TEXT NOT NULL
    )",
    "CREATE TABLE notifications (
        id @PK@,
        event_id BIGINT NOT NULL UNIQUE REFERENCES events (id),
        severity TEXT NOT NULL CHECK (severity IN ('success', 'info', 'warning', 'error')),
        created_ms BIGINT NOT NULL
    )",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let key = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            _ => "INTEGER PRIMARY KEY AUTOINCREMENT",
        };
        let db = manager.get_connection();
        for sql in UP {
            db.execute_unprepared(&sql.replace("@PK@", key)).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration(
            "the first schema cannot be taken back".into(),
        ))
    }
}
