//! How long the tasks of a killed worker stay without one: from its last heartbeat, as the lease in the
//! database tells it, to the claim of another worker, all by the database's clock.

use super::rows::Rows;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A task whose worker is dead.
#[derive(Clone, Debug)]
struct Orphan {
    task: i64,
    epoch: i64,
    beat_ms: i64,
}

/// What was measured so far.
#[derive(Debug)]
pub(crate) struct Takeovers {
    lease: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    orphans: Vec<Orphan>,
    took_ms: Vec<i64>,
    held: u64,
}

impl Takeovers {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker was just killed: notes what it held.
    pub(crate) async fn died(&self, rows: &Rows, owner: &str) -> anyhow::Result<()> {
        let sql = format!("SELECT id, epoch, lease_until_ms FROM tasks WHERE owner = '{owner}'");
        let lease = i64::try_from(self.lease.as_millis())?;
        let held = rows
            .numbers(&sql, &["id", "epoch", "lease_until_ms"])
            .await?;
        let mut inner = self.inner();
        inner.held += held.len() as u64;
        for row in held {
            let orphan = Orphan {
                task: row[0],
                epoch: row[1],
                beat_ms: row[2] - lease,
            };
            inner.orphans.push(orphan);
        }
        Ok(())
    }

    /// Looks which of them have a worker again. What is seen now happened since the last look.
    pub(crate) async fn look(&self, rows: &Rows) -> anyhow::Result<()> {
        let orphans = self.inner().orphans.clone();
        if orphans.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = orphans
            .iter()
            .map(|orphan| orphan.task.to_string())
            .collect();
        // A claim writes the time it was made at, and so does whatever follows; the first is the earliest
        // that can be seen.
        let sql = format!(
            "SELECT id, epoch, updated_ms FROM tasks WHERE id IN ({})",
            ids.join(", ")
        );
        let now = rows.numbers(&sql, &["id", "epoch", "updated_ms"]).await?;
        let mut inner = self.inner();
        for row in now {
            let found = |orphan: &Orphan| orphan.task == row[0] && orphan.epoch < row[1];
            while let Some(at) = inner.orphans.iter().position(found) {
                let orphan = inner.orphans.remove(at);
                inner.took_ms.push(row[2] - orphan.beat_ms);
            }
        }
        Ok(())
    }

    /// Tasks that a killed worker was holding.
    pub(crate) fn held(&self) -> u64 {
        self.inner().held
    }

    /// How many were seen to be taken over, and the middle, the 99th hundredth and the longest in
    /// milliseconds.
    pub(crate) fn summary(&self) -> Option<(usize, i64, i64, i64)> {
        let mut took = self.inner().took_ms.clone();
        took.sort_unstable();
        let last = took.len().checked_sub(1)?;
        Some((
            took.len(),
            took[last / 2],
            took[last * 99 / 100],
            took[last],
        ))
    }
}
