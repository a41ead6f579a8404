//! What every process does beside its work: it says that it is alive, stores what it logs, keeps its metrics small,
//! and takes up what is set for all processes while they run.

use crate::own_metrics;
use crate::syslog::{Receiver, Shipper};
use crate::telemetry::Logs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tpm_app::LOG_LEVEL;
use tpm_domain::Timestamp;
use tpm_settings::Log;
use tpm_store::{Alive, LogLevel, LogLine, Store, StoreError};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How often a process says that it is alive.
const ALIVE: Duration = Duration::from_secs(5);
/// A process that was not heard of for so long is not shown any more.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);
/// How often old lines are removed.
const TRIM: Duration = Duration::from_secs(60);
/// Lines that are stored at once.
const PORTION: usize = 2000;
/// What the last words of a process may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Logs that the first process of an installation takes.
pub(crate) type Given = Arc<Mutex<Option<Logs>>>;

/// A process beside its work.
pub(crate) struct Life {
    store: Arc<dyn Store>,
    me: Alive,
    logs: Option<Logs>,
    keep: Log,
    /// Lines that the database did not take so far.
    pending: Vec<LogLine>,
    level: Option<LogLevel>,
    said: Option<Instant>,
    trouble: bool,
    /// Who is sent what is logged as well.
    receiver: Option<Receiver>,
    shipper: Option<Shipper>,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Life {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        (kind, name): (&str, String),
        given: &Given,
        keep: &Log,
    ) -> anyhow::Result<Self> {
        let logs = given.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Self {
            store,
            receiver: Receiver::new(keep)?,
            shipper: None,
            me: Alive {
                name,
                kind: kind.to_owned(),
                host: sysinfo::System::host_name().unwrap_or_default(),
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            logs,
            keep: keep.clone(),
            pending: Vec::new(),
            level: None,
            said: None,
            trouble: false,
        })
    }

    /// Until `stop`, and its last words.
    pub(crate) async fn live(mut self, stop: CancellationToken) {
        if let (Some(receiver), true) = (self.receiver.take(), self.logs.is_some()) {
            let (host, pid) = (self.me.host.clone(), self.me.pid);
            self.shipper = Some(Shipper::start(receiver, host, pid));
        }
        while !stop.is_cancelled() {
            own_metrics::upkeep();
            let done = self.turn().await;
            if let Err(error) = &done
                && !self.trouble
            {
                tracing::warn!(?error, "the log waits for the database");
            }
            self.trouble = done.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        let last = async {
            self.store_lines().await?;
            let tx = self.store.begin().await?;
            tx.note_ended(&self.me.name).await?;
            tx.commit().await
        };
        if !matches!(tokio::time::timeout(LAST_WORDS, last).await, Ok(Ok(()))) {
            tracing::debug!("the database did not take the last words");
        }
        if let Some(shipper) = self.shipper.take()
            && tokio::time::timeout(LAST_WORDS, shipper.end())
                .await
                .is_err()
        {
            tracing::debug!("the receiver of logs did not take the last words");
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        self.store_lines().await?;
        if self.said.is_none_or(|at| at.elapsed() >= ALIVE) {
            let tx = self.store.begin().await?;
            tx.note_alive(&self.me, FORGOTTEN).await?;
            tx.commit().await?;
            self.said = Some(Instant::now());
        }
        let Some(logs) = &self.logs else {
            return Ok(());
        };
        let set = self.store.reads().run_time_setting(LOG_LEVEL).await?;
        let set = set.and_then(|word| LogLevel::ALL.into_iter().find(|it| it.as_str() == word));
        if set != self.level {
            match logs.set_level(set) {
                Ok(()) => tracing::info!(level = set.map(LogLevel::as_str), "log level"),
                Err(error) => tracing::warn!("log level: {error:#}"),
            }
            self.level = set;
        }
        if self.store.queue().take_turn("logs", TRIM).await? {
            let tx = self.store.begin().await?;
            let days = i64::from(self.keep.stored_days);
            let before = Timestamp(tx.now().0 - days * 24 * 3600 * 1000);
            tx.trim_logs(before, self.keep.stored_lines).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn store_lines(&mut self) -> Result<(), StoreError> {
        let Some(logs) = &mut self.logs else {
            return Ok(());
        };
        let room = PORTION.saturating_sub(self.pending.len());
        // A receiver is told also while the database takes nothing.
        let most = if self.shipper.is_some() {
            PORTION
        } else {
            room
        };
        let mut new = logs.take(&self.me.name, most);
        if let Some(shipper) = &self.shipper {
            shipper.take(&new);
        }
        if new.len() > room {
            let lines = new.len() - room;
            tracing::warn!(lines, "lines of the log were not stored");
        }
        new.truncate(room);
        self.pending.extend(new);
        if self.pending.is_empty() {
            return Ok(());
        }
        let tx = self.store.begin().await?;
        tx.append_logs(&self.pending).await?;
        tx.commit().await?;
        self.pending.clear();
        Ok(())
    }
}
