//! Archives on storages: finding them, telling whose they are, deleting one.
//!
//! An archive is ours by the whole token at the beginning of its notes, or by its exact name in the log of
//! the task that wrote it; never by a part of either. Nothing is deleted whose guest and notes are not those of
//! the backup.

use crate::ProxmoxProvisioner;
use crate::error::{of_read, of_write};
use crate::guest::Begun;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tpm_domain::{
    Archive, ArchiveSurvey, Backup, BackupNote, BackupOrigin, FailureCode, NodeName, Timestamp,
    Vmid,
};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, StepCall};
use tpm_pve_client::{Resource, Volume};

/// How old the list of storages may be that says where an archive can be read.
const LATELY: Duration = Duration::from_secs(10);

/// A listed volume as an archive.
fn archive(node: &str, storage: &str, volume: Volume) -> Option<Archive> {
    let seconds = |secs: u64| i64::try_from(secs).ok().map(|s| Timestamp(s * 1000));
    Some(Archive {
        node: NodeName(node.to_owned()),
        storage: storage.to_owned(),
        volume: volume.volid?,
        vmid: volume.vmid.map(Vmid),
        size_bytes: volume.size,
        created_at: volume.ctime.and_then(seconds),
        notes: volume.notes,
        protected: volume.protected.unwrap_or_default(),
        verified: volume.verification.map(|found| found.state == "ok"),
        warnings: Vec::new(),
    })
}

/// Whether an archive may be that of a backup that has one: its name, its guest, and our note where we left one.
fn is_its(archive: &Archive, backup: &Backup) -> bool {
    let note = archive.notes.as_deref().and_then(BackupNote::parse);
    let noted = match note {
        Some(note) => note.token == backup.token.0,
        // Notes can be edited by anybody; the name is the archive's own.
        None => true,
    };
    let found = backup.origin == BackupOrigin::Found;
    Some(&archive.volume) == backup.volume.as_ref()
        && archive.vmid == Some(backup.vmid)
        && (noted || found)
}

/// A storage as the nodes see it that can use it now.
fn available<'a>(list: &'a [Resource], storage: &'a str) -> impl Iterator<Item = &'a Resource> {
    list.iter().filter(move |r| {
        r.kind == "storage"
            && r.storage.as_deref() == Some(storage)
            && r.status.as_deref() == Some("available")
    })
}

impl ProxmoxProvisioner {
    /// The archives of a guest on a storage, as a node sees them.
    pub(crate) async fn archives_of(
        &self,
        node: &str,
        storage: &str,
        vmid: Option<Vmid>,
    ) -> Result<Vec<Archive>, ProvisionError> {
        let vmid = vmid.map(|vmid| vmid.0);
        let all = self
            .client
            .storage_content(node, storage, Some("backup"), vmid)
            .await;
        let all = all.map_err(|error| of_read(&error))?;
        Ok(all
            .into_iter()
            .filter(|volume| volume.subtype.as_deref() != Some("lxc"))
            .filter_map(|volume| archive(node, storage, volume))
            .collect())
    }

    /// A node that can read a backup's archive: the one that made it, or any when all share the storage.
    pub(crate) async fn reader(&self, backup: &Backup) -> Result<String, ProvisionError> {
        let list = self.watch.recent(LATELY).await;
        let list = list.map_err(|error| of_read(&error))?;
        let made = backup.node.as_ref().map(|node| node.0.as_str());
        let its_own = |r: &&Resource| made.is_some() && r.node.as_deref() == made;
        let found = available(&list, &backup.storage)
            .find(its_own)
            .or_else(|| available(&list, &backup.storage).find(|r| r.shared == Some(true)))
            .and_then(|r| r.node.clone());
        found.or_else(|| made.map(str::to_owned)).ok_or_else(|| {
            let text = format!("no node has storage {}", backup.storage);
            ProvisionError::new(Fate::NotSent, FailureCode::ProxmoxUnreachable, text)
        })
    }

