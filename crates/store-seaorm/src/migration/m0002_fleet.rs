//! Projects, networks, what was seen of the cluster, and the room that servers take on it.
//!
//! What a project and a node hold is counted by triggers on `servers`, and checks refuse more than the
//! bound: no code path can take room without it being counted, or beyond what there is.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_fleet"
    }
}

/// Both backends. `@PK@` stands for the self-numbering key, `@NOW@` for the database's time.
const TABLES: &[&str] = &[
    "CREATE TABLE projects (
        id @PK@,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        max_servers BIGINT,
        max_cpu BIGINT,
        max_memory_mb BIGINT,
        max_disk_gb BIGINT,
        used_servers BIGINT NOT NULL DEFAULT 0 CHECK (used_servers >= 0),
        used_cpu BIGINT NOT NULL DEFAULT 0 CHECK (used_cpu >= 0),
        used_memory_mb BIGINT NOT NULL DEFAULT 0 CHECK (used_memory_mb >= 0),
        used_disk_gb BIGINT NOT NULL DEFAULT 0 CHECK (used_disk_gb >= 0),
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        CHECK (max_servers IS NULL OR used_servers <= max_servers),
        CHECK (max_cpu IS NULL OR used_cpu <= max_cpu),
        CHECK (max_memory_mb IS NULL OR used_memory_mb <= max_memory_mb),
        CHECK (max_disk_gb IS NULL OR used_disk_gb <= max_disk_gb)
    )",
    // The first one, whose number is 1: the default of `servers.project_id`.
    "INSERT INTO projects (name, description, created_ms, updated_ms)
        VALUES ('default', '', @NOW@, @NOW@)",
    "CREATE TABLE networks (
        id @PK@,
        name TEXT NOT NULL UNIQUE,
        first TEXT NOT NULL,
        last TEXT NOT NULL,
        prefix BIGINT NOT NULL CHECK (prefix BETWEEN 1 AND 32),
        gateway TEXT,
        dns TEXT NOT NULL,
        bridge TEXT NOT NULL,
        vlan BIGINT CHECK (vlan BETWEEN 1 AND 4094),
        exclusions TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )",
    // The cluster as it was seen last. `*_limit` is what may be promised to our servers.
    "CREATE TABLE nodes (
        name TEXT PRIMARY KEY,
        online BOOLEAN NOT NULL,
        cpus BIGINT NOT NULL,
        memory_mb BIGINT NOT NULL,
        foreign_cpu BIGINT NOT NULL,
        foreign_memory_mb BIGINT NOT NULL,
        cpu_limit BIGINT NOT NULL,
        memory_limit_mb BIGINT NOT NULL,
        used_cpu BIGINT NOT NULL CHECK (used_cpu >= 0),
        used_memory_mb BIGINT NOT NULL CHECK (used_memory_mb >= 0),
        CHECK (used_cpu <= cpu_limit),
        CHECK (used_memory_mb <= memory_limit_mb)
    )",
    "CREATE TABLE storages (
        node TEXT NOT NULL,
        name TEXT NOT NULL,
        shared BOOLEAN NOT NULL,
        usable BOOLEAN NOT NULL,
        total_gb BIGINT NOT NULL,
        used_gb BIGINT NOT NULL,
        PRIMARY KEY (node, name)
    )",
    "CREATE TABLE templates (
        vmid BIGINT PRIMARY KEY,
        node TEXT NOT NULL,
        storage TEXT NOT NULL
    )",
    // Guests of others: when they were asked for their addresses, and what those are.
    "CREATE TABLE foreign_guests (vmid BIGINT PRIMARY KEY, read_ms BIGINT NOT NULL)",
    "CREATE TABLE foreign_addresses (
        vmid BIGINT NOT NULL,
        ip TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (vmid, ip)
    )",
    // Numbers of our range that belong to somebody else.
    "CREATE TABLE burnt_vmids (vmid BIGINT PRIMARY KEY, created_ms BIGINT NOT NULL)",
    // Leftover guests, and when they were seen first.
    "CREATE TABLE sightings (
        vmid BIGINT PRIMARY KEY,
        mark TEXT NOT NULL,
        first_ms BIGINT NOT NULL
    )",
    "CREATE TABLE idempotency (
        user_id BIGINT NOT NULL,
        key TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        outcome TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        PRIMARY KEY (user_id, key)
    )",
    "CREATE INDEX idempotency_age ON idempotency (created_ms)",
    "CREATE TABLE widths (slot TEXT PRIMARY KEY, width TEXT NOT NULL)",
    // Periodic work: when its next turn is.
    "CREATE TABLE turns (name TEXT PRIMARY KEY, next_ms BIGINT NOT NULL)",
    "ALTER TABLE servers ADD COLUMN project_id BIGINT NOT NULL DEFAULT 1",
    // Whether the server takes room and keeps its name, addresses and VMID.
    "ALTER TABLE servers ADD COLUMN holds BOOLEAN NOT NULL DEFAULT TRUE",
    // The node its guest is on, or will be.
    "ALTER TABLE servers ADD COLUMN place TEXT",
    "ALTER TABLE servers ADD COLUMN storage TEXT",
    "ALTER TABLE servers ADD COLUMN placement TEXT",
    "ALTER TABLE servers ADD COLUMN drift TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE servers ADD COLUMN expires_ms BIGINT",
    "ALTER TABLE servers ADD COLUMN on_expiry TEXT NOT NULL DEFAULT 'stop'",
    "ALTER TABLE servers ADD COLUMN expiry_stage TEXT NOT NULL DEFAULT 'waiting'",
    "UPDATE servers SET place = node",
    "UPDATE servers SET holds = FALSE WHERE NOT EXISTS (
        SELECT 1 FROM reservations r WHERE r.server_id = servers.id AND r.state = 'held')",
    "UPDATE projects SET
        used_servers = (SELECT COUNT(*) FROM servers WHERE holds),
        used_cpu = (SELECT COALESCE(SUM(cpu), 0) FROM servers WHERE holds),
        used_memory_mb = (SELECT COALESCE(SUM(memory_mb), 0) FROM servers WHERE holds),
        used_disk_gb = (SELECT COALESCE(SUM(disk_gb), 0) FROM servers WHERE holds)",
    // A number may be given again after its quarantine: it belongs to one server at a time.
    "DROP INDEX servers_vmid",
    "CREATE UNIQUE INDEX servers_vmid ON servers (vmid) WHERE holds",
    "CREATE INDEX servers_place ON servers (place, role) WHERE holds",
    "CREATE INDEX servers_unbuilt ON servers (place, storage) WHERE holds AND identity IS NULL",
    "CREATE INDEX servers_expiring ON servers (expires_ms) WHERE expires_ms IS NOT NULL",
    "ALTER TABLE tasks ADD COLUMN policy TEXT NOT NULL DEFAULT 'keep'",
    "ALTER TABLE tasks ADD COLUMN turn BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE tasks ADD COLUMN payload TEXT",
    // The task of the same bulk that this one takes back.
    "ALTER TABLE tasks ADD COLUMN undoes BIGINT",
    "CREATE INDEX tasks_turn ON tasks (turn, next_run_ms, id) WHERE next_run_ms IS NOT NULL",
    "CREATE INDEX tasks_undoing ON tasks (undoes) WHERE undoes IS NOT NULL",
    "CREATE TABLE places (
        task_id BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        slot TEXT NOT NULL,
        PRIMARY KEY (task_id, seq, slot)
    )",
    "INSERT INTO places (task_id, seq, slot) SELECT task_id, seq, slot FROM slots",
    "DROP TABLE slots",
    "ALTER TABLE places RENAME TO slots",
    "CREATE INDEX slots_name ON slots (slot)",
];

