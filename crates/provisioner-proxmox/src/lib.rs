//! The direct engine: makes, changes and destroys guests through the Proxmox VE API.
//!
//! Every step finds out from Proxmox VE itself whether its effect is there, and every act may be
//! repeated. Nothing destructive is done to a guest whose mark and SMBIOS uuid are not the ones recorded.
//! Keeps no state of its own but a short memory of where templates live; holds no lease, writes no row.

mod archive;
mod certificates;
mod clone;
mod configure;
mod describe;
mod destroy;
mod drill;
mod dump;
mod error;
mod guest;
mod history;
mod power;
mod ready;
mod resize;
mod restore;
mod settings;
mod shell;
mod steps;
mod survey;
mod template;
mod watch;

pub use settings::{BackupWidths, EngineRole, EngineSettings};

use crate::drill::beyond;
use crate::guest::Owner;
use crate::history::Histories;
use crate::template::Templates;
use crate::watch::Watch;
use async_trait::async_trait;
use serde_json::Value;
use tpm_domain::{
    ArchiveSurvey, DrillGoal, FailureCode, GuestEntry, GuestView, NodeName, PowerState, Server,
    Survey,
};
use tpm_provisioner::{
    Acted, Fate, Inspection, MarkSigner, Observed, Operation, ProvisionError, Provisioner, Slot,
    StepCall, StepSpec, Steps,
};
use tpm_pve_client::{Client, ErrorClass};

/// The engine's name.
pub const ENGINE: &str = "direct";

/// The engine on one cluster.
#[derive(Debug)]
pub struct ProxmoxProvisioner {
    client: Client,
    signer: MarkSigner,
    settings: EngineSettings,
    steps: Steps,
    templates: Templates,
    watch: Watch,
    histories: Histories,
}

impl ProxmoxProvisioner {
    /// The engine on the cluster that `client` speaks to.
    #[must_use]
    pub fn new(client: Client, signer: MarkSigner, settings: EngineSettings) -> Self {
        let steps = steps::steps(&settings);
        Self {
            watch: Watch::new(client.clone()),
            client,
            signer,
            settings,
            steps,
            templates: Templates::default(),
            histories: Histories::default(),
        }
    }
}

#[async_trait]
impl Provisioner for ProxmoxProvisioner {
    fn name(&self) -> &str {
        ENGINE
    }

    fn steps(&self, operation: Operation) -> &[StepSpec] {
        self.steps.of(operation)
    }

