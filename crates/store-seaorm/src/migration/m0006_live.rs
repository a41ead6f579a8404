//! What changed, in the order of the commits; who read which notification; the
//! processes and their log.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_live"
    }
}

/// `@PK@` stands for the backend's self-numbering key.
const TABLES: &[&str] = &[
    // Rows of one transaction become visible together, but two transactions may take their numbers in one
    // order and commit in the other: where several write at once, a row carries its transaction's number.
    "CREATE TABLE feed (
        id @PK@,
        xid BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('server', 'task', 'notification')),
        ref BIGINT NOT NULL
    )",
    "CREATE INDEX feed_place ON feed (xid, id)",
    "CREATE INDEX feed_at ON feed (at_ms)",
    // The last place that is gone.
    "CREATE TABLE feed_floor (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        xid BIGINT NOT NULL,
        row_id BIGINT NOT NULL
    )",
    "INSERT INTO feed_floor (id, xid, row_id) VALUES (1, 0, 0)",
    "CREATE TABLE notification_marks (
        user_id BIGINT NOT NULL REFERENCES users (id),
        notification_id BIGINT NOT NULL REFERENCES notifications (id),
        read_ms BIGINT,
        hidden BOOLEAN NOT NULL,
        PRIMARY KEY (user_id, notification_id)
    )",
    "CREATE TABLE processes (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('api', 'worker')),
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        version TEXT NOT NULL,
        started_ms BIGINT NOT NULL,
        seen_ms BIGINT NOT NULL
    )",
    "CREATE TABLE logs (
        id @PK@,
        at_ms BIGINT NOT NULL,
        level BIGINT NOT NULL CHECK (level BETWEEN 1 AND 5),
        process TEXT NOT NULL,
        target TEXT NOT NULL,
        message TEXT NOT NULL,
        fields TEXT NOT NULL
    )",
    "CREATE INDEX logs_level ON logs (level, id)",
    "CREATE INDEX logs_at ON logs (at_ms)",
    // What was set at run time, for all processes.
    "CREATE TABLE run_time_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
];

/// Whether a task changed as people see it: who is at work on it, and until when, is not seen.
const TASK_SEEN: &[&str] = &[
    "state",
    "progress",
    "note",
    "failure",
    "undoing",
    "cancel_requested",
    "server_id",
    "server_name",
];

fn task_changed(differs: &str) -> String {
    let one = |name: &&str| format!("OLD.{name} {differs} NEW.{name}");
    TASK_SEEN.iter().map(one).collect::<Vec<_>>().join(" OR ")
}

fn sqlite() -> Vec<String> {
    let trigger = |name: &str, when: &str, kind: &str, at: &str| {
        format!(
            "CREATE TRIGGER {name} AFTER {when}
             BEGIN INSERT INTO feed (xid, at_ms, kind, ref) VALUES (0, NEW.{at}, '{kind}', NEW.id); END"
        )
    };
    let task = format!("UPDATE ON tasks WHEN {}", task_changed("IS NOT"));
    vec![
        trigger("feed_task_new", "INSERT ON tasks", "task", "created_ms"),
        trigger("feed_task", &task, "task", "updated_ms"),
        trigger(
            "feed_server_new",
            "INSERT ON servers",
            "server",
            "created_ms",
        ),
        trigger("feed_server", "UPDATE ON servers", "server", "updated_ms"),
        trigger(
            "feed_notification",
            "INSERT ON notifications",
            "notification",
            "created_ms",
        ),
    ]
}

fn postgres() -> Vec<String> {
    let mut all = vec![
        "CREATE FUNCTION feed_changed() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO feed (xid, at_ms, kind, ref)
             VALUES (pg_current_xact_id()::text::bigint,
                 (extract(epoch FROM clock_timestamp()) * 1000)::bigint, TG_ARGV[0], NEW.id);
             RETURN NULL;
         END $$"
            .to_owned(),
    ];
    let trigger = |name: &str, when: &str, kind: &str| {
        format!("CREATE TRIGGER {name} AFTER {when} EXECUTE FUNCTION feed_changed('{kind}')")
    };
    let task = format!(
        "UPDATE ON tasks FOR EACH ROW WHEN ({})",
        task_changed("IS DISTINCT FROM")
    );
    all.extend([
        trigger("feed_task_new", "INSERT ON tasks FOR EACH ROW", "task"),
        trigger("feed_task", &task, "task"),
        trigger(
            "feed_server",
            "INSERT OR UPDATE ON servers FOR EACH ROW",
            "server",
        ),
        trigger(
            "feed_notification",
            "INSERT ON notifications FOR EACH ROW",
            "notification",
        ),
    ]);
    all
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, triggers) = match manager.get_database_backend() {
            DbBackend::Postgres => (
                "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                postgres(),
            ),
            _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", sqlite()),
        };
        let db = manager.get_connection();
        for sql in TABLES {
            db.execute_unprepared(&sql.replace("@PK@", key)).await?;
        }
        for sql in &triggers {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("it cannot be taken back".into()))
    }
}
