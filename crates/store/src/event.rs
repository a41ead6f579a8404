//! Events and the notifications made of them.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{Event, Notification, NotificationId, ProjectId, Severity};

/// Which notifications, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationQuery {
    /// Only about servers of these projects.
    pub within: Option<BTreeSet<ProjectId>>,
    /// Only of this kind.
    pub severity: Option<Severity>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// Questions about notifications.
#[async_trait]
pub trait NotificationReads: Send + Sync {
    /// One of them.
    async fn notification(&self, id: NotificationId) -> Result<Option<Notification>>;
    /// A page of them, newest first.
    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<Notification>>;
}

/// Writing down what happened.
#[async_trait]
pub trait EventWrites: Send + Sync {
    /// Writes an event, and its notification when people are told of that kind.
    async fn add_event(&self, event: &Event) -> Result<()>;
    /// Removes a notification; `false` when there was none.
    async fn delete_notification(&self, id: NotificationId) -> Result<bool>;
}
