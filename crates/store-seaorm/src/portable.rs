//! The whole database as lines of text, and a database made of such lines: of either kind, out of either kind.
//!
//! The lines are of one moment, whoever writes meanwhile. Making a database of them is one transaction: all of it or
//! nothing, and only where there is none so far. A database that was made so is told to be a copy
//! ([`tpm_store::RESTORED`]), so that nobody acts on what may be old.
//!
//! A line is a JSON object: first what was written, then a row of a table each (bytes as `\x` and hexadecimal digits),
//! then how far the numbers of rows have come, and how many rows there were.

use crate::connect::{SeaStore, now_sql};
use crate::error::{broken, store_error};
use crate::migration;
use futures::StreamExt;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, Statement,
    StreamTrait, TransactionOptions, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use tpm_store::{RESTORED, Result, StoreError};

/// The form of the lines.
const FORMAT: u32 = 1;

/// Every table that is kept, each after those that it refers to.
const TABLES: &[&str] = &[
    "instance",
    "counters",
    "run_time_settings",
    "turns",
    "widths",
    "users",
    "roles",
    "projects",
    "networks",
    "nodes",
    "storages",
    "templates",
    "foreign_guests",
    "foreign_addresses",
    "burnt_vmids",
    "sightings",
    "servers",
    "schedules",
    "tasks",
    "steps",
    "slots",
    "task_logs",
    "reservations",
    "events",
    "notifications",
    "notification_marks",
    "feed",
    "feed_floor",
    "idempotency",
    "tf_states",
    "tf_locks",
    "tf_plans",
    "api_keys",
    "audit",
    "audit_head",
    "server_figures",
    "publications",
    "alerts",
    "secret_keys",
    "secrets",
    "backups",
    "channels",
    "deliveries",
    "exporters",
    "schedule_runs",
    "schedule_items",
    "drills",
];

/// What is not: who is logged in, who guesses, what was logged, and which processes there were.
#[cfg(test)]
const LEFT_OUT: &[&str] = &["login_throttle", "logs", "processes", "sessions"];

/// So many rows are written at once.
const AT_ONCE: usize = 200;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The form of the lines.
    pub format: u32,
    /// The version of the program that wrote them.
    pub version: String,
    /// The installation's name in marks.
    pub instance: String,
    /// The schema's steps that had been taken.
    pub migrations: Vec<String>,
    /// The database's time, in milliseconds since 1970.
    pub at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    t: String,
    r: Value,
}

#[derive(Serialize, Deserialize)]
struct End {
    /// The last number that was given in each table that numbers its rows.
    numbers: BTreeMap<String, i64>,
    rows: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Row(Row),
    End(End),
}

/// A column of a table.
struct Column {
    name: String,
    is_bytes: bool,
}

fn input(why: impl Into<String>) -> StoreError {
    broken(why.into())
}

impl SeaStore {
    /// Writes everything as lines; how many rows that are. Others read and write meanwhile.
    ///
    /// # Errors
    /// When the database does not answer, or the lines cannot be written.
    pub async fn export(&self, out: &mut (dyn Write + Send)) -> Result<(Copied, u64)> {
        let db = self.reader();
        let backend = ConnectionTrait::get_database_backend(db);
        let options = match backend {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            _ => TransactionOptions::default(),
        };
        let tx = db.begin_with_options(options).await.map_err(store_error)?;
        let copied = Copied {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: text(&tx, "SELECT instance_id AS x FROM instance WHERE id = 1").await?,
            migrations: texts(
                &tx,
                "SELECT version AS x FROM seaql_migrations ORDER BY version",
            )
            .await?,
            at_ms: number(&tx, &format!("SELECT {} AS x", now_sql(backend))).await?,
        };
        say(out, &copied)?;
        let mut rows = 0;
        for table in TABLES {
            rows += rows_of(&tx, table, out).await?;
        }
        let numbers = numbers(&tx).await?;
        say(out, &End { numbers, rows })?;
        out.flush().map_err(broken)?;
        tx.rollback().await.map_err(store_error)?;
        Ok((copied, rows))
    }

