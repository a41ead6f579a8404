//! Backing a guest up: one archive, with our note at the beginning of its notes.
//!
//! A backup that is asked for twice is made twice, so it is only asked for when neither an archive nor a task
//! of PVE's carries the note. PVE's task says `OK` or `job errors`; what went wrong stands in its log alone.

use crate::ProxmoxProvisioner;
use crate::archive::wanted;
use crate::error::{look_again, of_read, of_value, of_write};
use crate::guest::Begun;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tpm_domain::{
    Archive, Backup, BackupBounds, BackupMode, BackupNote, Compression, Failure, FailureCode,
};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, Slot, SlotWidth, StepCall};
use tpm_pve_client::{BackupRequest, LogLine, TaskFilter, TaskSource, TaskStatus, Upid};

/// More lines than a backup's log has.
const WHOLE_LOG: u64 = 5_000;

/// What is about to be backed up, written down before it is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct DumpIntent {
    node: String,
    vmid: u32,
    storage: String,
    /// The storage's name for counting.
    counted: String,
    /// What the archive is known by.
    note: String,
    /// Backups of the guest that were begun before.
    known: Vec<String>,
}

/// The backup that a step makes; `None` for a safety backup that nobody wants.
fn made<'a>(call: &StepCall<'a>) -> Result<Option<&'a Backup>, ProvisionError> {
    match call.step {
        "safety" => Ok(call.safety),
        _ => wanted(call).map(Some),
    }
}

fn none_needed(why: &str) -> Observed {
    Observed::Done {
        evidence: json!({ "archive": why }),
        learned: Learned::default(),
    }
}

impl ProxmoxProvisioner {
    pub(crate) async fn observe_dump(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let Some(backup) = made(call)? else {
            return Ok(none_needed("not wanted"));
        };
        let before = call.evidence_of("prepare");
        if call.step == "safety" && before.is_some_and(|it| it["node"].is_null()) {
            return Ok(none_needed("no guest"));
        }
        let intent = call.intent.map(DumpIntent::deserialize);
        let Some(intent) = intent.transpose().map_err(of_value)? else {
            return self.dump_needed(call, backup).await;
        };
        let (begun, upid) = match call.handle.and_then(|text| text.parse::<Upid>().ok()) {
            Some(upid) => (self.came_out(&upid, call).await?, Some(upid)),
            None => self.dump_begun(&intent, call).await?,
        };
        let log = match &upid {
            Some(upid) => self.log_of(upid).await?,
            None => Vec::new(),
        };
        let failed = match begun {
            Begun::Running(_) => {
                return Ok(Observed::Wait {
                    after: look_again(call.elapsed),
                    percent: log.iter().rev().find_map(|line| percent_of(&line.t)),
                });
            }
            Begun::Failed(error) => Some(failure(error, &log)),
            Begun::Ended | Begun::Nothing => None,
        };
        match failed {
            // It did nothing, so it is begun again.
            Some(error) if error.fate == Fate::Busy && call.handle.is_none() => {
                return self.dump_needed(call, backup).await;
            }
            Some(error) => return Err(error),
            None => {}
        }
        let archives = self
            .archives_of(&intent.node, &intent.storage, Some(call.server.vmid))
            .await?;
        let named = log.iter().find_map(|line| name_of(&line.t));
        let named = named.map(|name| format!("{}:backup/{name}", intent.storage));
        let is_ours = |archive: &&Archive| {
            named.as_ref() == Some(&archive.volume) || carries(archive, backup)
        };
        match archives.iter().find(is_ours) {
            Some(archive) => Ok(there(archive, &log)),
            None if upid.is_some() => {
                let text = format!("the task ended well, but {named:?} is not on the storage");
                Err(refused(text))
            }
            None => self.dump_needed(call, backup).await,
        }
    }

    async fn dump_needed(
        &self,
        call: &StepCall<'_>,
        backup: &Backup,
    ) -> Result<Observed, ProvisionError> {
        let found = self.ours(call).await?;
        if let Some(lock) = found.config.lock() {
            return Err(locked(call, lock));
        }
        let known = self.dumps(&found.node, call).await?;
        let intent = DumpIntent {
            vmid: call.server.vmid.0,
            storage: backup.storage.clone(),
            counted: self.storage_name(&found.node, &backup.storage).await?,
            note: backup.note().to_string(),
            known: known.iter().map(|upid| upid.as_str().to_owned()).collect(),
            node: found.node,
        };
        let intent = serde_json::to_value(&intent).map_err(of_value)?;
        Ok(Observed::Needed(intent))
    }

