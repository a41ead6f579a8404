//! Schedules of backups, and their runs.

use crate::Result;
use async_trait::async_trait;
use std::collections::BTreeMap;
use tpm_domain::{
    BackupId, RunId, RunItem, RunItemId, RunItemState, RunState, Schedule, ScheduleId, ScheduleRun,
    ScheduleSpec, ServerId, Timestamp, UserId,
};

/// A run to be written, with the parts of its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// When it was due.
    pub due_at: Timestamp,
    /// How many times before it were passed over.
    pub passed_over: u32,
    /// Who asked for it outside of the calendar.
    pub asked_by: Option<UserId>,
    /// `running`, or `missed` without any parts.
    pub state: RunState,
    /// When no part may begin any more.
    pub begin_before: Option<Timestamp>,
    /// Which servers, in order, and when each may begin.
    pub items: Vec<(ServerId, Timestamp)>,
}

/// Looking at schedules.
#[async_trait]
pub trait ScheduleReads: Send + Sync {
    /// All of them, by name.
    async fn schedules(&self) -> Result<Vec<Schedule>>;
    /// One of them.
    async fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>>;
    /// The latest run of each schedule that has one.
    async fn last_runs(&self) -> Result<BTreeMap<ScheduleId, ScheduleRun>>;
    /// The parts that are waiting or started, by number, of all runs that are not over.
    async fn open_items(&self) -> Result<Vec<RunItem>>;
    /// The runs that are not over although all of their parts are.
    async fn runs_to_end(&self) -> Result<Vec<ScheduleRun>>;
}

/// Changing them.
#[async_trait]
pub trait ScheduleWrites: Send + Sync {
    /// Writes a new one.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn insert_schedule(
        &self,
        spec: &ScheduleSpec,
        next_at: Option<Timestamp>,
        by: UserId,
    ) -> Result<ScheduleId>;
    /// Writes back what was said of one, and when it is due.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn save_schedule(&self, schedule: &Schedule) -> Result<()>;
    /// Removes one with its runs; its backups stay. `false` when there is none.
    async fn delete_schedule(&self, id: ScheduleId) -> Result<bool>;
    /// Takes what is due at `at`: from now on it is due at `next`. `false` when somebody took it before, or it was
    /// changed.
    async fn take_due(
        &self,
        id: ScheduleId,
        at: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool>;
    /// Writes a run with its parts.
    async fn insert_run(&self, run: &NewRun) -> Result<RunId>;
    /// Moves a part on; `false` when it is not in that state any more.
    async fn move_item(
        &self,
        id: RunItemId,
        from: RunItemState,
        to: RunItemState,
        backup: Option<BackupId>,
    ) -> Result<bool>;
    /// Ends a run all of whose parts are over; `false` when somebody did before, or some are not.
    async fn end_run(&self, id: RunId) -> Result<bool>;
    /// Removes runs that ended before a moment, but the latest of each schedule; how many.
    async fn trim_runs(&self, before: Timestamp) -> Result<u64>;
}
