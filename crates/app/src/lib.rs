//! What people can ask of the service, one file per resource: authorize → decide → write → enqueue.
//!
//! A use case never calls the outside: it writes the row, the task and the event in one transaction,
//! and a worker does the rest. No HTTP, no SQL; who called and in which language is not known here.

mod account;
mod audit;
mod backup;
mod breached;
mod channel;
mod cluster;
mod ctx;
mod error;
mod factor;
mod figures;
mod first;
mod key;
mod live;
mod monitoring;
mod network;
mod notification;
mod policy;
mod project;
mod role;
mod secret;
mod server;
mod system;
mod task;
mod turn;
mod user;

pub use account::{
    Credential, DeviceToken, LoggedIn, LoginAttempt, SESSION_ABSOLUTE, SESSION_IDLE, SessionToken,
};
pub use audit::AuditCheck;
pub use backup::{
    BackupAccepted, BackupDeletion, BackupDraft, Booked, Booking, DrillAccepted, DrillDraft,
    NotBooked, PruneDraft, RestoreDraft, RestoreTarget, RetentionDraft, RunAccepted, ScheduleDraft,
    ScheduleView, TargetDraft, book_drill,
};
pub use channel::{ChannelDraft, ChannelKey, ChannelView, Channels};
pub use cluster::ClusterView;
pub use ctx::{App, AppParts, Ctx, IdempotencyKey, Origin, Random};
pub use error::{AppError, Result};
pub use factor::Enrolment;
pub use figures::{Figures, MetricsForm, OwnMetrics};
pub use key::{KeyDraft, MadeKey, is_key};
pub use live::{Following, LiveEvent, LiveThing};
pub use monitoring::{
    Dashboards, ExporterStatus, GrafanaStatus, Measured, MetricsHistory, MetricsView,
    MonitoringStatus, PrometheusStatus, Published, SentAlert, ServerMetrics, SilentExporter,
    Source,
};
pub use network::{NetworkChange, NetworkView};
pub use policy::{BackupPolicy, DrillPolicy, Limits, NetworkDefaults, Policy, RoleProfile};
pub use project::{Bound, ProjectChange, QuotaChange};
pub use secret::{MAX_SECRET, Secrets};
pub use server::{
    Accepted, BulkAccepted, BulkPowerOutcome, ChangeOutcome, DriftChoice, ExpiryDraft, ImportDraft,
    NetworkDraft, PlacementDraft, PlannedServer, PowerOutcome, ServerChange, ServerDraft,
    ServerView, SharedNetwork,
};
pub use system::{
    ConfigView, HostResources, HostUse, LOG_LEVEL, Probed, ProcessView, ServiceProbe, ServiceState,
    ServiceStatus, SettingValue, SettingView, SystemStatus,
};
pub use task::TaskView;
/// What is measured; re-exported so that callers need not know who measures.
pub use tpm_monitoring::{Figure, Point, Readings, Reload, Span, TargetGroup, Why};
/// Which URLs channels may have; re-exported so that callers need not know who sends.
pub use tpm_notify::Policy as HookPolicy;
/// Servers as code, and what was planned; re-exported so that callers need not know the port.
pub use tpm_provisioner::{CodeFile, PlanView, RunLine, StateChange, StateVersion};
/// What secrets are; re-exported so that callers need not know where they are kept.
pub use tpm_secrets::{Deletion, SecretData, StoreStatus, VersionInfo};
/// How lists are asked for; re-exported so that callers need not know the store.
pub use tpm_store::{
    AlertQuery, AlertRow, ApiKey, AuditQuery, AuditRow, BackupQuery, DeliveryQuery, DrillQuery,
    FeedPlace, KeyId, LogLevel, LogLine, LogQuery, NotificationQuery, NotificationView, Page,
    ServerOrder, ServerQuery, Session, Supplies, TaskFigure, TaskQuery,
};
pub use user::{AssignmentDraft, UserDraft, UserView, session_id};
