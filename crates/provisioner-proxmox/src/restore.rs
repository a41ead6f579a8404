//! Restoring a backup: over the guest of a server, or as the guest of a new one.
//!
//! Identity and network are put back by the restore itself, as options that it writes instead of the archived
//! ones: there is no moment in which the guest has another's. That a restore is done is told by its task, and by the
//! guest itself: Proxmox VE gives a new `vmgenid` to whatever it restores. Nothing is replaced whose mark and SMBIOS
//! uuid are not the recorded ones, that runs, or whose archive is not there.

use crate::ProxmoxProvisioner;
use crate::archive::wanted;
use crate::dump::{locked, percent_of};
use crate::error::{look_again, of_read, of_value, of_write};
use crate::guest::{Begun, Found, Owner, conflict, identity_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_domain::{Backup, Failure, FailureCode, Identity, NodeName, PowerState, Server};
use tpm_provisioner::{Acted, Fate, Learned, Observed, Operation, ProvisionError, StepCall};
use tpm_pve_client::{ErrorClass, LogLine, RestoreRequest, TaskStatus, Upid};

/// What is about to be restored, written down before it is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct RestoreIntent {
    node: String,
    vmid: u32,
    archive: String,
    /// Storage for the disks; that of the archive when `None`.
    storage: Option<String>,
    /// Whether a guest is replaced.
    over: bool,
    /// The `vmgenid` of the guest that is replaced.
    replaces: Option<String>,
    /// What the guest gets instead of what the archive says.
    options: BTreeMap<String, String>,
    /// Restores under the number that were begun before.
    known: Vec<String>,
}

/// So many of the last lines of a log are kept.
const KEPT_LINES: usize = 40;