    /// Asked for once: an archive or a task that carries the note already is taken instead.
    pub(crate) async fn act_dump(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let Some(backup) = made(call)? else {
            return Ok(Acted::default());
        };
        let intent = DumpIntent::deserialize(intent).map_err(of_value)?;
        let found = self.ours(call).await?;
        if found.node != intent.node {
            let text = format!("VM {} has moved to {}", intent.vmid, found.node);
            let code = FailureCode::ProxmoxAmbiguous;
            return Err(ProvisionError::new(Fate::Ask, code, text));
        }
        if let (_, Some(upid)) = self.dump_begun(&intent, call).await? {
            return Ok(self.begun_task(call.server.vmid, &upid));
        }
        let archives = self
            .archives_of(&intent.node, &intent.storage, Some(call.server.vmid))
            .await?;
        if archives.iter().any(|archive| carries(archive, backup)) {
            return Ok(Acted::default());
        }
        let request = BackupRequest {
            vmid: intent.vmid,
            storage: Some(intent.storage),
            mode: match backup.mode.unwrap_or(BackupMode::Snapshot) {
                BackupMode::Snapshot => tpm_pve_client::BackupMode::Snapshot,
                BackupMode::Suspend => tpm_pve_client::BackupMode::Suspend,
                BackupMode::Stop => tpm_pve_client::BackupMode::Stop,
            },
            compress: backup.compression.map(|packed| match packed {
                Compression::Plain => "0".to_owned(),
                packed => packed.as_str().to_owned(),
            }),
            notes_template: Some(intent.note),
            protected: backup.protected.then_some(true),
            // What is old enough to go is for us to say.
            remove: Some(false),
        };
        let begun = self.client.vzdump(&intent.node, &request).await;
        match begun.map_err(|error| of_write(&error))? {
            Some(upid) => Ok(self.begun_task(call.server.vmid, &upid)),
            None => {
                let text = format!("VM {} is not on {}", request.vmid, intent.node);
                let code = FailureCode::ProxmoxBusy;
                Err(ProvisionError::new(Fate::NotSent, code, text))
            }
        }
    }

    /// Backups share their node and their storage with others; a schedule may leave more room than the settings do.
    pub(crate) fn dump_slots(&self, intent: &Value, bounds: Option<BackupBounds>) -> Vec<Slot> {
        let Ok(intent) = DumpIntent::deserialize(intent) else {
            return Vec::new();
        };
        let slot = |name: String, width: u32| Slot {
            name,
            width: SlotWidth::Fixed(width.max(1)),
        };
        let (node, storage) = (&intent.node, &intent.counted);
        let backup = &self.settings.backup;
        let bounds = bounds.unwrap_or_default();
        let least = |bound: Option<u32>, all: u32| bound.map_or(all, |bound| bound.min(all));
        let per_node = least(bounds.per_node, backup.per_node);
        let per_storage = least(bounds.per_storage, backup.per_storage);
        vec![
            slot(format!("backup/node/{node}"), per_node),
            slot(format!("backup/storage/{storage}"), per_storage),
        ]
    }

    /// The latest backups of the guest on a node, running or not.
    async fn dumps(&self, node: &str, call: &StepCall<'_>) -> Result<Vec<Upid>, ProvisionError> {
        self.tasks_of(node, "vzdump", call.server.vmid.0).await
    }

    /// The latest tasks of a kind for a guest on a node, running or not.
    pub(crate) async fn tasks_of(
        &self,
        node: &str,
        kind: &str,
        vmid: u32,
    ) -> Result<Vec<Upid>, ProvisionError> {
        let filter = TaskFilter {
            vmid: Some(vmid),
            source: TaskSource::All,
            limit: Some(100),
            ..TaskFilter::default()
        };
        let tasks = self.client.tasks(node, &filter).await;
        let tasks = tasks.map_err(|error| of_read(&error))?;
        let upids = tasks.into_iter().map(|entry| entry.upid);
        Ok(upids.filter(|upid| upid.kind == kind).collect())
    }

    /// The task that was begun for an intent, by the note in its log, where nobody wrote down which it was. One
    /// that has written nothing so far may be it.
    async fn dump_begun(
        &self,
        intent: &DumpIntent,
        call: &StepCall<'_>,
    ) -> Result<(Begun, Option<Upid>), ProvisionError> {
        let token = intent.note.split(' ').next().unwrap_or_default();
        for upid in self.dumps(&intent.node, call).await? {
            if intent.known.iter().any(|known| known == upid.as_str()) {
                continue;
            }
            let log = self.log_of(&upid).await?;
            let begins = log
                .iter()
                .find(|line| line.t.contains("starting new backup job"));
            let status = self.client.task_status(&upid).await;
            let status = status.map_err(|error| of_read(&error))?;
            let its = begins.is_some_and(|line| has_word(&line.t, token));
            let may_be = begins.is_none() && status == TaskStatus::Running;
            if its || may_be {
                let begun = self.came_out(&upid, call).await?;
                return Ok((begun, Some(upid)));
            }
        }
        Ok((Begun::Nothing, None))
    }

    pub(crate) async fn log_of(&self, upid: &Upid) -> Result<Vec<LogLine>, ProvisionError> {
        let log = self.client.task_log(upid, 0, WHOLE_LOG).await;
        Ok(log.map_err(|error| of_read(&error))?.lines)
    }
}

