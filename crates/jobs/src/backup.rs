//! What tasks about backups mean for the backups' rows: loaded with the task, written in the transactions of its
//! steps and of its end.

use crate::run::{Run, Stop, Tx};
use tpm_domain::{
    Backup, BackupBounds, BackupId, BackupPayload, BackupState, Drill, EventKind, Failure,
    FailureCode, Server, ServerState, StepState, Task, TaskKind, TaskState, Verified,
};
use tpm_provisioner::{Learned, Operation};
use tpm_store::Reads;

/// The step that backs up what is there before another backup is restored over it.
const SAFETY: &str = "safety";

/// The backups that a task is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backups {
    /// The one that is made, restored or deleted.
    pub(crate) subject: Option<Backup>,
    /// The one that is made before.
    pub(crate) safety: Option<Backup>,
    /// What a schedule says of it.
    pub(crate) bounds: Option<BackupBounds>,
    /// The drill that it is tried by.
    pub(crate) drill: Option<Drill>,
}

impl Backups {
    /// Those that the task's payload names; none for other tasks.
    pub(crate) async fn load(reads: &(dyn Reads + Send + Sync), task: &Task) -> Result<Self, Stop> {
        if !task.kind.is_of_backups() {
            return Ok(Self::default());
        }
        let payload = task.payload.as_deref().unwrap_or_default();
        let payload: BackupPayload = serde_json::from_str(payload)
            .map_err(|error| Stop::Broken(format!("its payload: {error}")))?;
        let gone = |id: BackupId| Stop::Broken(format!("backup {id} is gone"));
        let drill = match payload.drill {
            Some(id) => reads.drill(id).await?,
            None => None,
        };
        if task.kind == TaskKind::DrillBackup && drill.is_none() {
            return Err(Stop::Broken("its drill is gone".into()));
        }
        let subject = reads.backup(payload.backup).await?;
        let safety = match payload.safety {
            Some(id) => Some(reads.backup(id).await?.ok_or_else(|| gone(id))?),
            None => None,
        };
        // One that is tried may be deleted meanwhile: the archive is gone then, and what was made of it goes too.
        if subject.is_none() && drill.is_none() {
            return Err(gone(payload.backup));
        }
        Ok(Self {
            subject,
            safety,
            bounds: payload.bounds,
            drill,
        })
    }
}

