//! Reading the database itself, beside the product. Never the only witness of anything.

use anyhow::Context;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A way into the database.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    url: String,
    /// One connection to PostgreSQL. To SQLite none is kept: it would keep the file from being recovered as
    /// it is when everybody was killed.
    kept: Arc<Mutex<Option<DatabaseConnection>>>,
}

impl Rows {
    pub(crate) fn of(url: &str) -> Self {
        Self {
            url: url.into(),
            kept: Arc::default(),
        }
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    async fn open(&self) -> anyhow::Result<DatabaseConnection> {
        let mut options = ConnectOptions::new(&self.url);
        options
            .max_connections(1)
            .connect_timeout(Duration::from_secs(5))
            .acquire_timeout(Duration::from_secs(30))
            .sqlx_logging(false);
        Ok(Database::connect(options).await?)
    }

    async fn query(&self, sql: &str) -> anyhow::Result<Vec<QueryResult>> {
        let mut kept = self.kept.lock().await;
        let db = match kept.take() {
            Some(db) => db,
            None => self.open().await?,
        };
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let found = db.query_all_raw(statement).await;
        if self.is_sqlite() || found.is_err() {
            db.close().await?;
        } else {
            *kept = Some(db);
        }
        Ok(found?)
    }

    /// Changes something.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<()> {
        let db = self.open().await?;
        db.execute_unprepared(sql).await?;
        Ok(db.close().await?)
    }

    /// Rows of whole numbers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn numbers(
        &self,
        sql: &str,
        columns: &[&str],
    ) -> anyhow::Result<Vec<Vec<i64>>> {
        let mut rows = Vec::new();
        for row in self.query(sql).await? {
            let read = columns.iter().map(|column| row.try_get("", column));
            rows.push(read.collect::<Result<Vec<i64>, _>>()?);
        }
        Ok(rows)
    }

    /// One column called `found`, as text.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn texts(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let found = self.query(sql).await?;
        let read = found.into_iter().map(|row| row.try_get("", "found"));
        Ok(read.collect::<Result<_, _>>()?)
    }

    /// What the rows say of an installation where everything has ended and everything was deleted:
    /// the invariant and what breaks it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn wrong(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        for (invariant, what, sql) in RULES {
            let found = self.texts(sql).await.with_context(|| what.to_string())?;
            if let Some(first) = found.first() {
                let text = format!("{what}: {first} and {} more", found.len() - 1);
                wrong.push((*invariant, text));
            }
        }
        if self.is_sqlite() {
            // On SQLite a transaction has the file to itself, so that its times are in its order.
            for found in self.texts(OVERLAPS).await? {
                wrong.push(("I6", format!("held by two servers at one time: {found}")));
            }
        }
        Ok(wrong)
    }

    /// Reads everything on an SQLite file and compares it; what is wrong.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(crate) async fn damage(&self) -> anyhow::Result<Vec<String>> {
        if !self.is_sqlite() {
            return Ok(Vec::new());
        }
        let mut found = self
            .texts("SELECT integrity_check AS found FROM pragma_integrity_check")
            .await?;
        found.retain(|line| line != "ok");
        let sql = "SELECT \"table\" || ' ' || rowid AS found FROM pragma_foreign_key_check";
        found.extend(self.texts(sql).await?);
        Ok(found)
    }
}

