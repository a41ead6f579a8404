//! Finding a server's guest and telling whether it is ours.

use crate::ProxmoxProvisioner;
use crate::error::{look_again, of_read, of_task};
use std::time::Instant;
use tpm_domain::{FailureCode, Identity, Mark, Server, find_mark_line};
use tpm_provisioner::{Fate, Observed, ProvisionError, StepCall};
use tpm_pve_client::{ErrorClass, GuestConfig, TaskFilter, TaskSource, TaskStatus, Upid};

/// A guest and where it is.
pub(crate) struct Found {
    pub(crate) node: String,
    pub(crate) config: GuestConfig,
}

/// Whose a guest is.
pub(crate) enum Owner {
    Ours,
    /// Another guest stands under our VMID; both identities, for people.
    Stranger(String),
}

/// How the last act of a step came out.
pub(crate) enum Begun {
    /// Nothing is known to have been begun.
    Nothing,
    /// It ended well.
    Ended,
    /// It goes on.
    Running(Observed),
    /// It ended badly.
    Failed(ProvisionError),
}

impl ProxmoxProvisioner {
    /// The guest under a server's VMID, looked for where it should be, then in the whole cluster.
    pub(crate) async fn find(
        &self,
        server: &Server,
        expected: Option<&str>,
    ) -> Result<Option<Found>, ProvisionError> {
        let expected = expected.or(server.node.as_ref().map(|node| node.0.as_str()));
        if let Some(node) = expected
            && let Some(found) = self.read_config(node, server.vmid.0).await?
        {
            return Ok(Some(found));
        }
        // A list that was asked for after the look above: a guest that is moving is on one of the two.
        let resources = self.watch.since(Instant::now()).await;
        let resources = resources.map_err(|error| of_read(&error))?;
        let elsewhere = resources.iter().find(|r| r.vmid == Some(server.vmid.0));
        match elsewhere.and_then(|resource| resource.node.as_deref()) {
            Some(node) => self.read_config(node, server.vmid.0).await,
            None => Ok(None),
        }
    }

    async fn read_config(&self, node: &str, vmid: u32) -> Result<Option<Found>, ProvisionError> {
        match self.client.guest_config(node, vmid, false).await {
            Ok(config) => {
                self.watch.keep(vmid, node, &config);
                Ok(Some(Found {
                    node: node.to_owned(),
                    config,
                }))
            }
            Err(error) if error.class() == ErrorClass::Missing => Ok(None),
            Err(error) => Err(of_read(&error)),
        }
    }

    /// The guest, which must be there and ours.
    pub(crate) async fn ours(&self, call: &StepCall<'_>) -> Result<Found, ProvisionError> {
        let Some(found) = self.find(call.server, None).await? else {
            let text = format!("VM {} does not exist", call.server.vmid);
            return Err(ProvisionError::new(
                Fate::Refused,
                FailureCode::GuestMissing,
                text,
            ));
        };
        match self.owner(call.server, &found.config) {
            Owner::Ours => Ok(found),
            Owner::Stranger(both) => Err(conflict(both)),
        }
    }

    /// The same by a configuration that was read a moment ago, where there is one: for looks, and for acts
    /// that carry its digest or can be taken back. Nothing is stopped or destroyed by it.
    pub(crate) async fn ours_lately(&self, call: &StepCall<'_>) -> Result<Found, ProvisionError> {
        match self.watch.just_read(call.server.vmid.0) {
            Some((node, config)) if matches!(self.owner(call.server, &config), Owner::Ours) => {
                Ok(Found { node, config })
            }
            _ => self.ours(call).await,
        }
    }

