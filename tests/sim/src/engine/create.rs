//! Making a guest.

use super::{
    AGENT_TIMEOUT, Begun, Engine, NODE, again, begun_task, identity_of, is_ours, mark, of_read,
    of_write,
};
use crate::pve::{Fault, Guest, Request};
use serde_json::json;
use std::time::Duration;
use tpm_domain::{FailureCode, NodeName};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, Slot, SlotWidth, StepCall};

fn taken(text: &str) -> ProvisionError {
    ProvisionError::new(Fate::VmidTaken, FailureCode::IdentityConflict, text)
}

fn made(guest: &Guest) -> Observed {
    Observed::Done {
        evidence: json!({ "uuid": guest.uuid }),
        learned: Learned {
            node: Some(NodeName(NODE.to_owned())),
            identity: Some(identity_of(guest)),
            ..Learned::default()
        },
    }
}

impl Engine {
    pub(super) fn clone_slots(&self) -> Vec<Slot> {
        vec![
            Slot {
                name: format!("node/{NODE}"),
                width: SlotWidth::Fixed(self.clones),
            },
            Slot {
                name: "storage/local".to_owned(),
                width: SlotWidth::Learned {
                    start: self.clones,
                    most: self.clones,
                },
            },
        ]
    }

    pub(super) async fn observe_clone(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let vmid = call.server.vmid;
        let needed = Ok(Observed::Needed(json!({ "vmid": vmid })));
        let meant = call.intent.and_then(|intent| intent["vmid"].as_u64());
        // An intent for another number is of no interest: that number was a stranger's.
        if meant != Some(vmid.0.into()) {
            return needed;
        }
        if let Begun::Running(wait) = self.begun(call).await? {
            return Ok(wait);
        }
        match self.pve.guest(vmid).await.map_err(of_read)? {
            Some(guest) if guest.locked => self.half_made(call).await,
            Some(guest) if is_ours(call.server, &guest) => Ok(made(&guest)),
            Some(_) => Err(taken("somebody else's guest")),
            None if self.pve.is_cloning(vmid).await.map_err(of_read)? => Ok(again(call)),
            None => needed,
        }
    }

    /// A guest that is locked for cloning: somebody is still at it, or died over it.
    async fn half_made(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        let vmid = call.server.vmid;
        if self.pve.is_cloning(vmid).await.map_err(of_read)? {
            return Ok(again(call));
        }
        // The task may have ended between the two questions.
        match self.pve.guest(vmid).await.map_err(of_read)? {
            Some(guest) if guest.locked => Err(taken("locked by a clone that has ended")),
            _ => Ok(Observed::Wait {
                after: Duration::from_millis(100),
                percent: None,
            }),
        }
    }

    pub(super) async fn act_clone(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let server = call.server;
        let request = Request::Clone {
            vmid: server.vmid,
            name: server.name.to_string(),
            mark: mark(server).to_string(),
        };
        match self.pve.send(request).await {
            Ok(number) => Ok(begun_task(number)),
            // A clone under way, ours, or a stranger's: the next look tells them apart.
            Err(Fault::Exists) => Ok(Acted::default()),
            Err(fault) => Err(of_write(fault)),
        }
    }

    pub(super) async fn observe_configure(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let guest = self.ours(call).await?;
        let spec = &call.server.spec;
        if (guest.cpu, guest.memory_mb) == (spec.cpu, spec.memory_mb) {
            return Ok(Observed::Done {
                evidence: json!({ "restart": guest.running }),
                learned: Learned::default(),
            });
        }
        Ok(Observed::Needed(json!({ "cpu": spec.cpu })))
    }

    pub(super) async fn act_configure(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        self.ours(call).await?;
        let request = Request::Configure {
            vmid: call.server.vmid,
            cpu: call.server.spec.cpu,
            memory_mb: call.server.spec.memory_mb,
        };
        let sent = self.pve.send(request).await;
        sent.map(|_| Acted::default()).map_err(of_write)
    }

    pub(super) async fn observe_agent(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let guest = self.ours(call).await?;
        if guest.agent_at.is_some_and(|at| at <= self.pve.now()) {
            return Ok(Observed::Done {
                evidence: json!({}),
                learned: Learned::default(),
            });
        }
        Ok(Observed::Wait {
            after: AGENT_TIMEOUT / 10,
            percent: None,
        })
    }
}