/// The same words stand in a line, whole.
fn has_word(line: &str, word: &str) -> bool {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\\');
    line.split(is_edge).any(|part| part == word)
}

/// Whether an archive carries a backup's note.
fn carries(archive: &Archive, backup: &Backup) -> bool {
    let note = archive.notes.as_deref().and_then(BackupNote::parse);
    note.is_some_and(|note| note.token == backup.token.0)
}

/// The archive's name in the line of a log that tells it: a file's, or that of a snapshot on a backup server.
fn name_of(line: &str) -> Option<&str> {
    let quoted = |rest: &'static str| {
        let (_, rest) = line.split_once(rest)?;
        rest.split('\'').next()
    };
    let file = quoted("creating vzdump archive '").and_then(|path| path.rsplit('/').next());
    file.or_else(|| quoted("creating Proxmox Backup Server archive '"))
}

/// How far a task is, by a line of its log: `INFO:  34% (…)` or `progress 34% (…)`.
pub(crate) fn percent_of(line: &str) -> Option<u8> {
    let rest = line
        .strip_prefix("INFO:")
        .or_else(|| line.strip_prefix("progress"))?;
    let (number, _) = rest.split_once('%')?;
    number.trim().parse().ok().filter(|percent| *percent <= 100)
}

/// What PVE warned of.
fn warnings(log: &[LogLine]) -> Vec<String> {
    let lines = log.iter().filter_map(|line| {
        line.t
            .strip_prefix("WARN: ")
            .or_else(|| line.t.strip_prefix("WARNING: "))
    });
    lines.map(|text| text.trim().to_owned()).take(50).collect()
}

fn there(archive: &Archive, log: &[LogLine]) -> Observed {
    let archive = Archive {
        warnings: warnings(log),
        ..archive.clone()
    };
    let evidence = json!({
        "volume": archive.volume, "size_bytes": archive.size_bytes, "warnings": archive.warnings,
    });
    let learned = Learned {
        archive: Some(Box::new(archive)),
        ..Learned::default()
    };
    Observed::Done { evidence, learned }
}

fn refused(text: String) -> ProvisionError {
    ProvisionError::new(Fate::Refused, FailureCode::BackupFailed, text).settled()
}

/// A guest that is locked is waited for.
pub(crate) fn locked(call: &StepCall<'_>, lock: &str) -> ProvisionError {
    let text = format!("VM {} is locked ({lock})", call.server.vmid);
    ProvisionError::new(Fate::Busy, FailureCode::ProxmoxBusy, text).after(Duration::from_secs(1))
}

/// A backup that failed, with what its log says. A lock that is held passes; what else goes wrong is for people.
fn failure(error: ProvisionError, log: &[LogLine]) -> ProvisionError {
    let said = log.iter().rev().find_map(|line| {
        let text = line.t.strip_prefix("ERROR: ")?;
        Some(text.split_once(" failed - ").map_or(text, |(_, why)| why))
    });
    let detail = said.map(str::to_owned).or(error.failure.detail);
    let text = detail.clone().unwrap_or_default();
    let busy = text.contains("is locked") || text.contains("got timeout");
    ProvisionError {
        fate: if busy { Fate::Busy } else { Fate::Refused },
        failure: Failure {
            code: if busy {
                FailureCode::ProxmoxBusy
            } else {
                FailureCode::BackupFailed
            },
            detail,
            ..error.failure
        },
        settled: true,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_name_and_progress() {
        let line = "INFO: creating vzdump archive '/var/lib/vz/dump/vzdump-qemu-100-2026_11_23-06_19_25.vma.zst'";
        assert_eq!(
            name_of(line),
            Some("vzdump-qemu-100-2026_11_23-06_19_25.vma.zst")
        );
        let line = "INFO: creating Proxmox Backup Server archive 'vm/100/2026-11-23T06:19:25Z'";
        assert_eq!(name_of(line), Some("vm/100/2026-11-23T06:19:25Z"));
        let line = "INFO:  73% (2.2 GiB of 3.0 GiB) in 4s, read: 567.3 MiB/s, write: 0 B/s";
        assert_eq!(percent_of(line), Some(73));
        assert_eq!(
            percent_of("progress 7% (read 75169792 bytes, duration 0 sec)"),
            Some(7)
        );
        assert_eq!(
            percent_of("INFO: backup is sparse: 3.00 GiB (100%) total zero data"),
            None
        );
        assert_eq!(percent_of("INFO: ionice priority: 7"), None);
    }

    #[test]
    fn only_the_whole_token_is_ours() {
        let line = "INFO: starting new backup job: vzdump 100 --notes-template 'tpm:backup_0a why'";
        assert!(has_word(line, "tpm:backup_0a"));
        assert!(!has_word(line, "tpm:backup_0"));
        assert!(!has_word(line, "backup_0a"));
    }
}
