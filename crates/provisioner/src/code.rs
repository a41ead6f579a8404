//! Servers as code that people can take away, and what is known of how they were planned.

use async_trait::async_trait;
use std::fmt;
use thiserror::Error;
use tpm_domain::{PlannedChange, Server, ServerId, TaskToken, Timestamp};

/// A file of a server's code.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeFile {
    /// Where it belongs, with slashes.
    pub path: String,
    /// What is in it: a state may be.
    pub content: Vec<u8>,
}

impl fmt::Debug for CodeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

/// A version of a server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// Its serial.
    pub serial: u64,
    /// The task that wrote it.
    pub task: Option<TaskToken>,
    /// When.
    pub at: Timestamp,
}

/// A value of a state that differs between two of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The resource's address.
    pub address: String,
    /// The value's path in the resource, with dots.
    pub field: String,
    /// What it was; `None` when it was not there, or is secret.
    pub before: Option<String>,
    /// What it is; `None` when it is not there, or is secret.
    pub after: Option<String>,
    /// Whether it is not to be told.
    pub secret: bool,
}

/// A plan, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanView {
    /// SHA-256 of the plan file, hex.
    pub hash: String,
    /// The serial of the state it was made from.
    pub base_serial: u64,
    /// What it is going to do.
    pub change: PlannedChange,
}

/// A line of what a task's runs printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLine {
    /// When it was written down.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
}

/// Why code or state cannot be told.
#[derive(Debug, Error)]
pub enum CodeError {
    /// The database does not answer.
    #[error("the store does not answer")]
    Unavailable(#[source] anyhow::Error),
    /// The cluster does not answer.
    #[error("the cluster does not answer")]
    Unreachable(#[source] anyhow::Error),
    /// The guest cannot be told as code.
    #[error("{0}")]
    NotRenderable(String),
    /// It cannot be opened or read.
    #[error("state or plan cannot be read")]
    Broken(#[source] anyhow::Error),
}

/// An older version of a state, made ready to be put on top.
#[derive(Clone, PartialEq, Eq)]
pub struct OlderState {
    /// The serial that it gets: one above the latest.
    pub serial: u64,
    /// Its content under that serial, sealed.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for OlderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serial {} ({} bytes)", self.serial, self.sealed.len())
    }
}

/// What an engine that keeps servers as code can tell of them.
#[async_trait]
pub trait ServerCode: Send + Sync {
    /// Everything that a person needs to go on with a server alone; `None` for a server that has no code.
    ///
    /// # Errors
    /// When the store or the cluster does not answer, the state cannot be opened, or the guest cannot be told
    /// as code.
    async fn eject(&self, server: &Server) -> Result<Option<Vec<CodeFile>>, CodeError>;

    /// The versions of a server's state, the latest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn states(&self, server: ServerId) -> Result<Vec<StateVersion>, CodeError>;

    /// One version as it was written, JSON.
    ///
    /// # Errors
    /// When the store does not answer or the state cannot be opened.
    async fn state(&self, server: ServerId, serial: u64) -> Result<Option<String>, CodeError>;

    /// How a version differs from an earlier one, or from nothing; `None` when there is no such version.
    ///
    /// # Errors
    /// When the store does not answer or a state cannot be opened.
    async fn differences(
        &self,
        server: ServerId,
        earlier: Option<u64>,
        serial: u64,
    ) -> Result<Option<Vec<StateChange>>, CodeError>;

    /// Makes an older version ready to be put on top, which is for the caller to do; `None` when there is no
    /// such version.
    ///
    /// # Errors
    /// When the store does not answer or the state cannot be opened.
    async fn older(&self, server: ServerId, serial: u64) -> Result<Option<OlderState>, CodeError>;

    /// What a task was planned to do.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn plan(&self, task: &TaskToken) -> Result<Option<PlanView>, CodeError>;

    /// What a task's runs printed, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn log(&self, task: &TaskToken) -> Result<Vec<RunLine>, CodeError>;
}