impl Run<'_> {
    /// Whether it may not be begun any more.
    pub(crate) fn is_past_its_window(&self) -> bool {
        let bounds = self.backups.bounds;
        let before = bounds.and_then(|bounds| bounds.begin_before);
        before.is_some_and(|before| self.now() > before)
    }

    fn subject_token(&self) -> String {
        let subject = self.backups.subject.as_ref();
        subject.map_or_else(String::new, |backup| backup.token.0.clone())
    }

    /// Writes down the archive that a step made, in the step's own transaction; the backups as they are then.
    pub(crate) async fn keep_archive(
        &self,
        tx: &Tx,
        step: &str,
        learned: Option<&Learned>,
    ) -> Result<Backups, Stop> {
        let mut backups = self.backups.clone();
        let Some(archive) = learned.and_then(|learned| learned.archive.as_deref()) else {
            return Ok(backups);
        };
        let made = match step {
            SAFETY => &mut backups.safety,
            _ => &mut backups.subject,
        };
        if let Some(backup) = made {
            backup.take(archive, self.now());
            tx.save_backup(backup).await?;
        }
        Ok(backups)
    }

    /// Takes the size that a restored disk has into the row, unless the project may not have so much.
    pub(crate) async fn keep_disk(
        &self,
        tx: &Tx,
        server: &mut Server,
        learned: Option<&Learned>,
    ) -> Result<(), Stop> {
        let Some(disk_gb) = learned.and_then(|learned| learned.disk_gb) else {
            return Ok(());
        };
        let more = u64::from(disk_gb.saturating_sub(server.spec.disk_gb));
        let project = tx.project(server.project).await?;
        let fits = project.is_some_and(|project| {
            let limit = project.quota.disk_gb;
            limit.is_none_or(|limit| project.usage.disk_gb + more <= limit)
        });
        // Otherwise the sweep tells it as drift.
        if fits {
            server.spec.disk_gb = disk_gb;
        }
        Ok(())
    }

    pub(crate) async fn finish_backup(&mut self) -> Result<(), Stop> {
        let kind = match self.operation {
            Operation::EraseBackup => EventKind::BackupDeleted {
                backup: self.subject_token(),
            },
            _ => EventKind::BackedUp {
                backup: self.subject_token(),
                warnings: self
                    .backups
                    .subject
                    .as_ref()
                    .map_or(0, |b| b.warnings.len()),
            },
        };
        let tx = self.fenced().await?;
        if let (Operation::EraseBackup, Some(backup)) = (self.operation, &self.backups.subject) {
            tx.delete_backup(backup.id).await?;
        }
        tx.add_event(&self.event(kind)).await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// The guest is what the backup says: the backup is known to restore.
    pub(crate) async fn finish_restored(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = self.seen_state().await;
        server.problem = None;
        server.drift.clear();
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        self.tell_restored(&tx).await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    pub(crate) async fn finish_restored_new(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = ServerState::Running;
        server.problem = None;
        let mut steps = self.claim.steps.iter();
        let silent = steps.any(|step| step.state == StepState::Skipped);
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        if silent {
            let kind = EventKind::CreatedWithoutAgent;
            tx.add_event(&self.event(kind)).await?;
        }
        self.tell_restored(&tx).await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    async fn tell_restored(&self, tx: &Tx) -> Result<(), Stop> {
        if let Some(subject) = &self.backups.subject
            && let Some(mut backup) = tx.backup(subject.id).await?
        {
            backup.verified = Some(Verified {
                at: self.now(),
                how: "restore".into(),
            });
            tx.save_backup(&backup).await?;
        }
        let backup = self.subject_token();
        tx.add_event(&self.event(EventKind::Restored { backup }))
            .await?;
        Ok(())
    }

    /// What becomes of the backups when their task did not come to its end.
    pub(crate) async fn let_backups_go(
        &self,
        tx: &Tx,
        failure: Option<&Failure>,
    ) -> Result<(), Stop> {
        match (self.operation, &self.backups.subject) {
            (Operation::Backup, Some(backup)) => self.not_made(tx, backup, failure).await?,
            (Operation::EraseBackup, Some(backup)) => {
                let mut backup = backup.clone();
                // It is asked for again when retention is next, not at once and for ever.
                backup.condemned_by = None;
                let gone = failure.is_some_and(|why| why.code == FailureCode::ArchiveMissing);
                backup.state = match (&backup.volume, gone) {
                    (None, _) => BackupState::Failed,
                    (Some(_), true) => BackupState::Missing,
                    (Some(_), false) => BackupState::Completed,
                };
                tx.save_backup(&backup).await?;
            }
            (Operation::Restore | Operation::RestoreNew, Some(backup))
                if failure.is_some_and(|why| why.code == FailureCode::ArchiveMissing) =>
            {
                let mut backup = backup.clone();
                backup.state = BackupState::Missing;
                tx.save_backup(&backup).await?;
            }
            _ => {}
        }
        match &self.backups.safety {
            Some(safety) => self.not_made(tx, safety, failure).await,
            None => Ok(()),
        }
    }

    /// One that is not there: told as failed, or, when nobody wants it any more, not told at all.
    async fn not_made(
        &self,
        tx: &Tx,
        backup: &Backup,
        failure: Option<&Failure>,
    ) -> Result<(), Stop> {
        if backup.state != BackupState::Pending {
            return Ok(());
        }
        match failure {
            None => tx.delete_backup(backup.id).await?,
            Some(failure) => {
                let mut backup = backup.clone();
                backup.state = BackupState::Failed;
                backup.failure = Some(failure.clone());
                tx.save_backup(&backup).await?;
            }
        }
        Ok(())
    }

    /// How people are told that a task about backups failed.
    pub(crate) fn backup_failed(&self, failure: Failure) -> EventKind {
        let backup = self.subject_token();
        match self.operation {
            Operation::EraseBackup => EventKind::BackupDeleteFailed { backup, failure },
            Operation::Restore | Operation::RestoreNew => EventKind::RestoreFailed {
                backup,
                safety: self.there_before(),
                failure,
            },
            _ => EventKind::BackupFailed { backup, failure },
        }
    }

    /// The backup of what was there before, when it is whole.
    fn there_before(&self) -> Option<String> {
        let safety = self.backups.safety.as_ref()?;
        safety.is_good().then(|| safety.token.0.clone())
    }

    /// The failure of a restore names what was made of the server before.
    pub(crate) fn with_safety(&self, failure: Failure) -> Failure {
        match (self.operation, self.there_before()) {
            (Operation::Restore, Some(safety)) => Failure {
                detail: Some(format!(
                    "{}; safety backup: {safety}",
                    failure.detail.unwrap_or_default()
                )),
                ..failure
            },
            _ => failure,
        }
    }
}
