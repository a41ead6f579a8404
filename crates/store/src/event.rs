//! Events and the notifications made of them.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{Event, Notification, NotificationId, ProjectId, Severity, Timestamp, UserId};

/// Which notifications, newest first. One that its reader removed is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationQuery {
    /// Who reads.
    pub reader: UserId,
    /// Only those the reader has not read, or only those it has.
    pub unread: Option<bool>,
    /// Only about servers of these projects.
    pub within: Option<BTreeSet<ProjectId>>,
    /// Only of this kind.
    pub severity: Option<Severity>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

impl NotificationQuery {
    /// All that somebody has.
    #[must_use]
    pub fn of(reader: UserId) -> Self {
        Self {
            reader,
            unread: None,
            within: None,
            severity: None,
            limit: None,
            offset: 0,
        }
    }
}

/// A notification, as its reader has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationView {
    /// The notification.
    pub notification: Notification,
    /// When the reader read it.
    pub read_at: Option<Timestamp>,
}

/// Questions about notifications.
#[async_trait]
pub trait NotificationReads: Send + Sync {
    /// One of them.
    async fn notification(&self, id: NotificationId) -> Result<Option<Notification>>;
    /// A page of them, newest first.
    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<NotificationView>>;
    /// Whether somebody has it, and when it was read: not when it is removed.
    async fn notification_of(
        &self,
        reader: UserId,
        id: NotificationId,
    ) -> Result<Option<NotificationView>>;
}

/// Writing down what happened.
#[async_trait]
pub trait EventWrites: Send + Sync {
    /// Writes an event, and its notification when people are told of that kind.
    async fn add_event(&self, event: &Event) -> Result<()>;
    /// Notes of these notifications that somebody has read them, or has not.
    async fn mark_notifications(
        &self,
        reader: UserId,
        ids: &[NotificationId],
        read: bool,
    ) -> Result<()>;
    /// Removes a notification from what somebody has.
    async fn hide_notification(&self, reader: UserId, id: NotificationId) -> Result<()>;
}
