//! Backups.

use super::page;
use crate::rows::{Tables, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tpm_domain::{Backup, BackupId, BackupState, BackupToken, Freshness, ServerId};
use tpm_store::{BackupQuery, BackupReads, BackupWrites, NewBackup, Page, Result};

fn check(tables: &Tables, backup: &Backup) -> Result<()> {
    if !tables.servers.contains(&backup.server) {
        return Err(constraint(format!("backups: no server {}", backup.server)));
    }
    let there = matches!(backup.state, BackupState::Completed | BackupState::Missing);
    if there && backup.volume.is_none() {
        return Err(constraint(format!("backups: {} is nowhere", backup.token)));
    }
    Ok(())
}

#[async_trait]
impl<S: Source> BackupReads for Session<S> {
    async fn backup(&self, id: BackupId) -> Result<Option<Backup>> {
        Ok(self.0.look().await?.backups.get(&id).cloned())
    }

    async fn backup_named(&self, token: &BackupToken) -> Result<Option<Backup>> {
        let tables = self.0.look().await?;
        let mut all = tables.backups.values();
        Ok(all.find(|backup| backup.token == *token).cloned())
    }

    async fn freshness(&self) -> Result<BTreeMap<ServerId, Freshness>> {
        let tables = self.0.look().await?;
        let mut all: BTreeMap<ServerId, Freshness> = BTreeMap::new();
        for backup in tables.backups.values().filter(|one| one.is_good()) {
            let fresh = all.entry(backup.server).or_default();
            fresh.made_at = fresh.made_at.max(Some(backup.created_at));
            let verified = backup.verified.as_ref().map(|proof| proof.at);
            fresh.verified_at = fresh.verified_at.max(verified);
        }
        Ok(all)
    }

    async fn backups(&self, query: &BackupQuery) -> Result<Page<Backup>> {
        let tables = self.0.look().await?;
        let within = |backup: &Backup| match &query.within {
            None => true,
            Some(projects) => tables
                .project_of(backup.server)
                .is_some_and(|project| projects.contains(&project)),
        };
        let fits = |backup: &&Backup| {
            query.server.is_none_or(|id| backup.server == id)
                && query.state.is_none_or(|state| backup.state == state)
                && query.storage.as_ref().is_none_or(|s| backup.storage == *s)
                && (!query.condemned || backup.condemned_by.is_some())
                && within(backup)
        };
        let mut found: Vec<Backup> = tables.backups.values().filter(fits).cloned().collect();
        found.sort_by_key(|backup| std::cmp::Reverse((backup.created_at, backup.id)));
        Ok(page(found, query.limit, query.offset))
    }
}

#[async_trait]
impl BackupWrites for Session<Transaction> {
    async fn insert_backup(&self, new: &NewBackup) -> Result<BackupId> {
        let now = self.0.now();
        self.0.change(|tables| {
            if tables.backups.values().any(|one| one.token == new.token) {
                return Err(constraint(format!("backups: {} twice", new.token)));
            }
            let backup = Backup {
                id: BackupId(tables.next_id()),
                token: new.token.clone(),
                server: new.server,
                server_name: new.server_name.clone(),
                vmid: new.vmid,
                node: None,
                storage: new.storage.clone(),
                volume: None,
                state: BackupState::Pending,
                origin: new.origin,
                mode: new.mode,
                compression: new.compression,
                notes: new.notes.clone(),
                protected: new.protected,
                size_bytes: None,
                warnings: Vec::new(),
                failure: None,
                schedule: new.schedule,
                condemned_by: None,
                verified: None,
                created_at: now,
                finished_at: None,
            };
            check(tables, &backup)?;
            let id = backup.id;
            tables.backups.set(id, backup);
            Ok(id)
        })
    }

    async fn save_backup(&self, backup: &Backup) -> Result<()> {
        self.0.change(|tables| {
            check(tables, backup)?;
            tables.backups.set(backup.id, backup.clone());
            Ok(())
        })
    }

    async fn delete_backup(&self, id: BackupId) -> Result<()> {
        self.0.change(|tables| {
            tables.backups.remove(&id);
            Ok(())
        })
    }
}
