//! Who did what: a chain of rows, each bound to the one before it.

use crate::{Page, Result};
use async_trait::async_trait;
use tpm_domain::{AuditEntry, ProjectId, Timestamp, UserId};

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place, from 1, without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub entry: AuditEntry,
    /// What binds it to the row before it (hex).
    pub link: String,
}

/// The end of the chain, kept beside it: a row that is cut off there is missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// Place of the last row; 0 when there is none.
    pub seq: i64,
    /// Its link.
    pub link: String,
    /// What binds the two above (hex).
    pub seal: String,
}

/// Which rows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this person's.
    pub actor: Option<UserId>,
    /// Only actions that contain this text.
    pub action: Option<String>,
    /// Only about this kind of thing.
    pub target_kind: Option<String>,
    /// Only about the thing of this id.
    pub target: Option<String>,
    /// Only this project's.
    pub project: Option<ProjectId>,
    /// Only those that were refused, or only those that were not.
    pub refused: Option<bool>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only rows with a lower place.
    pub below: Option<i64>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// Questions about what was done.
#[async_trait]
pub trait AuditReads: Send + Sync {
    /// A page of rows, newest first.
    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>>;
    /// Up to `limit` rows behind `after`, in the order of the chain.
    async fn audit_after(&self, after: i64, limit: u64) -> Result<Vec<AuditRow>>;
    /// The end of the chain.
    async fn audit_head(&self) -> Result<AuditHead>;
}

/// Writing down what is done.
#[async_trait]
pub trait AuditWrites: Send + Sync {
    /// The end of the chain, kept from others until the transaction ends.
    async fn lock_audit(&self) -> Result<AuditHead>;
    /// Adds a row behind the end, which becomes `head`.
    async fn append_audit(&self, row: &AuditRow, head: &AuditHead) -> Result<()>;
}