    /// Makes a database of such lines at `url`, where there is none; how many rows that were.
    ///
    /// # Errors
    /// When something is there already, the lines are not whole or are of a newer version, or the database does not
    /// answer. Nothing is left of it then.
    pub async fn import(url: &str, lines: &mut (dyn BufRead + Send)) -> Result<(Copied, u64)> {
        let mut lines = lines.lines();
        let mut next = move || lines.next().transpose().map_err(broken);
        let first = next()?.ok_or_else(|| input("it is empty"))?;
        let copied: Copied = serde_json::from_str(&first).map_err(broken)?;
        let known = migration::names();
        if copied.format != FORMAT || !known.starts_with(&copied.migrations) {
            let version = &copied.version;
            return Err(input(format!(
                "it was made by version {version}, which is newer"
            )));
        }
        let db = Self::bare(url).await?;
        let backend = ConnectionTrait::get_database_backend(&db);
        let tx = db.begin().await.map_err(store_error)?;
        if has_tables(&tx).await? {
            return Err(input(
                "there is a database already; a copy goes to an empty one",
            ));
        }
        let taken = u32::try_from(copied.migrations.len()).map_err(broken)?;
        migration::up(&tx, Some(taken)).await.map_err(store_error)?;
        let rows = fill(&tx, &mut next).await?;
        migration::up(&tx, None).await.map_err(store_error)?;
        let now = format!("CAST({} AS TEXT)", now_sql(backend));
        let sql = format!(
            "INSERT INTO run_time_settings (name, value) VALUES ('{RESTORED}', {now})
             ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        );
        run(&tx, &sql).await?;
        tx.commit().await.map_err(store_error)?;
        db.close().await.map_err(store_error)?;
        Ok((copied, rows))
    }
}

fn say(out: &mut (dyn Write + Send), line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(broken)?;
    out.write_all(b"\n").map_err(broken)
}

/// The kind of database. Two traits have it.
fn kind(tx: &DatabaseTransaction) -> DbBackend {
    ConnectionTrait::get_database_backend(tx)
}

async fn run(tx: &DatabaseTransaction, sql: &str) -> Result<()> {
    let done = tx.execute_unprepared(sql).await;
    done.map(drop).map_err(store_error)
}

async fn texts(tx: &DatabaseTransaction, sql: &str) -> Result<Vec<String>> {
    let sql = Statement::from_string(kind(tx), sql);
    let all = tx.query_all_raw(sql).await.map_err(store_error)?;
    let all = all.iter().map(|row| row.try_get("", "x"));
    all.collect::<std::result::Result<_, _>>()
        .map_err(store_error)
}

async fn text(tx: &DatabaseTransaction, sql: &str) -> Result<String> {
    let all = texts(tx, sql).await?;
    all.into_iter().next().ok_or_else(|| broken("nothing"))
}

async fn number(tx: &DatabaseTransaction, sql: &str) -> Result<i64> {
    let sql = Statement::from_string(kind(tx), sql);
    let row = tx.query_one_raw(sql).await.map_err(store_error)?;
    let row = row.ok_or_else(|| broken("no number"))?;
    row.try_get("", "x").map_err(store_error)
}

async fn has_tables(tx: &DatabaseTransaction) -> Result<bool> {
    let sql = match kind(tx) {
        DbBackend::Postgres => {
            "SELECT table_name::text AS x FROM information_schema.tables WHERE table_schema = current_schema()"
        }
        _ => "SELECT name AS x FROM sqlite_master WHERE type = 'table'",
    };
    Ok(!texts(tx, sql).await?.is_empty())
}

/// A table's columns; none when there is no such table.
async fn columns(tx: &DatabaseTransaction, table: &str) -> Result<Vec<Column>> {
    let sql = match kind(tx) {
        DbBackend::Postgres => format!(
            "SELECT column_name::text AS name, udt_name::text AS kind FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
        ),
        _ => format!("SELECT name, type AS kind FROM pragma_table_info('{table}')"),
    };
    let sql = Statement::from_string(kind(tx), sql);
    let all = tx.query_all_raw(sql).await.map_err(store_error)?;
    let column = |row: &sea_orm::QueryResult| {
        let kind: String = row.try_get("", "kind")?;
        Ok(Column {
            name: row.try_get("", "name")?,
            is_bytes: matches!(&*kind, "BLOB" | "bytea"),
        })
    };
    let all: std::result::Result<Vec<Column>, sea_orm::DbErr> = all.iter().map(column).collect();
    all.map_err(store_error)
}

