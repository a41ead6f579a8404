//! Terraform's states, its locks and plans, and what its runs printed.
//!
//! Every write of a run is fenced: it changes nothing unless the task is still held under the epoch that the
//! writer was given. A lock is worth as much as the task behind it: one whose task was claimed again, or has ended,
//! is nobody's. Contents arrive sealed; nothing here can read them.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::{ServerId, TaskToken, Timestamp};

/// On whose behalf a write is: a task, and the claim under which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The task.
    pub task: TaskToken,
    /// Its epoch.
    pub epoch: i64,
}

/// One version of a server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Grows by one with each version.
    pub serial: u64,
    /// The state, sealed.
    pub sealed: Vec<u8>,
    /// Which task wrote it; `None` when a person put an older one back.
    pub task: Option<TaskToken>,
    /// When.
    pub at: Timestamp,
}

/// A plan, made for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// SHA-256 of the plan file, hex.
    pub hash: String,
    /// The serial of the state it was made from; 0 for none.
    pub base_serial: u64,
    /// The guest's configuration digest when it was made; `None` when there was no guest.
    pub guest_digest: Option<String>,
    /// The plan file, sealed.
    pub sealed: Vec<u8>,
    /// What it is going to do, as JSON.
    pub summary: String,
}

/// Whether a lock was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It is the asker's.
    Taken,
    /// Another run of a task that is alive holds it: what it said of itself.
    Held(String),
    /// The asker's claim is over.
    Stale,
}

/// What people do to states, in the transaction of their request.
#[async_trait]
pub trait StateWrites: Send + Sync {
    /// Writes a version for a person, who has taken the idle server before. `false` when the serial is not above
    /// the latest one.
    async fn add_state(&self, server: ServerId, serial: u64, sealed: &[u8]) -> Result<bool>;
}

/// Where Terraform's things are kept.
#[async_trait]
pub trait TerraformStore: Send + Sync {
    /// The latest version of a server's state.
    async fn latest_state(&self, server: ServerId) -> Result<Option<StateRow>>;

    /// One version of a server's state.
    async fn state(&self, server: ServerId, serial: u64) -> Result<Option<StateRow>>;

    /// All versions of a server's state, the latest first, without their contents.
    async fn states(&self, server: ServerId) -> Result<Vec<StateRow>>;

    /// Writes a version. `false` when the claim is over, or the serial is not above the latest one.
    async fn put_state(
        &self,
        server: ServerId,
        fence: &Fence,
        serial: u64,
        sealed: &[u8],
    ) -> Result<bool>;

    /// Takes the lock on a server's state. `info` is what is shown to others that want it.
    async fn lock_state(
        &self,
        server: ServerId,
        fence: &Fence,
        id: &str,
        info: &str,
    ) -> Result<Locked>;

    /// Gives a lock back; one that is not held, or is another's, is left alone.
    async fn unlock_state(&self, server: ServerId, id: &str) -> Result<()>;

    /// Who holds the lock on a server's state: what they said of themselves. A lock whose claim is over is
    /// not held.
    async fn state_lock(&self, server: ServerId) -> Result<Option<String>>;

    /// Keeps a task's plan in the place of the one before. `false` when the claim is over.
    async fn save_plan(&self, server: ServerId, fence: &Fence, plan: &PlanRow) -> Result<bool>;

    /// A task's plan.
    async fn plan(&self, task: &TaskToken) -> Result<Option<PlanRow>>;

    /// The latest plan of a server that was carried out or is to be, and the task it was made for.
    async fn latest_plan(&self, server: ServerId) -> Result<Option<(TaskToken, PlanRow)>>;

    /// Adds to a task's log.
    async fn append_log(&self, task: &TaskToken, lines: &[String]) -> Result<()>;

    /// A task's log: when each line was written, and the line.
    async fn log(&self, task: &TaskToken) -> Result<Vec<(Timestamp, String)>>;
}
