//! The processes of the service: that they are alive, what they log, and what is set for all of them while
//! they run.

use crate::{Page, Result};
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::Timestamp;

/// A process of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its name among all that ever ran.
    pub name: String,
    /// `api` or `worker`.
    pub kind: String,
    /// The machine it runs on.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was heard of last.
    pub seen_at: Timestamp,
}

/// A process that says that it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Its name among all that ever ran.
    pub name: String,
    /// `api` or `worker`.
    pub kind: String,
    /// The machine it runs on.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

/// How much something that was logged matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For who looks for a fault in the service.
    Trace,
    /// For who wants to know how something came about.
    Debug,
    /// What happens in the ordinary course.
    Info,
    /// What should not be.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
    ];

    /// The level on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, by the clock of the process.
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// Which process.
    pub process: String,
    /// Which part of it.
    pub target: String,
    /// What.
    pub message: String,
    /// More about it: a JSON object.
    pub fields: String,
}

/// Which lines, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// At least of this level.
    pub level: LogLevel,
    /// Of processes whose name begins so.
    pub process: Option<String>,
    /// Of parts whose name begins so.
    pub target: Option<String>,
    /// With this text in the message or the fields, in capitals or not.
    pub text: Option<String>,
    /// With this field, as it stands in JSON: `"task":"task_1"`.
    pub field: Option<String>,
    /// At this moment or later.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// Most lines.
    pub limit: u64,
    /// Lines to pass over.
    pub offset: u64,
}

/// Under what is kept since when the database is known to be an older copy of itself, in milliseconds since 1970, while
/// nobody has accepted that.
pub const RESTORED: &str = "restored_ms";

/// Looking at processes.
#[async_trait]
pub trait ProcessReads: Send + Sync {
    /// Those heard of lately, by name.
    async fn processes(&self) -> Result<Vec<Process>>;
    /// A page of what was logged, newest first.
    async fn logs(&self, query: &LogQuery) -> Result<Page<LogLine>>;
    /// Something that was set for all while they run.
    async fn run_time_setting(&self, name: &str) -> Result<Option<String>>;
}

/// What processes write about themselves.
#[async_trait]
pub trait ProcessWrites: Send + Sync {
    /// A process is alive; those that were not heard of for so long are forgotten.
    async fn note_alive(&self, process: &Alive, forget_after: Duration) -> Result<()>;
    /// A process has ended.
    async fn note_ended(&self, name: &str) -> Result<()>;
    /// Adds what was logged.
    async fn append_logs(&self, lines: &[LogLine]) -> Result<()>;
    /// Removes lines from before a moment, and the oldest beyond a number; how many.
    async fn trim_logs(&self, before: Timestamp, keep: u64) -> Result<u64>;
    /// Sets something for all while they run, or takes that back.
    async fn set_run_time_setting(&self, name: &str, value: Option<&str>) -> Result<()>;
}