    fn slots<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Vec<Slot> {
        match (call.operation, call.step) {
            (Operation::Create, "clone") => self.clone_slots(intent),
            (Operation::Backup, "dump") | (Operation::Restore, "safety") => {
                self.dump_slots(intent, call.bounds)
            }
            _ => Vec::new(),
        }
    }

    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        match (call.operation, call.step) {
            (Operation::Create, "clone") => self.observe_clone(call).await,
            (
                Operation::Create | Operation::Change | Operation::Restore | Operation::RestoreNew,
                "configure",
            ) => self.observe_configure(call).await,
            (
                Operation::Create | Operation::Change | Operation::Restore | Operation::RestoreNew,
                "resize",
            ) => self.observe_resize(call).await,
            (
                Operation::Create | Operation::Start | Operation::RestoreNew | Operation::Drill,
                "start",
            ) => self.observe_start(call).await,
            (Operation::Create | Operation::RestoreNew | Operation::Drill, "agent") => {
                match beyond(call, DrillGoal::Agent) {
                    Some(seen) => Ok(seen),
                    None => self.observe_agent(call).await,
                }
            }
            (Operation::Create | Operation::RestoreNew | Operation::Drill, "address") => {
                match beyond(call, DrillGoal::Address) {
                    Some(seen) => Ok(seen),
                    None => self.observe_address(call).await,
                }
            }
            (Operation::Drill, "isolate") => self.observe_isolate(call).await,
            (Operation::Drill, "configure") => self.observe_apart(call).await,
            (Operation::Drill, "command") => self.observe_command(call).await,
            (Operation::Backup, "dump") | (Operation::Restore, "safety") => {
                self.observe_dump(call).await
            }
            (Operation::Restore, "prepare") => self.observe_prepare(call).await,
            (Operation::Restore, "shutdown") => self.observe_off(call).await,
            (Operation::Restore | Operation::RestoreNew | Operation::Drill, "restore") => {
                self.observe_restore(call).await
            }
            (Operation::Restore, "start") => self.observe_on(call).await,
            (Operation::EraseBackup, "erase") => self.observe_erase(call).await,
            (Operation::Stop, "shutdown") => self.observe_shutdown(call).await,
            (Operation::Restart, "reboot") => self.observe_reboot(call).await,
            (Operation::Destroy, "stop") => self.observe_stop(call).await,
            (Operation::Destroy, "destroy") => self.observe_destroy(call).await,
            (Operation::Destroy, "confirm") => self.observe_confirm(call).await,
            _ => Err(unknown_step(call)),
        }
    }

    async fn act<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Result<Acted, ProvisionError> {
        match (call.operation, call.step) {
            (Operation::Create, "clone") => self.act_clone(call, intent).await,
            (
                Operation::Create | Operation::Change | Operation::Restore | Operation::RestoreNew,
                "configure",
            ) => self.act_configure(call).await,
            (
                Operation::Create | Operation::Change | Operation::Restore | Operation::RestoreNew,
                "resize",
            ) => self.act_resize(call).await,
            (
                Operation::Create
                | Operation::Start
                | Operation::Restore
                | Operation::RestoreNew
                | Operation::Drill,
                "start",
            ) => self.act_start(call).await,
            (Operation::Stop | Operation::Restore, "shutdown") => {
                self.act_shutdown(call, intent).await
            }
            (Operation::Backup, "dump") | (Operation::Restore, "safety") => {
                self.act_dump(call, intent).await
            }
            (Operation::Restore | Operation::RestoreNew | Operation::Drill, "restore") => {
                self.act_restore(call, intent).await
            }
            (Operation::Drill, "configure") => self.act_apart(call).await,
            (Operation::Drill, "command") => self.act_command(call).await,
            (Operation::EraseBackup, "erase") => self.act_erase(call, intent).await,
            (Operation::Restart, "reboot") => self.act_reboot(call, intent).await,
            (Operation::Destroy, "stop") => self.act_stop(call).await,
            (Operation::Destroy, "destroy" | "confirm") => self.act_destroy(call).await,
            _ => Err(unknown_step(call)),
        }
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        let Some(found) = self.find(server, None).await? else {
            return Ok(None);
        };
        let status = self.client.guest_status(&found.node, server.vmid.0).await;
        let status = match status {
            // It was removed between the two questions.
            Err(error) if error.class() == ErrorClass::Missing => return Ok(None),
            status => status.map_err(|error| error::of_read(&error))?,
        };
        let power = if status.status == "running" {
            PowerState::Running
        } else {
            PowerState::Stopped
        };
        let conflict = match self.owner(server, &found.config) {
            Owner::Ours => None,
            Owner::Stranger(both) => Some(both),
        };
        let drift = match conflict {
            None => self.drift(server, &found),
            Some(_) => Vec::new(),
        };
        let config = found.config;
        Ok(Some(GuestView {
            vmid: server.vmid,
            mark: self.mark_on(&config),
            node: NodeName(found.node),
            power,
            conflict,
            size: resize::size(&config),
            drift,
        }))
    }

    async fn archives(&self) -> Result<Option<ArchiveSurvey>, ProvisionError> {
        self.all_archives().await.map(Some)
    }

    async fn survey(&self) -> Result<Option<Survey>, ProvisionError> {
        self.look_around().await.map(Some)
    }

    async fn inspect(&self, guest: &GuestEntry) -> Result<Option<Inspection>, ProvisionError> {
        self.read_guest(guest).await
    }
}

fn unknown_step(call: &StepCall<'_>) -> ProvisionError {
    let text = format!("no step {} in {:?}", call.step, call.operation);
    ProvisionError::new(Fate::Refused, FailureCode::Internal, text)
}
