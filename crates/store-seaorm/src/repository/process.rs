//! Processes, what they log, and what is set for all of them.

use crate::entity::logs;
use crate::error::{broken, store_error};
use crate::repository::literally;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, Statement,
};
use std::time::Duration;
use tpm_domain::Timestamp;
use tpm_store::{
    Alive, LogLevel, LogLine, LogQuery, Page, Process, ProcessReads, ProcessWrites, Result,
};

/// Lines that are inserted by one statement.
const AT_ONCE: usize = 100;

fn level_number(level: LogLevel) -> i64 {
    let place = LogLevel::ALL.iter().position(|one| *one == level);
    place.map_or(5, |place| place as i64 + 1)
}

fn process(row: &QueryResult) -> Result<Process> {
    let text = |name: &str| row.try_get::<String>("", name).map_err(store_error);
    let number = |name: &str| row.try_get::<i64>("", name).map_err(store_error);
    Ok(Process {
        name: text("name")?,
        kind: text("kind")?,
        host: text("host")?,
        pid: u32::try_from(number("pid")?).map_err(|_| broken("processes.pid"))?,
        version: text("version")?,
        started_at: Timestamp(number("started_ms")?),
        seen_at: Timestamp(number("seen_ms")?),
    })
}

fn line(row: logs::Model) -> Result<LogLine> {
    let level = usize::try_from(row.level - 1).ok();
    let level = level.and_then(|place| LogLevel::ALL.get(place).copied());
    Ok(LogLine {
        at: Timestamp(row.at_ms),
        level: level.ok_or_else(|| broken("logs.level"))?,
        process: row.process,
        target: row.target,
        message: row.message,
        fields: row.fields,
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ProcessReads for Session<C> {
    async fn processes(&self) -> Result<Vec<Process>> {
        let sql = "SELECT name, kind, host, pid, version, started_ms, seen_ms FROM processes
                   ORDER BY kind, started_ms, name";
        let rows = self
            .db
            .query_all_raw(Statement::from_string(self.backend, sql))
            .await
            .map_err(store_error)?;
        rows.iter().map(process).collect()
    }

    async fn logs(&self, query: &LogQuery) -> Result<Page<LogLine>> {
        use logs::Column;
        let like = |text: String| LikeExpr::new(text).escape('\\');
        let mut select = logs::Entity::find();
        if query.level > LogLevel::Trace {
            select = select.filter(Column::Level.gte(level_number(query.level)));
        }
        for (column, begin) in [
            (Column::Process, &query.process),
            (Column::Target, &query.target),
        ] {
            if let Some(begin) = begin {
                select = select.filter(column.like(like(format!("{}%", literally(begin)))));
            }
        }
        if let Some(text) = &query.text {
            let wanted = || like(format!("%{}%", literally(&text.to_lowercase())));
            let lower = |column: Column| Expr::expr(Func::lower(Expr::col(column)));
            select = select.filter(
                Condition::any()
                    .add(lower(Column::Message).like(wanted()))
                    .add(lower(Column::Fields).like(wanted())),
            );
        }
        if let Some(field) = &query.field {
            select = select.filter(Column::Fields.like(like(format!("%{}%", literally(field)))));
        }
        if let Some(from) = query.from {
            select = select.filter(Column::AtMs.gte(from.0));
        }
        if let Some(to) = query.to {
            select = select.filter(Column::AtMs.lt(to.0));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let found = select
            .order_by_desc(Column::Id)
            .limit(query.limit)
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = found.into_iter().map(line).collect::<Result<_>>()?;
        Ok(Page { items, total })
    }

    async fn run_time_setting(&self, name: &str) -> Result<Option<String>> {
        let sql = "SELECT value FROM run_time_settings WHERE name = $1";
        let row = self.first(sql, [name.into()]).await?;
        row.map(|row| row.try_get("", "value").map_err(store_error))
            .transpose()
    }
}

#[async_trait]
impl ProcessWrites for Session<DatabaseTransaction> {
    async fn note_alive(&self, process: &Alive, forget_after: Duration) -> Result<()> {
        self.run(
            "INSERT INTO processes (name, kind, host, pid, version, started_ms, seen_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $6)
             ON CONFLICT (name) DO UPDATE SET seen_ms = $6",
            [
                process.name.as_str().into(),
                process.kind.as_str().into(),
                process.host.as_str().into(),
                i64::from(process.pid).into(),
                process.version.as_str().into(),
                self.now_ms.into(),
            ],
        )
        .await?;
        let after = i64::try_from(forget_after.as_millis()).unwrap_or(i64::MAX);
        let before = self.now_ms.saturating_sub(after);
        self.run("DELETE FROM processes WHERE seen_ms < $1", [before.into()])
            .await
            .map(|_| ())
    }

    async fn note_ended(&self, name: &str) -> Result<()> {
        self.run("DELETE FROM processes WHERE name = $1", [name.into()])
            .await
            .map(|_| ())
    }

    async fn append_logs(&self, lines: &[LogLine]) -> Result<()> {
        for lines in lines.chunks(AT_ONCE) {
            let rows = lines.iter().map(|line| logs::ActiveModel {
                at_ms: Set(line.at.0),
                level: Set(level_number(line.level)),
                process: Set(line.process.clone()),
                target: Set(line.target.clone()),
                message: Set(line.message.clone()),
                fields: Set(line.fields.clone()),
                ..Default::default()
            });
            logs::Entity::insert_many(rows)
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn trim_logs(&self, before: Timestamp, keep: u64) -> Result<u64> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let old = self
            .run("DELETE FROM logs WHERE at_ms < $1", [before.0.into()])
            .await?;
        let many = self
            .run(
                "DELETE FROM logs WHERE id <= (SELECT MAX(id) FROM logs) - $1",
                [keep.into()],
            )
            .await?;
        Ok(old.rows_affected() + many.rows_affected())
    }

    async fn set_run_time_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        let done = match value {
            Some(value) => {
                self.run(
                    "INSERT INTO run_time_settings (name, value) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET value = $2",
                    [name.into(), value.into()],
                )
                .await
            }
            None => {
                self.run(
                    "DELETE FROM run_time_settings WHERE name = $1",
                    [name.into()],
                )
                .await
            }
        };
        done.map(|_| ())
    }
}