/// The rows of a table, those first that others of it refer to.
async fn rows_of(
    tx: &DatabaseTransaction,
    table: &str,
    out: &mut (dyn Write + Send),
) -> Result<u64> {
    let columns = columns(tx, table).await?;
    let numbered = columns.iter().any(|column| column.name == "id");
    let order = if numbered { "ORDER BY id" } else { "" };
    let sql = match kind(tx) {
        DbBackend::Postgres => {
            format!("SELECT row_to_json(t)::text AS r FROM {table} AS t {order}")
        }
        _ => {
            let field = |column: &Column| match column.is_bytes {
                true => format!("'{0}', '\\x' || lower(hex({0}))", column.name),
                false => format!("'{0}', {0}", column.name),
            };
            let fields: Vec<String> = columns.iter().map(field).collect();
            let fields = fields.join(", ");
            format!("SELECT json_object({fields}) AS r FROM {table} {order}")
        }
    };
    let sql = Statement::from_string(kind(tx), sql);
    let mut found = tx.stream_raw(sql).await.map_err(store_error)?;
    let mut rows = 0;
    while let Some(row) = found.next().await {
        let row = row.map_err(store_error)?;
        let text: String = row.try_get("", "r").map_err(store_error)?;
        let row = Row {
            t: table.to_owned(),
            r: serde_json::from_str(&text).map_err(broken)?,
        };
        say(out, &row)?;
        rows += 1;
    }
    Ok(rows)
}

/// The last number that was given in each table: it is higher than that of any row when the last rows were deleted.
async fn numbers(tx: &DatabaseTransaction) -> Result<BTreeMap<String, i64>> {
    let sql = match kind(tx) {
        DbBackend::Postgres => {
            "SELECT c.table_name::text AS name, COALESCE(s.last_value, 0) AS seq
             FROM information_schema.columns c JOIN pg_sequences s ON s.schemaname = c.table_schema
               AND s.schemaname || '.' || s.sequencename
                 = pg_get_serial_sequence(quote_ident(c.table_name), c.column_name)
             WHERE c.table_schema = current_schema() AND c.is_identity = 'YES'"
        }
        _ => "SELECT name, seq FROM sqlite_sequence",
    };
    let sql = Statement::from_string(kind(tx), sql);
    let mut all = BTreeMap::new();
    for row in tx.query_all_raw(sql).await.map_err(store_error)? {
        let name: String = row.try_get("", "name").map_err(store_error)?;
        if TABLES.contains(&&*name) {
            all.insert(name, row.try_get("", "seq").map_err(store_error)?);
        }
    }
    Ok(all)
}