const SQLITE_BEFORE: &[&str] = &[
    // SQLite cannot change a check in place; this is the way its documentation gives:
    // https://www.sqlite.org/lang_altertable.html#making_other_kinds_of_table_schema_changes
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_schema SET sql = replace(sql, '''unknown'')', '''unknown'', ''identity_conflict'')')
        WHERE type = 'table' AND name = 'servers'",
    "PRAGMA writable_schema = RESET",
    "CREATE TABLE reservations_kept (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('name', 'address', 'vmid')),
        value TEXT NOT NULL,
        server_id BIGINT NOT NULL REFERENCES servers (id),
        state TEXT NOT NULL CHECK (state IN ('held', 'quarantine', 'released')),
        created_ms BIGINT NOT NULL,
        ended_ms BIGINT
    )",
    "INSERT INTO reservations_kept SELECT id, kind, value, server_id, state, created_ms, ended_ms
        FROM reservations",
    "DROP TABLE reservations",
    "ALTER TABLE reservations_kept RENAME TO reservations",
    "CREATE UNIQUE INDEX reservations_one_holder ON reservations (kind, value)
        WHERE state <> 'released'",
    "CREATE INDEX reservations_of_server ON reservations (server_id)",
];

const SQLITE_AFTER: &[&str] = &[
    "CREATE TRIGGER servers_take AFTER INSERT ON servers WHEN NEW.holds BEGIN
        UPDATE projects SET used_servers = used_servers + 1, used_cpu = used_cpu + NEW.cpu,
            used_memory_mb = used_memory_mb + NEW.memory_mb,
            used_disk_gb = used_disk_gb + NEW.disk_gb
            WHERE id = NEW.project_id;
        UPDATE nodes SET used_cpu = used_cpu + NEW.cpu,
            used_memory_mb = used_memory_mb + NEW.memory_mb
            WHERE name = NEW.place;
    END",
    "CREATE TRIGGER servers_change
        AFTER UPDATE OF project_id, holds, place, cpu, memory_mb, disk_gb ON servers
        WHEN OLD.project_id IS NOT NEW.project_id OR OLD.holds IS NOT NEW.holds
            OR OLD.place IS NOT NEW.place OR OLD.cpu IS NOT NEW.cpu
            OR OLD.memory_mb IS NOT NEW.memory_mb OR OLD.disk_gb IS NOT NEW.disk_gb
    BEGIN
        UPDATE projects SET used_servers = used_servers - 1, used_cpu = used_cpu - OLD.cpu,
            used_memory_mb = used_memory_mb - OLD.memory_mb,
            used_disk_gb = used_disk_gb - OLD.disk_gb
            WHERE id = OLD.project_id AND OLD.holds;
        UPDATE projects SET used_servers = used_servers + 1, used_cpu = used_cpu + NEW.cpu,
            used_memory_mb = used_memory_mb + NEW.memory_mb,
            used_disk_gb = used_disk_gb + NEW.disk_gb
            WHERE id = NEW.project_id AND NEW.holds;
        UPDATE nodes SET used_cpu = used_cpu - OLD.cpu,
            used_memory_mb = used_memory_mb - OLD.memory_mb
            WHERE name = OLD.place AND OLD.holds;
        -- Somebody moved the guest: followed, not fought.
        UPDATE nodes SET cpu_limit = MAX(cpu_limit, used_cpu + NEW.cpu),
            memory_limit_mb = MAX(memory_limit_mb, used_memory_mb + NEW.memory_mb)
            WHERE name = NEW.place AND NEW.holds AND OLD.place IS NOT NEW.place
                AND OLD.cpu = NEW.cpu AND OLD.memory_mb = NEW.memory_mb AND OLD.holds;
        UPDATE nodes SET used_cpu = used_cpu + NEW.cpu,
            used_memory_mb = used_memory_mb + NEW.memory_mb
            WHERE name = NEW.place AND NEW.holds;
    END",
];

