//! What happened, and which of it people are told.

use crate::{
    Alert, AlertRule, AlertState, Failure, NodeName, OnExpiry, PowerTarget, ServerId, TaskToken,
    Timestamp, Vmid,
};
use serde::{Deserialize, Serialize};

/// How a notification is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// All of them, in the order above.
    pub const ALL: [Self; 4] = [Self::Success, Self::Info, Self::Warning, Self::Error];

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
    /// Other cores, memory or disk were asked for.
    ChangeRequested,
    /// The guest is as asked; `restart` tells that some of it applies from the next start on.
    Changed {
        /// Whether a restart is needed.
        restart: bool,
    },
    /// The guest is not as asked.
    ChangeFailed {
        /// Why.
        failure: Failure,
    },
    /// A task other than a create was cancelled.
    Cancelled,
    /// The guest is gone although nobody asked for it.
    GuestMissing,
    /// A guest that was missing, or not known, is there again.
    GuestFound,
    /// A guest carried our signature and no server of this database was it: it is one again.
    Adopted {
        /// Its number.
        vmid: Vmid,
    },
    /// A guest that others made is a server now.
    Imported {
        /// Its number.
        vmid: Vmid,
        /// The engine that has it.
        engine: String,
        /// Whether another engine was asked for, which could not take it as it is.
        other_engine: bool,
    },
    /// A guest could not be taken over.
    ImportFailed {
        /// Its number.
        vmid: Vmid,
        /// Why.
        failure: Failure,
    },
    /// What was changed on the guest by hand was decided upon.
    DriftDecided {
        /// Options that the server's row took over.
        adopted: Vec<String>,
        /// Options that are left as they are from now on.
        ignored: Vec<String>,
    },
    /// Another guest stands under the server's VMID.
    IdentityConflict {
        /// Both identities.
        failure: Failure,
    },
    /// Somebody moved the guest.
    Moved {
        /// From this node.
        from: NodeName,
        /// To this one.
        to: NodeName,
    },
    /// Somebody switched the guest.
    PowerSeen {
        /// Whether it runs now.
        running: bool,
    },
    /// Somebody changed the guest by hand.
    Drifted {
        /// `name: wanted, found`.
        fields: Vec<String>,
    },
    /// The node was lost before the guest was made; it goes to another one.
    PlacedAgain {
        /// The lost node.
        from: NodeName,
        /// The new one.
        to: NodeName,
    },
    /// A guest was left over by a create that is over, and is removed.
    OrphanFound {
        /// Its number.
        vmid: Vmid,
    },
    /// That guest is gone.
    OrphanRemoved {
        /// Its number.
        vmid: Vmid,
    },
    /// That guest could not be removed.
    OrphanLeft {
        /// Its number.
        vmid: Vmid,
        /// Why.
        failure: Failure,
    },
    /// Somebody else's guest stands in our range of numbers; the number is not used.
    ForeignInRange {
        /// Its number.
        vmid: Vmid,
    },
    /// The server was taken off the list, whatever became of its guest.
    Forgotten,
    /// A lost server is made again.
    RecreateRequested,
    /// The server's time is over soon.
    ExpiresSoon {
        /// When.
        at: Timestamp,
        /// What happens then.
        action: OnExpiry,
    },
    /// The server's time is over: it is switched off, or deleted.
    Expired {
        /// What is done now.
        action: OnExpiry,
    },
    /// A backup was asked for.
    BackupRequested,
    /// A backup is there and whole.
    BackedUp {
        /// Its token.
        backup: String,
        /// How many warnings there were.
        warnings: usize,
    },
    /// A backup could not be made.
    BackupFailed {
        /// Its token.
        backup: String,
        /// Why.
        failure: Failure,
    },
    /// A backup is to be restored.
    RestoreRequested {
        /// Its token.
        backup: String,
    },
    /// The server is what it was when the backup was made.
    Restored {
        /// Its token.
        backup: String,
    },
    /// A backup could not be restored.
    RestoreFailed {
        /// Its token.
        backup: String,
        /// What was made of the server before, if it was.
        safety: Option<String>,
        /// Why, and what is left.
        failure: Failure,
    },
    /// A backup's deletion was asked for.
    BackupDeleteRequested {
        /// Its token.
        backup: String,
    },
    /// A backup is gone, as asked.
    BackupDeleted {
        /// Its token.
        backup: String,
    },
    /// A backup is still there.
    BackupDeleteFailed {
        /// Its token.
        backup: String,
        /// Why.
        failure: Failure,
    },
    /// A backup is to be tried.
    DrillRequested {
        /// Its token.
        backup: String,
    },
    /// A backup was tried, and does restore.
    Drilled {
        /// Its token.
        backup: String,
    },
    /// A backup was tried, and it is not proved to restore.
    DrillFailed {
        /// Its token.
        backup: String,
        /// Why.
        failure: Failure,
    },
    /// A backup's archive is gone, and nobody asked us for that.
    BackupMissing {
        /// Its token.
        backup: String,
    },
    /// Servers were not backed up within the window of a schedule.
    RunMissed {
        /// When they were to be.
        due_at: Timestamp,
        /// How many.
        servers: usize,
    },
    /// Leftovers could not be removed; a person has to look.
    NeedsOperator {
        /// What is known.
        failure: Failure,
    },
    /// Something has been wrong for long enough.
    AlertRaised {
        /// What was looked for.
        rule: AlertRule,
        /// How much it matters.
        severity: Severity,
        /// What was seen; of another's alert its own words.
        detail: String,
    },
    /// That is over.
    AlertResolved {
        /// What was looked for.
        rule: AlertRule,
    },
}

