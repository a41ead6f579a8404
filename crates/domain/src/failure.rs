//! Why a task failed, in a form that can be told in any language.

use serde::{Deserialize, Serialize};

/// The kind of a failure. The detail beside it is the outside's own text, never translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// Proxmox VE said no.
    ProxmoxRefused,
    /// No endpoint of the cluster answers.
    ProxmoxUnreachable,
    /// A lock was held for too long.
    ProxmoxBusy,
    /// The cluster does not accept our credentials.
    ProxmoxAuth,
    /// An answer was lost and what happened could not be found out.
    ProxmoxAmbiguous,
    /// The role's template is not there.
    TemplateMissing,
    /// The guest under this VMID is not the one we made.
    IdentityConflict,
    /// The guest is gone.
    GuestMissing,
    /// The node a server was to be made on is gone.
    NodeLost,
    /// No node can take the server any more.
    NoCapacity,
    /// A step did not come to its end in time.
    DeadlineExceeded,
    /// No free VMID in the configured range.
    VmidsExhausted,
    /// What had been begun could not be undone; a person has to look.
    UndoFailed,
    /// Terraform ended with an error; the detail is its diagnostics.
    TerraformFailed,
    /// The plan destroys or replaces the guest or a part of it, and nobody agreed to that.
    DestructivePlan,
    /// The guest or its state was changed after the plan was made.
    StalePlan,
    /// The guest cannot be taken over; the detail says why.
    NotImportable,
    /// The backup was not made; the detail is what Proxmox VE's log says.
    BackupFailed,
    /// The backup was not restored; the detail says what is left.
    RestoreFailed,
    /// The bridge that a restored guest was to be alone on leads elsewhere, or cannot be looked at.
    NotIsolated,
    /// The command in the guest did not end with 0.
    CommandFailed,
    /// There was no room for what had to be made: no network, address, quota or node.
    NoRoom,
    /// The archive of the backup is gone.
    ArchiveMissing,
    /// It was not begun within the window of its schedule.
    WindowMissed,
    /// Whoever asked for it may not have it done any more.
    Forbidden,
    /// A defect of ours.
    Internal,
}

impl FailureCode {
    /// Every code, in the order above.
    pub const ALL: [Self; 26] = [
        Self::ProxmoxRefused,
        Self::ProxmoxUnreachable,
        Self::ProxmoxBusy,
        Self::ProxmoxAuth,
        Self::ProxmoxAmbiguous,
        Self::TemplateMissing,
        Self::IdentityConflict,
        Self::GuestMissing,
        Self::NodeLost,
        Self::NoCapacity,
        Self::DeadlineExceeded,
        Self::VmidsExhausted,
        Self::UndoFailed,
        Self::TerraformFailed,
        Self::DestructivePlan,
        Self::StalePlan,
        Self::NotImportable,
        Self::BackupFailed,
        Self::RestoreFailed,
        Self::NotIsolated,
        Self::CommandFailed,
        Self::NoRoom,
        Self::ArchiveMissing,
        Self::WindowMissed,
        Self::Forbidden,
        Self::Internal,
    ];

    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProxmoxRefused => "PROXMOX_REFUSED",
            Self::ProxmoxUnreachable => "PROXMOX_UNREACHABLE",
            Self::ProxmoxBusy => "PROXMOX_BUSY",
            Self::ProxmoxAuth => "PROXMOX_AUTH",
            Self::ProxmoxAmbiguous => "PROXMOX_AMBIGUOUS",
            Self::TemplateMissing => "TEMPLATE_MISSING",
            Self::IdentityConflict => "IDENTITY_CONFLICT",
            Self::GuestMissing => "GUEST_MISSING",
            Self::NodeLost => "NODE_LOST",
            Self::NoCapacity => "NO_CAPACITY",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::VmidsExhausted => "VMIDS_EXHAUSTED",
            Self::UndoFailed => "UNDO_FAILED",
            Self::TerraformFailed => "TERRAFORM_FAILED",
            Self::DestructivePlan => "DESTRUCTIVE_PLAN",
            Self::StalePlan => "STALE_PLAN",
            Self::NotImportable => "NOT_IMPORTABLE",
            Self::BackupFailed => "BACKUP_FAILED",
            Self::RestoreFailed => "RESTORE_FAILED",
            Self::NotIsolated => "NOT_ISOLATED",
            Self::CommandFailed => "COMMAND_FAILED",
            Self::NoRoom => "NO_ROOM",
            Self::ArchiveMissing => "ARCHIVE_MISSING",
            Self::WindowMissed => "WINDOW_MISSED",
            Self::Forbidden => "FORBIDDEN",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A failure: what kind, at which step, and what the outside said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// The step it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What the outside said, verbatim; secrets never stand here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Failure {
    /// A failure outside of any step.
    #[must_use]
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            step: None,
            detail: Some(detail.into()),
        }
    }
}