/// Replaces what the schema begins with by the rows of the lines.
async fn fill(
    tx: &DatabaseTransaction,
    next: &mut (dyn FnMut() -> Result<Option<String>> + Send),
) -> Result<u64> {
    let backend = kind(tx);
    let mut there = Vec::new();
    for table in TABLES {
        if !columns(tx, table).await?.is_empty() {
            there.push(*table);
        }
    }
    // What triggers would write is among the rows, and what they refuse was written.
    let triggers = match backend {
        DbBackend::Postgres => Vec::new(),
        _ => {
            run(tx, "PRAGMA defer_foreign_keys = ON").await?;
            texts(
                tx,
                "SELECT sql AS x FROM sqlite_master WHERE type = 'trigger'",
            )
            .await?
        }
    };
    match backend {
        DbBackend::Postgres => {
            for table in &there {
                run(tx, &format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await?;
            }
        }
        _ => {
            let names = "SELECT name AS x FROM sqlite_master WHERE type = 'trigger'";
            for name in texts(tx, names).await? {
                run(tx, &format!("DROP TRIGGER {name}")).await?;
            }
        }
    }
    for table in there.iter().rev() {
        run(tx, &format!("DELETE FROM {table}")).await?;
    }
    let rows = write_rows(tx, &there, next).await?;
    match backend {
        DbBackend::Postgres => {
            for table in &there {
                run(tx, &format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await?;
            }
        }
        _ => {
            for sql in &triggers {
                run(tx, sql).await?;
            }
        }
    }
    Ok(rows)
}

async fn write_rows(
    tx: &DatabaseTransaction,
    there: &[&'static str],
    next: &mut (dyn FnMut() -> Result<Option<String>> + Send),
) -> Result<u64> {
    let mut written = 0;
    let mut waiting: Vec<Value> = Vec::new();
    let mut table: &str = "";
    while let Some(line) = next()? {
        match serde_json::from_str(&line).map_err(broken)? {
            Line::Row(Row { t, r }) => {
                if t != table || waiting.len() == AT_ONCE {
                    written += insert(tx, table, std::mem::take(&mut waiting)).await?;
                }
                let known = there.iter().find(|known| **known == t);
                table = known.ok_or_else(|| input(format!("there is no table {t}")))?;
                waiting.push(r);
            }
            Line::End(End { numbers, rows }) => {
                written += insert(tx, table, std::mem::take(&mut waiting)).await?;
                if written != rows || next()?.is_some() {
                    return Err(input(format!(
                        "{rows} rows were written, {written} are there"
                    )));
                }
                set_numbers(tx, there, &numbers).await?;
                return Ok(written);
            }
        }
    }
    Err(input("it breaks off"))
}

async fn insert(tx: &DatabaseTransaction, table: &str, rows: Vec<Value>) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let backend = kind(tx);
    let columns = columns(tx, table).await?;
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    let names = names.join(", ");
    let sql = match backend {
        DbBackend::Postgres => format!(
            "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
             SELECT {names} FROM json_populate_recordset(NULL::{table}, $1::json)"
        ),
        _ => {
            let field = |column: &Column| {
                let value = format!("json_extract(value, '$.{}')", column.name);
                match column.is_bytes {
                    true => format!("unhex(substr({value}, 3))"),
                    false => value,
                }
            };
            let fields: Vec<String> = columns.iter().map(field).collect();
            let fields = fields.join(", ");
            format!("INSERT INTO {table} ({names}) SELECT {fields} FROM json_each($1)")
        }
    };
    let many = rows.len() as u64;
    let rows = Value::Array(rows).to_string();
    let done = tx
        .execute_raw(Statement::from_sql_and_values(backend, sql, [rows.into()]))
        .await
        .map_err(store_error)?;
    match done.rows_affected() == many {
        true => Ok(many),
        false => Err(broken(format!("{table}: not all rows were taken"))),
    }
}

/// From here on rows are numbered as they would have been.
async fn set_numbers(
    tx: &DatabaseTransaction,
    there: &[&'static str],
    numbers: &BTreeMap<String, i64>,
) -> Result<()> {
    for (table, last) in numbers {
        if !there.contains(&&**table) || *last < 1 {
            continue;
        }
        let sql = match kind(tx) {
            DbBackend::Postgres => {
                format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})")
            }
            _ => {
                run(
                    tx,
                    &format!("DELETE FROM sqlite_sequence WHERE name = '{table}'"),
                )
                .await?;
                format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {last})")
            }
        };
        run(tx, &sql).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_table_is_kept_or_left_out_on_purpose() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", dir.path().join("m.db").display());
        let store = SeaStore::open(&url).await.expect("a database");
        let tx = store.reader().begin().await.expect("a transaction");
        let sql = "SELECT name AS x FROM sqlite_master WHERE type = 'table'
                   AND name NOT LIKE 'sqlite_%' AND name <> 'seaql_migrations'";
        let there: BTreeSet<String> = texts(&tx, sql).await.expect("tables").into_iter().collect();
        let known = TABLES.iter().chain(LEFT_OUT).map(ToString::to_string);
        assert_eq!(there, known.collect());
        assert_eq!(TABLES.iter().collect::<BTreeSet<_>>().len(), TABLES.len());
    }
}