    /// A backup's archive as it is now; `None` when it is not there.
    pub(crate) async fn archive_now(
        &self,
        node: &str,
        backup: &Backup,
    ) -> Result<Option<Archive>, ProvisionError> {
        let all = self.archives_of(node, &backup.storage, Some(backup.vmid));
        let mut all = all.await?.into_iter();
        Ok(all.find(|archive| Some(&archive.volume) == backup.volume.as_ref()))
    }

    pub(crate) async fn observe_erase(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let backup = wanted(call)?;
        if backup.volume.is_none() {
            return Ok(absent());
        }
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Failed(error) => Some(error),
            Begun::Nothing | Begun::Ended => None,
        };
        let node = self.reader(backup).await?;
        let Some(archive) = self.archive_now(&node, backup).await? else {
            return Ok(absent());
        };
        match failed {
            Some(error) if error.fate != Fate::Ask => Err(error),
            _ => {
                refuse_strange(&archive, backup)?;
                Ok(Observed::Needed(
                    json!({ "node": node, "volume": archive.volume }),
                ))
            }
        }
    }

    /// Whose it is, is read once more right before.
    pub(crate) async fn act_erase(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let backup = wanted(call)?;
        let node = intent["node"].as_str().unwrap_or_default();
        let Some(archive) = self.archive_now(node, backup).await? else {
            return Ok(Acted::default());
        };
        refuse_strange(&archive, backup)?;
        let begun = self.client.delete_volume(node, &archive.volume).await;
        match begun.map_err(|error| of_write(&error))? {
            Some(upid) => Ok(self.begun_task(call.server.vmid, &upid)),
            None => Ok(Acted::default()),
        }
    }

    /// Every storage that may hold archives, a shared one asked of one node. A storage that does not answer is
    /// left out.
    pub(crate) async fn all_archives(&self) -> Result<ArchiveSurvey, ProvisionError> {
        let list = self.watch.recent(LATELY).await;
        let list = list.map_err(|error| of_read(&error))?;
        let mut survey = ArchiveSurvey::default();
        let mut asked = BTreeSet::new();
        for one in list.iter().filter(|r| r.kind == "storage") {
            let (Some(node), Some(storage)) = (&one.node, &one.storage) else {
                continue;
            };
            let holds = one.content.iter().any(|content| content == "backup");
            if !holds || one.status.as_deref() != Some("available") {
                continue;
            }
            let shared = one.shared == Some(true);
            if shared && !asked.insert(storage.clone()) {
                continue;
            }
            match self.archives_of(node, storage, None).await {
                Ok(archives) => {
                    let whose = (!shared).then(|| NodeName(node.clone()));
                    survey.read.push((whose, storage.clone()));
                    survey.archives.extend(archives);
                }
                Err(error) => {
                    tracing::debug!(node, storage, %error, "cannot list archives");
                }
            }
        }
        Ok(survey)
    }
}

fn absent() -> Observed {
    Observed::Done {
        evidence: json!({ "archive": "absent" }),
        learned: Learned::default(),
    }
}

/// The backup a call is about.
pub(crate) fn wanted<'a>(call: &StepCall<'a>) -> Result<&'a Backup, ProvisionError> {
    call.backup.ok_or_else(|| {
        let text = "a step of backups without a backup";
        ProvisionError::new(Fate::Refused, FailureCode::Internal, text)
    })
}

/// What is not the backup's archive, or is kept, is not deleted.
fn refuse_strange(archive: &Archive, backup: &Backup) -> Result<(), ProvisionError> {
    let refused = |code, text| Err(ProvisionError::new(Fate::Refused, code, text));
    if !is_its(archive, backup) {
        let text = format!(
            "{}: expected {} of VM {}; found {:?}",
            archive.volume, backup.token, backup.vmid, archive.notes
        );
        return refused(FailureCode::IdentityConflict, text);
    }
    if archive.protected {
        let text = format!("{} is protected", archive.volume);
        return refused(FailureCode::ProxmoxRefused, text);
    }
    Ok(())
}
