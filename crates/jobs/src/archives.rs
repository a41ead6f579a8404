//! The archives on the cluster's storages beside the backups that are known: what others made is taken in, what
//! is gone is told and never dropped, what changed is written down.
//!
//! Rows are read before the storages are, and once more in the transaction that changes them, so that a backup that
//! ends in between is not taken for one that is gone.

use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{
    Archive, ArchiveSurvey, Backup, BackupNote, BackupOrigin, BackupState, BackupToken, Event,
    EventKind, Server, Verified,
};
use tpm_store::{BackupQuery, NewBackup, StoreError, UnitOfWork};

type Tx = dyn UnitOfWork + Send + Sync;

/// What a round over archives came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Taken in.
    pub found: u32,
    /// Gone.
    pub missing: u32,
    /// There again.
    pub back: u32,
    /// Otherwise not as it was known.
    pub changed: u32,
}

impl Worker {
    /// One look at every archive, whoever's turn it is.
    ///
    /// # Errors
    /// When the store does not answer; a cluster that does not is told in the log.
    pub async fn look_at_archives(&self) -> Result<Archived, StoreError> {
        let mut done = Archived::default();
        for (name, engine) in self.engines() {
            let every = BackupQuery::default();
            let known = self.store().reads().backups(&every).await?.items;
            match engine.archives().await {
                Ok(None) => {}
                Ok(Some(survey)) => self.compare_archives(&known, &survey, &mut done).await?,
                Err(error) => tracing::warn!(
                    engine = name,
                    error = &error as &dyn std::error::Error,
                    "cannot see the archives"
                ),
            }
        }
        Ok(done)
    }

    async fn compare_archives(
        &self,
        known: &[Backup],
        survey: &ArchiveSurvey,
        done: &mut Archived,
    ) -> Result<(), StoreError> {
        let mut unseen: BTreeMap<&str, Vec<&Archive>> = BTreeMap::new();
        for archive in &survey.archives {
            unseen.entry(&archive.volume).or_default().push(archive);
        }
        for backup in known {
            let Some(volume) = backup.volume.as_deref() else {
                continue;
            };
            let here = unseen.get_mut(volume).and_then(|all| {
                let its = |one: &&Archive| survey_is_of(survey, one, backup);
                let at = all.iter().position(its)?;
                Some(all.remove(at))
            });
            match here {
                Some(archive) => self.follow(backup, archive, done).await?,
                None if survey.covers(backup) => self.miss(backup, done).await?,
                None => {}
            }
        }
        let tokens: BTreeSet<&str> = known.iter().map(|one| one.token.0.as_str()).collect();
        for archive in unseen.into_values().flatten() {
            let note = archive.notes.as_deref().and_then(BackupNote::parse);
            let before = note.filter(|note| tokens.contains(note.token));
            match before {
                // Its own task is at work on it, or has given it up too early.
                Some(note) => self.arrive(note.token, archive, done).await?,
                None => self.take_archive(archive, done).await?,
            }
        }
        Ok(())
    }

    /// The backup as it is now, when it is still what the comparison began with.
    async fn unchanged(tx: &Tx, backup: &Backup) -> Result<bool, StoreError> {
        Ok(tx.backup(backup.id).await?.as_ref() == Some(backup))
    }

    async fn follow(
        &self,
        backup: &Backup,
        archive: &Archive,
        done: &mut Archived,
    ) -> Result<(), StoreError> {
        if backup.state == BackupState::Deleting || backup.state == BackupState::Pending {
            return Ok(());
        }
        let mut now = backup.clone();
        now.state = BackupState::Completed;
        now.failure = None;
        now.node = Some(archive.node.clone());
        now.protected = archive.protected;
        now.size_bytes = archive.size_bytes.or(backup.size_bytes);
        let is_ours = archive.notes.as_deref().and_then(BackupNote::parse);
        if backup.origin == BackupOrigin::Found && is_ours.is_none() {
            now.notes = archive.notes.clone().unwrap_or_default();
        }
        let tx = self.store().begin().await?;
        if archive.verified == Some(true) && now.verified.is_none() {
            now.verified = Some(Verified {
                at: tx.now(),
                how: "pbs".into(),
            });
        }
        // On a shared storage any node sees it.
        let moved_only = Backup {
            node: backup.node.clone(),
            ..now.clone()
        };
        if moved_only == *backup || !Self::unchanged(&*tx, backup).await? {
            return Ok(());
        }
        match backup.state {
            BackupState::Missing => done.back += 1,
            _ => done.changed += 1,
        }
        tx.save_backup(&now).await?;
        tx.commit().await
    }