/// Each finds what must not be there.
const RULES: &[(&str, &str, &str)] = &[
    (
        "I2",
        "a task without an end",
        "SELECT token AS found FROM tasks WHERE state IN ('pending', 'running')",
    ),
    (
        "I8",
        "a completed task with a step that is not done",
        "SELECT t.token || ' ' || s.name || ' ' || s.state AS found
         FROM tasks t JOIN steps s ON s.task_id = t.id
         WHERE t.state = 'completed' AND s.state NOT IN ('done', 'skipped')",
    ),
    (
        "I8",
        "a completed task that was undoing",
        "SELECT token AS found FROM tasks WHERE state = 'completed' AND undoing",
    ),
    (
        "I8",
        "a cancelled create with something that is not undone",
        "SELECT t.token || ' ' || s.name || ' ' || s.state AS found
         FROM tasks t JOIN steps s ON s.task_id = t.id
         WHERE t.state = 'cancelled' AND t.kind = 'create_server' AND s.undo AND s.state <> 'done'",
    ),
    (
        "I8",
        "a step that is there twice",
        "SELECT CAST(task_id AS TEXT) || ' ' || name AS found FROM steps
         GROUP BY task_id, undo, name HAVING COUNT(*) > 1",
    ),
    (
        "I8",
        "a hole in the steps of a task",
        "SELECT CAST(task_id AS TEXT) AS found FROM steps
         GROUP BY task_id HAVING MAX(seq) + 1 <> COUNT(*)",
    ),
    (
        "I8",
        "a step that is done without evidence",
        "SELECT CAST(task_id AS TEXT) || ' ' || name AS found FROM steps
         WHERE state = 'done' AND (evidence IS NULL OR finished_ms IS NULL)",
    ),
    (
        "I8",
        "an end without all of its progress",
        "SELECT token AS found FROM tasks
         WHERE server_id IS NOT NULL AND progress <> 100 AND state NOT IN ('pending', 'running')",
    ),
    (
        "I12",
        "a place that nobody gives back",
        "SELECT slot || ' ' || CAST(task_id AS TEXT) AS found FROM slots",
    ),
    (
        "I4",
        "something that is held for a server that is gone",
        "SELECT r.kind || ' ' || r.value AS found
         FROM reservations r JOIN servers s ON s.id = r.server_id
         WHERE r.state = 'held' AND s.deleted_ms IS NOT NULL",
    ),
    (
        "I6",
        "a VMID that two servers had",
        "SELECT value AS found FROM reservations WHERE kind = 'vmid'
         GROUP BY value HAVING COUNT(DISTINCT server_id) > 1",
    ),
    (
        "I9",
        "a task that did not end with one event",
        "SELECT t.token AS found FROM tasks t
         LEFT JOIN events e ON e.task_token = t.token AND e.kind NOT LIKE '%_requested\"%'
            AND e.kind NOT LIKE '%\"placed_again\"%' AND e.kind NOT LIKE '%\"orphan_found\"%'
            AND e.kind NOT LIKE '%\"expired\"%'
         WHERE t.server_id IS NOT NULL AND t.state NOT IN ('pending', 'running')
         GROUP BY t.token HAVING COUNT(e.id) <> 1",
    ),
    (
        "I10",
        "a server whose create is not in the audit once",
        "SELECT CAST(t.server_id AS TEXT) AS found FROM tasks t
         LEFT JOIN audit a ON a.target_kind = 'server' AND a.target = CAST(t.server_id AS TEXT)
            AND a.action = 'POST /api/servers/create' AND a.refused IS NULL
         WHERE t.kind = 'create_server' AND t.parent_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM tasks b WHERE b.server_id = t.server_id
                AND b.kind = 'create_server' AND b.id < t.id)
         GROUP BY t.id, t.server_id HAVING COUNT(a.seq) <> 1",
    ),
    (
        "I10",
        "a bulk that is not in the audit",
        "SELECT t.token AS found FROM tasks t
         LEFT JOIN audit a ON a.target_kind = 'task' AND a.target = t.token AND a.refused IS NULL
         WHERE t.kind IN ('bulk_create', 'bulk_delete', 'bulk_power')
         GROUP BY t.token HAVING COUNT(a.seq) = 0",
    ),
    (
        "I9",
        "a request that was not noted once",
        "SELECT t.token AS found FROM tasks t
         LEFT JOIN events e ON e.task_token = t.token AND e.kind LIKE '%_requested\"%'
         WHERE t.server_id IS NOT NULL AND t.kind <> 'remove_orphan'
         GROUP BY t.token HAVING COUNT(e.id) <> 1",
    ),
];

const OVERLAPS: &str = "SELECT a.kind || ' ' || a.value AS found
    FROM reservations a JOIN reservations b ON b.kind = a.kind AND b.value = a.value AND b.id > a.id
    WHERE a.kind IN ('name', 'address')
      AND a.created_ms < COALESCE(b.ended_ms, 9223372036854775807)
      AND b.created_ms < COALESCE(a.ended_ms, 9223372036854775807)
    LIMIT 10";
