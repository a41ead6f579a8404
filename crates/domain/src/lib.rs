//! What a server, an address, a task and a person are, and the rules that hold for them everywhere.
//!
//! Nothing here talks to the outside, reads a clock or rolls dice: time and randomness arrive as
//! arguments. The types are not the wire format (the api crate has its own) and not the rows (the
//! store has its own); they are what every other crate agrees on.

mod access;
mod address_network;
mod alert;
mod audit;
mod backup;
mod channel;
mod clock;
mod cluster;
mod drill;
mod error;
mod event;
mod exporter;
mod failure;
mod figures;
mod guest;
mod ids;
pub mod job;
mod mark;
mod network;
mod placement;
mod plan;
mod project;
mod retention;
mod schedule;
mod server;
mod task;

pub use access::{Actor, Assignment, Grant, Permission, Permissions, Reach, Role, UserId};
pub use address_network::{DEFAULT_NETWORK, MAX_NETWORK_SIZE, Network, NetworkSpec};
pub use alert::{Alert, AlertId, AlertRule, AlertState, Patience, Seen, Verdict};
pub use audit::{AuditEntry, AuditTarget};
pub use backup::{
    Archive, ArchiveSurvey, Backup, BackupBounds, BackupId, BackupMode, BackupNote, BackupOrigin,
    BackupPayload, BackupState, BackupToken, Compression, SizeText, Verified,
};
pub use channel::{
    Backlog, Channel, ChannelFormat, ChannelId, ChannelLanguage, ChannelSpec, Delivery, DeliveryId,
    DeliveryState, HookUrl, Outcome, UrlFault,
};
pub use clock::{Clock, Timestamp};
pub use cluster::{
    ClusterPicture, ForeignAddress, GuestEntry, NodeView, StorageView, Survey, TemplateView,
};
pub use drill::{Drill, DrillGoal, DrillId, DrillSpec, DrillState, DrillToken, DrillWish};
pub use error::{Conflict, Error, FieldError, FieldErrors, Reason, ResourceKind, Shortage};
pub use event::{Event, EventKind, Notification, NotificationId, Severity};
pub use exporter::{Exporter, ExporterCare, ExporterState};
pub use failure::{Failure, FailureCode};
pub use figures::{Counted, GuestFigures, GuestUse, ServerFigures};
pub use guest::{GuestSize, GuestView, Identity, IdentityMismatch, PowerState};
pub use ids::{NetworkId, NodeName, ProjectId, ServerId, TaskId, TaskToken, Vmid};
pub use mark::{MARK_PREFIX, Mark, MarkParseError, described_as, find_mark_line};
pub use network::{
    AddressPlan, AddressPool, Ipv4Range, Nic, RangeError, StaticAddress, in_subnet, subnet_size,
};
pub use placement::{
    Placement, PlacementAsk, PlacementPolicy, PlacementReason, PlacementRules, PlacementWish,
    Promised, Spread, Unfit, free_on, limits_of, place, room_to_grow,
};
pub use plan::{ChangeEffect, PlanAction, PlannedChange, PlannedField};
pub use project::{DEFAULT_PROJECT, Project, Quota, QuotaShortage, Usage};
pub use retention::{Keeps, Mark as PruneMark, Prunable, Retention};
pub use schedule::{
    Freshness, Lack, RunId, RunItem, RunItemId, RunItemState, RunState, Schedule, ScheduleId,
    ScheduleRun, ScheduleSpec, ServerSelector, Ways, next_to_begin,
};
pub use server::{
    ChangePayload, Drift, Expiry, ExpiryStage, ImportPayload, Kept, OnExpiry, PowerTarget, Rung,
    RungReached, Server, ServerName, ServerSpec, ServerState,
};
pub use task::{
    BulkPolicy, ChildSummary, StepRecord, StepState, Task, TaskKind, TaskNote, TaskState,
    parent_state,
};
