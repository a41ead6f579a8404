//! Processes, what they log, and what is set for all of them.

use super::page;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::Timestamp;
use tpm_store::{Alive, LogLine, LogQuery, Page, Process, ProcessReads, ProcessWrites, Result};

#[async_trait]
impl<S: Source> ProcessReads for Session<S> {
    async fn processes(&self) -> Result<Vec<Process>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Process> = tables.processes.values().cloned().collect();
        all.sort_by(|a, b| {
            let key = |one: &Process| (one.kind.clone(), one.started_at, one.name.clone());
            key(a).cmp(&key(b))
        });
        Ok(all)
    }

    async fn logs(&self, query: &LogQuery) -> Result<Page<LogLine>> {
        let tables = self.0.look().await?;
        let begins = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|begin| text.starts_with(begin))
        };
        let lower = query.text.as_ref().map(|text| text.to_lowercase());
        let fits = |line: &&LogLine| {
            line.level >= query.level
                && begins(&query.process, &line.process)
                && begins(&query.target, &line.target)
                && lower.as_ref().is_none_or(|text| {
                    line.message.to_lowercase().contains(text)
                        || line.fields.to_lowercase().contains(text)
                })
                && query
                    .field
                    .as_ref()
                    .is_none_or(|field| line.fields.contains(field))
                && query.from.is_none_or(|from| line.at >= from)
                && query.to.is_none_or(|to| line.at < to)
        };
        let all = tables.logs.values().rev().filter(fits).cloned().collect();
        Ok(page(all, Some(query.limit), query.offset))
    }

    async fn run_time_setting(&self, name: &str) -> Result<Option<String>> {
        let tables = self.0.look().await?;
        Ok(tables.run_time_settings.get(&name.to_owned()).cloned())
    }
}

#[async_trait]
impl ProcessWrites for Session<Transaction> {
    async fn note_alive(&self, alive: &Alive, forget_after: Duration) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let known = tables.processes.get(&alive.name);
            let row = Process {
                name: alive.name.clone(),
                kind: alive.kind.clone(),
                host: alive.host.clone(),
                pid: alive.pid,
                version: alive.version.clone(),
                started_at: known.map_or(now, |known| known.started_at),
                seen_at: now,
            };
            tables.processes.set(alive.name.clone(), row);
            tables
                .processes
                .retain(|_, row| now.since(row.seen_at) <= forget_after);
            Ok(())
        })
    }

    async fn note_ended(&self, name: &str) -> Result<()> {
        self.0.change(|tables| {
            tables.processes.remove(&name.to_owned());
            Ok(())
        })
    }

    async fn append_logs(&self, lines: &[LogLine]) -> Result<()> {
        self.0.change(|tables| {
            for line in lines {
                let id = tables.next_id();
                tables.logs.set(id, line.clone());
            }
            Ok(())
        })
    }

    async fn trim_logs(&self, before: Timestamp, keep: u64) -> Result<u64> {
        self.0.change(|tables| {
            let old = tables.logs.retain(|_, line| line.at >= before);
            let more = (tables.logs.len() as u64).saturating_sub(keep);
            let last = tables
                .logs
                .iter()
                .map(|(id, _)| *id)
                .take(usize::try_from(more).unwrap_or(usize::MAX))
                .last();
            let many = last.map_or(0, |last| tables.logs.retain(|id, _| *id > last));
            Ok((old + many) as u64)
        })
    }

    async fn set_run_time_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        self.0.change(|tables| {
            match value {
                Some(value) => tables
                    .run_time_settings
                    .set(name.to_owned(), value.to_owned()),
                None => {
                    tables.run_time_settings.remove(&name.to_owned());
                }
            }
            Ok(())
        })
    }
}
