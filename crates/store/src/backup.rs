//! Backups.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{
    Backup, BackupId, BackupMode, BackupOrigin, BackupState, BackupToken, Compression, Freshness,
    ProjectId, ScheduleId, ServerId, Vmid,
};

/// Which backups, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupQuery {
    /// Only of this server.
    pub server: Option<ServerId>,
    /// Only in this state.
    pub state: Option<BackupState>,
    /// Only on this storage.
    pub storage: Option<String>,
    /// Only those that retention says go.
    pub condemned: bool,
    /// Only of servers of these projects.
    pub within: Option<BTreeSet<ProjectId>>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// A backup to be written, state `pending`.
#[derive(Clone, Debug)]
pub struct NewBackup {
    /// Its public name, unique.
    pub token: BackupToken,
    /// Of which server's guest.
    pub server: ServerId,
    /// That server's name.
    pub server_name: String,
    /// The guest's number.
    pub vmid: Vmid,
    /// Where it goes.
    pub storage: String,
    /// Where it comes from.
    pub origin: BackupOrigin,
    /// The schedule that makes it.
    pub schedule: Option<ScheduleId>,
    /// How the guest is treated.
    pub mode: Option<BackupMode>,
    /// How it is packed.
    pub compression: Option<Compression>,
    /// What people say about it.
    pub notes: String,
    /// Whether it is kept from deletion.
    pub protected: bool,
}

/// Questions about backups.
#[async_trait]
pub trait BackupReads: Send + Sync {
    /// One backup, by its number.
    async fn backup(&self, id: BackupId) -> Result<Option<Backup>>;
    /// One backup, by its public name.
    async fn backup_named(&self, token: &BackupToken) -> Result<Option<Backup>>;
    /// How new what can be restored of each server is; servers without are not in it.
    async fn freshness(&self) -> Result<BTreeMap<ServerId, Freshness>>;
    /// A page of backups.
    async fn backups(&self, query: &BackupQuery) -> Result<Page<Backup>>;
}

/// Changes to backups.
#[async_trait]
pub trait BackupWrites: Send + Sync {
    /// Writes a new one.
    async fn insert_backup(&self, backup: &NewBackup) -> Result<BackupId>;
    /// Writes back everything of a backup but whose it is and what it is called.
    async fn save_backup(&self, backup: &Backup) -> Result<()>;
    /// Takes its row away: its archive is gone, as asked.
    async fn delete_backup(&self, id: BackupId) -> Result<()>;
}