const POSTGRES: &[&str] = &[
    "ALTER TABLE servers DROP CONSTRAINT servers_state_check",
    "ALTER TABLE servers ADD CONSTRAINT servers_state_check CHECK (state IN ('creating', 'running',
        'stopped', 'restarting', 'deleting', 'error', 'missing', 'unknown', 'identity_conflict'))",
    "ALTER TABLE reservations DROP CONSTRAINT reservations_check",
    // Projects first, then nodes: who takes both takes them in this order.
    "CREATE FUNCTION servers_account() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.holds THEN
            UPDATE projects SET used_servers = used_servers - 1, used_cpu = used_cpu - OLD.cpu,
                used_memory_mb = used_memory_mb - OLD.memory_mb,
                used_disk_gb = used_disk_gb - OLD.disk_gb
                WHERE id = OLD.project_id;
        END IF;
        IF NEW.holds THEN
            UPDATE projects SET used_servers = used_servers + 1, used_cpu = used_cpu + NEW.cpu,
                used_memory_mb = used_memory_mb + NEW.memory_mb,
                used_disk_gb = used_disk_gb + NEW.disk_gb
                WHERE id = NEW.project_id;
        END IF;
        IF TG_OP = 'UPDATE' AND OLD.holds THEN
            UPDATE nodes SET used_cpu = used_cpu - OLD.cpu,
                used_memory_mb = used_memory_mb - OLD.memory_mb
                WHERE name = OLD.place;
            -- Somebody moved the guest: followed, not fought.
            IF NEW.holds AND OLD.place IS DISTINCT FROM NEW.place
                AND OLD.cpu = NEW.cpu AND OLD.memory_mb = NEW.memory_mb THEN
                UPDATE nodes SET cpu_limit = GREATEST(cpu_limit, used_cpu + NEW.cpu),
                    memory_limit_mb = GREATEST(memory_limit_mb, used_memory_mb + NEW.memory_mb)
                    WHERE name = NEW.place;
            END IF;
        END IF;
        IF NEW.holds THEN
            UPDATE nodes SET used_cpu = used_cpu + NEW.cpu,
                used_memory_mb = used_memory_mb + NEW.memory_mb
                WHERE name = NEW.place;
        END IF;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER servers_take AFTER INSERT ON servers
        FOR EACH ROW EXECUTE FUNCTION servers_account()",
    "CREATE TRIGGER servers_change AFTER UPDATE ON servers FOR EACH ROW
        WHEN (OLD.project_id IS DISTINCT FROM NEW.project_id
            OR OLD.holds IS DISTINCT FROM NEW.holds OR OLD.place IS DISTINCT FROM NEW.place
            OR OLD.cpu IS DISTINCT FROM NEW.cpu OR OLD.memory_mb IS DISTINCT FROM NEW.memory_mb
            OR OLD.disk_gb IS DISTINCT FROM NEW.disk_gb)
        EXECUTE FUNCTION servers_account()",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let (key, before, after) = match backend {
            DbBackend::Postgres => (
                "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
                &[][..],
                POSTGRES,
            ),
            _ => (
                "INTEGER PRIMARY KEY AUTOINCREMENT",
                SQLITE_BEFORE,
                SQLITE_AFTER,
            ),
        };
        let now = crate::connect::now_sql(backend);
        let db = manager.get_connection();
        for sql in before.iter().chain(TABLES).chain(after) {
            db.execute_unprepared(&sql.replace("@PK@", key).replace("@NOW@", now))
                .await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