impl EventKind {
    /// What people are told of an alert in the state it has come to.
    #[must_use]
    pub fn of_alert(alert: &Alert) -> Self {
        if alert.state == AlertState::Resolved {
            return Self::AlertResolved { rule: alert.rule };
        }
        Self::AlertRaised {
            rule: alert.rule,
            severity: alert.severity,
            detail: alert.detail.clone(),
        }
    }

    /// How people are told, `None` when they are not.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        match self {
            Self::CreateRequested
            | Self::DeleteRequested
            | Self::PowerRequested { .. }
            | Self::ChangeRequested
            | Self::RecreateRequested
            | Self::BackupRequested
            | Self::RestoreRequested { .. }
            | Self::DrillRequested { .. }
            | Self::BackupDeleteRequested { .. } => None,
            Self::BackedUp { warnings: 0, .. }
            | Self::Restored { .. }
            | Self::Drilled { .. }
            | Self::BackupDeleted { .. } => Some(Severity::Success),
            Self::Imported {
                other_engine: false,
                ..
            } => Some(Severity::Success),
            Self::Created | Self::Deleted | Self::PowerChanged { .. } | Self::Changed { .. } => {
                Some(Severity::Success)
            }
            Self::CreateCancelled
            | Self::Cancelled
            | Self::GuestFound
            | Self::Moved { .. }
            | Self::PowerSeen { .. }
            | Self::PlacedAgain { .. }
            | Self::OrphanRemoved { .. }
            | Self::DriftDecided { .. }
            | Self::Forgotten => Some(Severity::Info),
            Self::CreatedWithoutAgent
            | Self::BackedUp { .. }
            | Self::BackupMissing { .. }
            | Self::RunMissed { .. }
            | Self::Adopted { .. }
            | Self::Imported { .. }
            | Self::Drifted { .. }
            | Self::OrphanFound { .. }
            | Self::ForeignInRange { .. }
            | Self::ExpiresSoon { .. }
            | Self::Expired { .. } => Some(Severity::Warning),
            Self::CreateFailed { .. }
            | Self::DeleteFailed { .. }
            | Self::PowerFailed { .. }
            | Self::ChangeFailed { .. }
            | Self::ImportFailed { .. }
            | Self::GuestMissing
            | Self::IdentityConflict { .. }
            | Self::OrphanLeft { .. }
            | Self::BackupFailed { .. }
            | Self::RestoreFailed { .. }
            | Self::DrillFailed { .. }
            | Self::BackupDeleteFailed { .. }
            | Self::NeedsOperator { .. } => Some(Severity::Error),
            Self::AlertRaised { severity, .. } => Some(*severity),
            Self::AlertResolved { .. } => Some(Severity::Info),
        }
    }
}

/// Something that happened to a server, written in the transaction that made it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To which server; `None` when to none of ours.
    pub server: Option<ServerId>,
    /// The server's name at that moment, or the foreign guest's.
    pub server_name: String,
    /// By which task; `None` when by none.
    pub task: Option<TaskToken>,
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
