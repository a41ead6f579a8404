//! What happened, and which of it people are told.

use crate::{Failure, PowerTarget, ServerId, TaskToken, Timestamp};
use serde::{Deserialize, Serialize};

/// How a notification is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something that was asked for was done.
    Success,
    /// Worth knowing.
    Info,
    /// Done, but not quite as asked.
    Warning,
    /// Not done.
    Error,
}

impl Severity {
    /// The severity on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// A server was asked for.
    CreateRequested,
    /// A server runs as asked.
    Created,
    /// A server runs, but its guest agent never answered.
    CreatedWithoutAgent,
    /// A server could not be made; nothing is left of it.
    CreateFailed {
        /// Why.
        failure: Failure,
    },
    /// A create was cancelled and undone.
    CreateCancelled,
    /// A server's removal was asked for.
    DeleteRequested,
    /// Proxmox VE confirmed that the guest is gone.
    Deleted,
    /// The guest is still there.
    DeleteFailed {
        /// Why.
        failure: Failure,
    },
    /// A change of power was asked for.
    PowerRequested {
        /// What was asked for.
        target: PowerTarget,
    },
    /// The power is as asked.
    PowerChanged {
        /// What was asked for.
        target: PowerTarget,
    },
    /// The power is not as asked.
    PowerFailed {
        /// What was asked for.
        target: PowerTarget,
        /// Why.
        failure: Failure,
    },
    /// A task other than a create was cancelled.
    Cancelled,
    /// Leftovers could not be removed; a person has to look.
    NeedsOperator {
        /// What is known.
        failure: Failure,
    },
}

impl EventKind {
    /// How people are told, `None` when they are not.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        match self {
            Self::CreateRequested | Self::DeleteRequested | Self::PowerRequested { .. } => None,
            Self::Created | Self::Deleted | Self::PowerChanged { .. } => Some(Severity::Success),
            Self::CreateCancelled | Self::Cancelled => Some(Severity::Info),
            Self::CreatedWithoutAgent => Some(Severity::Warning),
            Self::CreateFailed { .. }
            | Self::DeleteFailed { .. }
            | Self::PowerFailed { .. }
            | Self::NeedsOperator { .. } => Some(Severity::Error),
        }
    }
}

/// Something that happened to a server, written in the transaction that made it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To which server.
    pub server: ServerId,
    /// The server's name at that moment.
    pub server_name: String,
    /// By which task.
    pub task: TaskToken,
}

/// A notification's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationId(pub i64);

/// An event that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its number.
    pub id: NotificationId,
    /// The event.
    pub event: Event,
    /// How it is meant.
    pub severity: Severity,
    /// When it happened.
    pub created_at: Timestamp,
}