/// Options of a guest that stay its own, whatever is restored over it.
fn is_its_own(option: &str) -> bool {
    let numbered = |prefix: &str| {
        option
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(option, "name" | "description" | "smbios1") || numbered("net") || numbered("ipconfig")
}

impl ProxmoxProvisioner {
    /// What there is before anything is touched: kept with the step, so that it can be put back.
    pub(crate) async fn observe_prepare(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let backup = wanted(call)?;
        let reader = self.reader(backup).await?;
        if self.archive_now(&reader, backup).await?.is_none() {
            let text = format!("{} is not on its storage", backup.token);
            let code = FailureCode::ArchiveMissing;
            return Err(ProvisionError::new(Fate::Refused, code, text));
        }
        let found = self.find(call.server, None).await?;
        let placed = call.server.placement.as_ref().map(|it| it.node.0.as_str());
        let node = found.as_ref().map(|found| found.node.as_str());
        self.must_read(node.or(placed).unwrap_or(&reader), backup)
            .await?;
        let Some(found) = found else {
            return Ok(seen(
                json!({ "node": null, "running": false, "options": {} }),
            ));
        };
        if let Owner::Stranger(both) = self.owner(call.server, &found.config) {
            return Err(conflict(both));
        }
        if let Some(lock) = found.config.lock() {
            return Err(locked(call, lock));
        }
        let running = self.status(&found, call).await?.status == "running";
        let options: BTreeMap<&str, &str> = found
            .config
            .iter()
            .filter(|(option, _)| is_its_own(option))
            .collect();
        Ok(seen(
            json!({ "node": found.node, "running": running, "options": options }),
        ))
    }

    /// The node of the guest has to see the archive too.
    async fn must_read(&self, node: &str, backup: &Backup) -> Result<(), ProvisionError> {
        if self.archive_now(node, backup).await?.is_some() {
            return Ok(());
        }
        let text = format!(
            "node {node} cannot read {} on storage {}",
            backup.token, backup.storage
        );
        let code = FailureCode::RestoreFailed;
        Err(ProvisionError::new(Fate::Refused, code, text))
    }

    /// Off, unless there is nothing to switch off.
    pub(crate) async fn observe_off(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        match before(call)["node"].is_null() {
            true => Ok(seen(json!({ "guest": "absent" }))),
            false => self.observe_shutdown(call).await,
        }
    }

    /// On again, when it ran.
    pub(crate) async fn observe_on(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        match before(call)["running"] == true {
            true => self.observe_start(call).await,
            false => Ok(seen(json!({ "guest": "left off" }))),
        }
    }

    /// Whether a guest is what this restore makes: ours, and of another life than the one that was replaced, which
    /// Proxmox VE gives to whatever it restores. A guest that had none says nothing by itself: its task is asked.
    fn is_restored(
        &self,
        call: &StepCall<'_>,
        intent: &RestoreIntent,
        found: &Found,
        ended: bool,
    ) -> bool {
        let identity = identity_of(&found.config);
        let known = call.server.identity.as_ref();
        let expected = Identity {
            smbios_uuid: known.and_then(|it| it.smbios_uuid.clone()),
            vmgenid: None,
            mark: match known {
                Some(known) => known.mark.clone(),
                None => self.signer.mark(call.server).to_string(),
            },
            created_secs: None,
        };
        let another = match &intent.replaces {
            Some(before) => identity.vmgenid.as_ref() != Some(before),
            None => ended || !intent.over,
        };
        expected.check(&identity).is_ok() && another && found.config.lock().is_none()
    }

    pub(crate) async fn observe_restore(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let intent = call.intent.map(RestoreIntent::deserialize);
        let intent = intent.transpose().map_err(of_value)?;
        // An intent for another number is of no interest: that number was a stranger's.
        let Some(intent) = intent.filter(|intent| intent.vmid == call.server.vmid.0) else {
            return self.restore_needed(call).await;
        };
        let (begun, upid) = match call.handle.and_then(|text| text.parse::<Upid>().ok()) {
            Some(upid) => (self.came_out(&upid, call).await?, Some(upid)),
            None => self.restore_begun(&intent, call).await?,
        };
        let ended = matches!(begun, Begun::Ended);
        let failed = match begun {
            Begun::Running(_) => {
                let log = match &upid {
                    Some(upid) => self.log_of(upid).await?,
                    None => Vec::new(),
                };
                return Ok(Observed::Wait {
                    after: look_again(call.elapsed),
                    percent: log.iter().rev().find_map(|line| percent_of(&line.t)),
                });
            }
            Begun::Failed(error) => Some(error),
            Begun::Ended | Begun::Nothing => None,
        };
        let found = self.find(call.server, Some(&intent.node)).await?;
        match (found, failed) {
            (Some(found), None) if self.is_restored(call, &intent, &found, ended) => {
                let log = match &upid {
                    Some(upid) if call.operation == Operation::Drill => self.log_of(upid).await?,
                    _ => Vec::new(),
                };
                Ok(restored(&found, upid.as_ref(), &log))
            }
            (found, Some(error)) if error.fate == Fate::Busy => {
                // It did nothing, so it is begun again.
                if call.handle.is_none() && found.is_none_or(|f| f.config.lock().is_none()) {
                    return self.restore_needed(call).await;
                }
                Err(error)
            }
            (found, Some(error)) => Err(self.left(call, error, found.as_ref()).await),
            (Some(found), None) if found.config.lock().is_some() => {
                let lock = found.config.lock().unwrap_or_default();
                Err(locked(call, lock))
            }
            (_, None) => self.restore_needed(call).await,
        }
    }

    async fn restore_needed(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        let backup = wanted(call)?;
        let found = self.find(call.server, None).await?;
        let placement = call.server.placement.as_ref();
        let reader = self.reader(backup).await?;
        let node = match (&found, placement) {
            (Some(found), _) => found.node.clone(),
            (None, Some(placement)) => placement.node.0.clone(),
            (None, None) => call.server.node.as_ref().map_or(reader, |n| n.0.clone()),
        };
        let mut options: BTreeMap<String, String> = BTreeMap::new();
        if let Some(found) = &found {
            self.may_be_replaced(call, found)?;
            let kept = before(call)["options"].clone();
            options = serde_json::from_value(kept).map_err(of_value)?;
        }
        // One that others made has no mark.
        let mark = match &call.server.identity {
            Some(known) => known.mark.clone(),
            None => self.signer.mark(call.server).to_string(),
        };
        if !mark.is_empty() {
            options.entry("description".into()).or_insert(mark);
        }
        options
            .entry("name".into())
            .or_insert_with(|| call.server.name.to_string());
        let uuid = call
            .server
            .identity
            .as_ref()
            .and_then(|it| it.smbios_uuid.as_ref());
        if let Some(uuid) = uuid {
            let own = || format!("uuid={uuid}");
            options.entry("smbios1".into()).or_insert_with(own);
        }
        self.must_read(&node, backup).await?;
        let known = self.restores(&node, call).await?;
        if call.operation == Operation::Drill {
            // Nothing of it starts by itself, or stays when it is to go.
            options.extend([
                ("onboot".into(), "0".into()),
                ("protection".into(), "0".into()),
            ]);
        }
        let own_place = call.server.id == backup.server;
        let intent = RestoreIntent {
            vmid: call.server.vmid.0,
            archive: backup.volume.clone().unwrap_or_default(),
            storage: placement
                .map(|it| it.storage.clone())
                .filter(|_| !own_place),
            over: found.is_some(),
            replaces: found
                .as_ref()
                .and_then(|found| found.config.vmgenid().map(str::to_owned)),
            options,
            known: known.iter().map(|upid| upid.as_str().to_owned()).collect(),
            node,
        };
        let intent = serde_json::to_value(&intent).map_err(of_value)?;
        Ok(Observed::Needed(intent))
    }

    /// Only what is ours is replaced; a number that is a stranger's is given up by who makes a new server.
    fn may_be_replaced(&self, call: &StepCall<'_>, found: &Found) -> Result<(), ProvisionError> {
        if call.operation.makes() {
            let text = format!("VM {} is there already", call.server.vmid);
            let code = FailureCode::IdentityConflict;
            return Err(ProvisionError::new(Fate::VmidTaken, code, text));
        }
        match self.owner(call.server, &found.config) {
            Owner::Ours => {}
            Owner::Stranger(both) => return Err(conflict(both)),
        }
        match found.config.lock() {
            Some(lock) => Err(locked(call, lock)),
            None => Ok(()),
        }
    }

    /// Identity, power and the tasks that were begun meanwhile are read once more, right before the call.
    pub(crate) async fn act_restore(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let intent = RestoreIntent::deserialize(intent).map_err(of_value)?;
        if let (_, Some(upid)) = self.restore_begun(&intent, call).await? {
            return Ok(self.begun_task(call.server.vmid, &upid));
        }
        let found = self.find(call.server, Some(&intent.node)).await?;
        match &found {
            Some(found) if self.is_restored(call, &intent, found, false) => {
                return Ok(Acted::default());
            }
            Some(found) => {
                self.may_be_replaced(call, found)?;
                if found.node != intent.node {
                    return Err(changed(format!("VM {} has moved", intent.vmid)));
                }
                if self.status(found, call).await?.status == "running" {
                    let text = format!("VM {} was switched on meanwhile", intent.vmid);
                    let code = FailureCode::RestoreFailed;
                    return Err(ProvisionError::new(Fate::Refused, code, text));
                }
            }
            None if intent.over => {
                return Err(changed(format!("VM {} is gone", intent.vmid)));
            }
            None => {}
        }
        let request = RestoreRequest {
            vmid: intent.vmid,
            archive: intent.archive,
            storage: intent.storage,
            force: found.is_some(),
            unique: call.operation.makes(),
            options: intent.options,
            ..RestoreRequest::default()
        };
        match self.client.restore(&intent.node, &request).await {
            Ok(upid) => Ok(self.begun_task(call.server.vmid, &upid)),
            // Somebody was there first: the next look says who.
            Err(error) if error.class() == ErrorClass::Exists => {
                Err(changed(error.text().to_owned()))
            }
            Err(error) => Err(of_write(&error)),
        }
    }

    async fn restores(&self, node: &str, call: &StepCall<'_>) -> Result<Vec<Upid>, ProvisionError> {
        self.tasks_of(node, "qmrestore", call.server.vmid.0).await
    }

    /// The restore that was begun since an intent was written, where nobody wrote down which it was.
    async fn restore_begun(
        &self,
        intent: &RestoreIntent,
        call: &StepCall<'_>,
    ) -> Result<(Begun, Option<Upid>), ProvisionError> {
        let all = self.restores(&intent.node, call).await?;
        let is_new = |upid: &&Upid| !intent.known.iter().any(|known| known == upid.as_str());
        let Some(upid) = all.iter().filter(is_new).max_by_key(|upid| upid.starttime) else {
            return Ok((Begun::Nothing, None));
        };
        let begun = self.came_out(upid, call).await?;
        let status = self.client.task_status(upid).await;
        let status = status.map_err(|error| of_read(&error))?;
        // One that did nothing because of a lock is not it.
        let busy = matches!(&begun, Begun::Failed(error) if error.fate == Fate::Busy);
        if busy && status != TaskStatus::Running {
            return Ok((Begun::Nothing, None));
        }
        Ok((begun, Some(upid.clone())))
    }

    /// A restore that failed: what is left under the number.
    async fn left(
        &self,
        call: &StepCall<'_>,
        error: ProvisionError,
        found: Option<&Found>,
    ) -> ProvisionError {
        let vmid = call.server.vmid;
        let what = match found {
            None => format!("nothing is left under VM {vmid}"),
            Some(found) => {
                let gone = self.gone_disks(call.server, found).await;
                let disks = match gone.as_deref() {
                    None => "whether its disks are there could not be seen".to_owned(),
                    Some([]) => "all its disks are there".to_owned(),
                    Some(gone) => format!("gone: {}", gone.join(", ")),
                };
                let lock = found.config.lock();
                let lock = lock.map_or_else(String::new, |lock| format!(", locked ({lock})"));
                format!(
                    "VM {vmid} is on {} as configured before{lock}; {disks}",
                    found.node
                )
            }
        };
        let said = error.failure.detail.unwrap_or_default();
        ProvisionError {
            fate: Fate::Refused,
            failure: Failure {
                code: FailureCode::RestoreFailed,
                step: None,
                detail: Some(format!("{said}; {what}")),
            },
            settled: true,
            ..error
        }
    }

    /// Disks that a configuration names and no storage has.
    async fn gone_disks(&self, server: &Server, found: &Found) -> Option<Vec<String>> {
        let mut gone = Vec::new();
        for (name, disk) in found.config.disks().ok()? {
            let volid = disk.volume().to_owned();
            let Some((storage, _)) = volid.split_once(':') else {
                continue;
            };
            let images = self
                .client
                .storage_content(&found.node, storage, Some("images"), Some(server.vmid.0))
                .await
                .ok()?;
            if !images
                .iter()
                .any(|one| one.volid.as_deref() == Some(&volid))
            {
                gone.push(format!("{name} {volid}"));
            }
        }
        Some(gone)
    }
}

/// What was there before.
fn before(call: &StepCall<'_>) -> Value {
    call.evidence_of("prepare").unwrap_or_default()
}

fn seen(evidence: Value) -> Observed {
    Observed::Done {
        evidence,
        learned: Learned::default(),
    }
}

fn restored(found: &Found, upid: Option<&Upid>, log: &[LogLine]) -> Observed {
    let identity = identity_of(&found.config);
    let mut evidence = json!({
        "node": found.node, "smbios_uuid": identity.smbios_uuid, "vmgenid": identity.vmgenid,
    });
    if let Some(upid) = upid {
        evidence["upid"] = json!(upid.as_str());
    }
    if !log.is_empty() {
        let last = log.iter().skip(log.len().saturating_sub(KEPT_LINES));
        evidence["log"] = last.map(|line| json!(line.t)).collect();
    }
    let learned = Learned {
        node: Some(NodeName(found.node.clone())),
        identity: Some(identity),
        power: Some(PowerState::Stopped),
        ..Learned::default()
    };
    Observed::Done { evidence, learned }
}

fn changed(text: String) -> ProvisionError {
    ProvisionError::new(Fate::Ask, FailureCode::ProxmoxAmbiguous, text)
}
