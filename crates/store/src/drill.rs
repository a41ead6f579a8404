//! Restore drills.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{
    BackupId, BackupToken, Drill, DrillId, DrillSpec, DrillState, DrillToken, Failure, ProjectId,
    RunItemId, ScheduleId, ServerId, TaskToken, Timestamp, UserId,
};

/// Which drills, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrillQuery {
    /// Only of backups of this server.
    pub server: Option<ServerId>,
    /// Only of this backup.
    pub backup: Option<BackupToken>,
    /// Only in this state.
    pub state: Option<DrillState>,
    /// Only the one of this part of a run.
    pub item: Option<RunItemId>,
    /// Only of servers of these projects.
    pub within: Option<BTreeSet<ProjectId>>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// A drill to be written: `running`, or `failed` when there was no room for it.
#[derive(Clone, Debug)]
pub struct NewDrill {
    /// Its public name, unique.
    pub token: DrillToken,
    /// The backup that is tried.
    pub backup: BackupId,
    /// That backup's name.
    pub backup_token: BackupToken,
    /// Whose backup it is.
    pub server: ServerId,
    /// That server's name.
    pub server_name: String,
    /// What it is to prove.
    pub spec: DrillSpec,
    /// The part of a run of a schedule that it is.
    pub item: Option<RunItemId>,
    /// That schedule.
    pub schedule: Option<ScheduleId>,
    /// Who asked for it.
    pub asked_by: UserId,
    /// Why it does not begin at all.
    pub failure: Option<Failure>,
}

/// Questions about drills.
#[async_trait]
pub trait DrillReads: Send + Sync {
    /// One drill, by its number.
    async fn drill(&self, id: DrillId) -> Result<Option<Drill>>;
    /// One drill, by its public name.
    async fn drill_named(&self, token: &DrillToken) -> Result<Option<Drill>>;
    /// A page of drills.
    async fn drills(&self, query: &DrillQuery) -> Result<Page<Drill>>;
}

/// Changes to drills.
#[async_trait]
pub trait DrillWrites: Send + Sync {
    /// Writes a new one.
    async fn insert_drill(&self, drill: &NewDrill) -> Result<DrillId>;
    /// Says which server is made for it, and by which task.
    async fn begin_drill(&self, id: DrillId, guest: ServerId, task: &TaskToken) -> Result<()>;
    /// Writes how it came out, unless that is written: state, failure, evidence and digest. `false` when it was.
    async fn decide_drill(&self, drill: &Drill) -> Result<bool>;
    /// Says that nothing is left of its guest.
    async fn clear_drill(&self, id: DrillId) -> Result<()>;
    /// Removes drills that came out before a moment, but the latest of each server; how many.
    async fn trim_drills(&self, before: Timestamp) -> Result<u64>;
}