    async fn miss(&self, backup: &Backup, done: &mut Archived) -> Result<(), StoreError> {
        if backup.state != BackupState::Completed {
            return Ok(());
        }
        let tx = self.store().begin().await?;
        if !Self::unchanged(&*tx, backup).await? {
            return Ok(());
        }
        let gone = Backup {
            state: BackupState::Missing,
            ..backup.clone()
        };
        tx.save_backup(&gone).await?;
        tx.add_event(&Event {
            kind: EventKind::BackupMissing {
                backup: backup.token.0.clone(),
            },
            server: Some(backup.server),
            server_name: backup.server_name.clone(),
            task: None,
        })
        .await?;
        tx.commit().await?;
        tracing::warn!(backup = %backup.token, volume = ?backup.volume, "an archive is gone");
        done.missing += 1;
        Ok(())
    }

    /// An archive with the note of a backup that is known without one.
    async fn arrive(
        &self,
        token: &str,
        archive: &Archive,
        done: &mut Archived,
    ) -> Result<(), StoreError> {
        let tx = self.store().begin().await?;
        let Some(mut backup) = tx.backup_named(&BackupToken(token.to_owned())).await? else {
            return Ok(());
        };
        match backup.state {
            BackupState::Pending | BackupState::Deleting => return Ok(()),
            // It has its archive: this is a copy, or one that was asked for twice.
            BackupState::Completed | BackupState::Missing => {
                drop(tx);
                return self.take_archive(archive, done).await;
            }
            BackupState::Failed if archive.vmid != Some(backup.vmid) => return Ok(()),
            BackupState::Failed => {}
        }
        let at = archive.created_at.unwrap_or(tx.now());
        backup.take(archive, at);
        tx.save_backup(&backup).await?;
        tx.commit().await?;
        done.back += 1;
        Ok(())
    }

    /// Takes in an archive of one of our guests that no backup is known for.
    async fn take_archive(&self, archive: &Archive, done: &mut Archived) -> Result<(), StoreError> {
        let Some(vmid) = archive.vmid else {
            return Ok(());
        };
        let tx = self.store().begin().await?;
        let servers = tx.servers_under(vmid).await?;
        let Some(server) = owner(&servers, archive) else {
            return Ok(());
        };
        let query = BackupQuery {
            server: Some(server.id),
            ..BackupQuery::default()
        };
        let same = |one: &Backup| {
            one.volume.as_ref() == Some(&archive.volume)
                && one.node.as_ref().is_none_or(|node| *node == archive.node)
        };
        if tx.backups(&query).await?.items.iter().any(same) {
            return Ok(());
        }
        let note = archive.notes.as_deref().and_then(BackupNote::parse);
        // A database that is older than the archive learns the name it was given.
        let token = match note {
            Some(note) => BackupToken(note.token.to_owned()),
            None => self.new_backup_token(),
        };
        let token = match tx.backup_named(&token).await? {
            Some(_) => self.new_backup_token(),
            None => token,
        };
        let text = match note {
            Some(note) => note.text,
            None => archive.notes.as_deref().unwrap_or_default(),
        };
        let new = NewBackup {
            token,
            server: server.id,
            server_name: server.name.to_string(),
            vmid,
            storage: archive.storage.clone(),
            origin: BackupOrigin::Found,
            schedule: None,
            mode: None,
            compression: None,
            notes: text.to_owned(),
            protected: archive.protected,
        };
        let id = tx.insert_backup(&new).await?;
        if let Some(mut backup) = tx.backup(id).await? {
            let at = archive.created_at.unwrap_or(tx.now());
            backup.take(archive, at);
            backup.created_at = at;
            if archive.verified == Some(true) {
                backup.verified = Some(Verified {
                    at: tx.now(),
                    how: "pbs".into(),
                });
            }
            tx.save_backup(&backup).await?;
        }
        tx.commit().await?;
        done.found += 1;
        Ok(())
    }

    pub(crate) fn new_backup_token(&self) -> BackupToken {
        // Two draws of 40 bits each.
        let draw = || (self.random() * f64::from(1_u32 << 20)) as u64;
        let part = || (draw() << 20) | draw();
        BackupToken(format!("backup_{:010x}{:010x}", part(), part()))
    }
}

/// Whether an archive under a backup's name is that backup's: on a storage that is not shared another node may have
/// one of the same name.
fn survey_is_of(survey: &ArchiveSurvey, archive: &Archive, backup: &Backup) -> bool {
    let shared = survey
        .read
        .iter()
        .any(|(node, storage)| node.is_none() && *storage == archive.storage);
    shared
        || backup
            .node
            .as_ref()
            .is_none_or(|node| *node == archive.node)
}

/// The server whose guest an archive is of, by the exact number: the one that had the guest then, or that took it
/// over later as it was.
fn owner<'a>(servers: &'a [Server], archive: &Archive) -> Option<&'a Server> {
    let then = |server: &&Server| {
        archive
            .created_at
            // Storages tell seconds, and clocks differ a little.
            .is_none_or(|at| server.created_at.0 <= at.0 + 60_000)
    };
    let taken_over = |server: &&Server| server.kept.imported;
    let mut all = servers.iter();
    all.find(then).or_else(|| servers.iter().find(taken_over))
}