    /// Whose a guest is: the mark must be ours, and once recorded the SMBIOS uuid the same.
    pub(crate) fn owner(&self, server: &Server, config: &GuestConfig) -> Owner {
        let found = identity_of(config);
        let expected = server.identity.clone().unwrap_or_else(|| Identity {
            smbios_uuid: None,
            vmgenid: None,
            mark: self.signer.mark(server).to_string(),
            created_secs: None,
        });
        match expected.check(&found) {
            Ok(()) => Owner::Ours,
            Err(mismatch) => Owner::Stranger(format!(
                "VM {}: expected {}; found {}",
                server.vmid, mismatch.expected, mismatch.found
            )),
        }
    }

    /// For how long a node has been away; `None` when it took part in the cluster a moment ago. One that the
    /// list does not know is away.
    pub(crate) async fn away(
        &self,
        node: &str,
    ) -> Result<Option<std::time::Duration>, ProvisionError> {
        let away = self.watch.away(node, LATELY).await;
        away.map_err(|error| of_read(&error))
    }

    /// The verified mark on a guest.
    pub(crate) fn mark_on(&self, config: &GuestConfig) -> Option<Mark> {
        let line = find_mark_line(config.description()?)?;
        Mark::parse(line)
            .ok()
            .filter(|mark| self.signer.verify(mark))
    }

    /// How the task that the last act began came out.
    pub(crate) async fn begun(&self, call: &StepCall<'_>) -> Result<Begun, ProvisionError> {
        match call.handle.and_then(|text| text.parse::<Upid>().ok()) {
            Some(upid) => self.came_out(&upid, call).await,
            None => Ok(Begun::Nothing),
        }
    }

    /// How a task came out.
    pub(crate) async fn came_out(
        &self,
        upid: &Upid,
        call: &StepCall<'_>,
    ) -> Result<Begun, ProvisionError> {
        match self.watch.task(upid).await {
            Ok(TaskStatus::Running) => {
                let wait = Observed::Wait {
                    after: look_again(call.elapsed),
                    percent: None,
                };
                Ok(Begun::Running(wait))
            }
            Ok(status) => Ok(match status.error() {
                None => Begun::Ended,
                Some(error) => Begun::Failed(of_task(&error)),
            }),
            // A task that PVE no longer knows says nothing; the guest itself is asked.
            Err(error) if error.class() == ErrorClass::Ambiguous => Ok(Begun::Nothing),
            Err(error) => Err(of_read(&error)),
        }
    }

    /// Whether a clone to `vmid` runs on a node. The task is listed under its *source's* id; the new one
    /// stands only in its log.
    pub(crate) async fn clone_under_way(
        &self,
        node: &str,
        vmid: u32,
    ) -> Result<bool, ProvisionError> {
        let filter = TaskFilter {
            kind: Some("qmclone".to_owned()),
            source: TaskSource::Active,
            limit: Some(500),
            ..TaskFilter::default()
        };
        let active = self
            .client
            .tasks(node, &filter)
            .await
            .map_err(|error| of_read(&error))?;
        let wanted = format!("with ID {vmid}");
        for task in active {
            let log = self.client.task_log(&task.upid, 0, 5).await;
            let log = log.map_err(|error| of_read(&error))?;
            // A task that has written nothing so far may be ours.
            let silent = log.lines.iter().all(|line| line.t == "no content");
            if silent || log.lines.iter().any(|line| line.t.ends_with(&wanted)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How old the news of a node may be.
const LATELY: std::time::Duration = std::time::Duration::from_secs(2);

/// What a configuration says of the guest's identity.
pub(crate) fn identity_of(config: &GuestConfig) -> Identity {
    let mark = config
        .description()
        .and_then(find_mark_line)
        .unwrap_or_default();
    Identity {
        smbios_uuid: config.smbios_uuid().map(str::to_owned),
        vmgenid: config.vmgenid().map(str::to_owned),
        mark: mark.to_owned(),
        created_secs: config.ctime().and_then(|secs| i64::try_from(secs).ok()),
    }
}

/// A refusal because the guest is not ours.
pub(crate) fn conflict(both: String) -> ProvisionError {
    ProvisionError::new(Fate::Refused, FailureCode::IdentityConflict, both)
}
