//! What the rest of the program may ask of the database, without knowing which one it is.
//!
//! Reads go through [`Store::reads`]; everything that changes something goes through one
//! [`UnitOfWork`], which is all or nothing. The job queue's promises stand in [`queue`].
//! No SQL here, and no policy: who may do what and what happens next is decided above.

mod account;
mod audit;
mod backup;
mod channel;
mod cluster;
mod drill;
mod error;
mod event;
mod feed;
mod figure;
mod idempotency;
mod monitoring;
mod network;
mod process;
mod project;
pub mod queue;
mod reservation;
mod schedule;
mod secret;
mod server;
mod task;
mod terraform;

pub use account::{
    AccountReads, AccountWrites, ApiKey, Factor, KeyId, NewApiKey, NewSession, Session, Throttle,
    User,
};
pub use audit::{AuditHead, AuditQuery, AuditReads, AuditRow, AuditWrites};
pub use backup::{BackupQuery, BackupReads, BackupWrites, NewBackup};
pub use channel::{ChannelReads, ChannelWrites, DeliveryQuery};
pub use cluster::{ClusterReads, ClusterWrites, NodeLimit};
pub use drill::{DrillQuery, DrillReads, DrillWrites, NewDrill};
pub use error::{Result, StoreError};
pub use event::{EventWrites, NotificationQuery, NotificationReads, NotificationView};
pub use feed::{Changed, FeedPlace, FeedReads, FeedRow, FeedWrites};
pub use figure::{FigureReads, Supplies, TaskFigure};
pub use idempotency::{IdempotencyWrites, Remembered};
pub use monitoring::{AlertQuery, AlertRow, MonitoringReads, MonitoringWrites, Publication};
pub use network::{NetworkReads, NetworkWrites};
pub use process::{
    Alive, LogLevel, LogLine, LogQuery, Process, ProcessReads, ProcessWrites, RESTORED,
};
pub use project::{ProjectReads, ProjectWrites};
pub use queue::{Claim, ClaimOrder, JobQueue, Lease, LeaseWrites, SlotAnswer, SlotNeed};
pub use reservation::{ReservationWrites, VmidRange};
pub use schedule::{NewRun, ScheduleReads, ScheduleWrites};
pub use secret::{SecretKey, SecretName, SecretReads, SecretRow, SecretVersion, SecretWrites};
pub use server::{NewServer, ServerOrder, ServerQuery, ServerReads, ServerWrites};
pub use task::{NewTask, TaskQuery, TaskReads, TaskWrites};
pub use terraform::{Fence, Locked, PlanRow, StateRow, StateWrites, TerraformStore};

use async_trait::async_trait;
use tpm_domain::Timestamp;

/// A page of a list, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows asked for.
    pub items: Vec<T>,
    /// How many rows there are without `limit` and `offset`.
    pub total: u64,
}

/// Every question that changes nothing.
pub trait Reads:
    ServerReads
    + TaskReads
    + NotificationReads
    + ChannelReads
    + SecretReads
    + FeedReads
    + ProcessReads
    + AccountReads
    + AuditReads
    + ProjectReads
    + NetworkReads
    + ClusterReads
    + MonitoringReads
    + FigureReads
    + BackupReads
    + DrillReads
    + ScheduleReads
{
}

impl<T> Reads for T where
    T: ServerReads
        + TaskReads
        + NotificationReads
        + ChannelReads
        + SecretReads
        + FeedReads
        + ProcessReads
        + AccountReads
        + AuditReads
        + ProjectReads
        + NetworkReads
        + ClusterReads
        + MonitoringReads
        + FigureReads
        + BackupReads
        + DrillReads
        + ScheduleReads
{
}

/// One transaction. Dropping it without [`commit`](Self::commit) leaves the database as it was.
#[async_trait]
pub trait UnitOfWork:
    Reads
    + ServerWrites
    + TaskWrites
    + EventWrites
    + ChannelWrites
    + SecretWrites
    + FeedWrites
    + ProcessWrites
    + AccountWrites
    + AuditWrites
    + ReservationWrites
    + LeaseWrites
    + ProjectWrites
    + NetworkWrites
    + ClusterWrites
    + MonitoringWrites
    + BackupWrites
    + DrillWrites
    + ScheduleWrites
    + IdempotencyWrites
    + StateWrites
{
    /// The database's time when the transaction began; what it writes is dated so.
    fn now(&self) -> Timestamp;

    /// Makes everything done in it durable, at once.
    ///
    /// # Errors
    /// When the database did not confirm; what was done may then be there or not.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The database.
#[async_trait]
pub trait Store: Send + Sync {
    /// Questions outside of a transaction, each seeing what is committed at its moment.
    fn reads(&self) -> Box<dyn Reads + Send + Sync + '_>;

    /// Begins a transaction that may write. On SQLite it waits for the one writer before it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer or stays locked.
    async fn begin(&self) -> Result<Box<dyn UnitOfWork + Send + Sync>>;

    /// The job queue on this database.
    fn queue(&self) -> &dyn JobQueue;

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    async fn ping(&self) -> Result<()>;

    /// This installation's name in marks, made when the database was.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn instance_id(&self) -> Result<String>;
}
