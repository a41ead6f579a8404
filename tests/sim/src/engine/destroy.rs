//! Removing a guest: off, gone, and seen to be gone.

use super::{Begun, Engine, again, begun_task, is_ours, of_read, of_write, refused};
use crate::pve::{Fault, Guest, Request};
use serde_json::json;
use std::time::Duration;
use tpm_domain::FailureCode;
use tpm_provisioner::{Acted, Learned, Observed, ProvisionError, StepCall};

/// How far apart the two looks are.
const CONFIRM_AFTER: Duration = Duration::from_millis(150);

/// What stands under the VMID.
enum Target {
    Ours(Guest),
    Gone,
    /// Our clone, not finished.
    HalfMade,
}

fn gone(why: &str) -> Observed {
    Observed::Done {
        evidence: json!({ "guest": why }),
        learned: Learned::default(),
    }
}

impl Engine {
    async fn target(&self, call: &StepCall<'_>) -> Result<Target, ProvisionError> {
        let server = call.server;
        let unmade = call.undoing || server.identity.is_none();
        let Some(guest) = self.pve.guest(server.vmid).await.map_err(of_read)? else {
            let cloning =
                call.undoing && self.pve.is_cloning(server.vmid).await.map_err(of_read)?;
            return Ok(if cloning {
                Target::HalfMade
            } else {
                Target::Gone
            });
        };
        if call.undoing && server.identity.is_none() && guest.locked {
            return Ok(Target::HalfMade);
        }
        if is_ours(server, &guest) {
            Ok(Target::Ours(guest))
        } else if unmade {
            // A stranger under the number of a create that is undone, or never made a guest.
            Ok(Target::Gone)
        } else {
            Err(refused(FailureCode::IdentityConflict, "another guest"))
        }
    }

    pub(super) async fn observe_stop(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        if let Begun::Running(wait) = self.begun(call).await? {
            return Ok(wait);
        }
        match self.target(call).await? {
            Target::Gone => Ok(gone("absent")),
            Target::HalfMade => Ok(again(call)),
            Target::Ours(guest) if !guest.running => Ok(gone("stopped")),
            Target::Ours(_) => Ok(Observed::Needed(json!({}))),
        }
    }

    pub(super) async fn act_stop(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        match self.target(call).await? {
            Target::Gone | Target::HalfMade => Ok(Acted::default()),
            Target::Ours(_) => {
                let sent = self.pve.send(Request::Stop(call.server.vmid)).await;
                sent.map(begun_task).map_err(of_write)
            }
        }
    }

    pub(super) async fn observe_destroy(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        if let Begun::Running(wait) = self.begun(call).await? {
            return Ok(wait);
        }
        match self.target(call).await? {
            Target::Gone => Ok(gone("absent")),
            Target::HalfMade => Ok(again(call)),
            Target::Ours(_) => Ok(Observed::Needed(json!({ "vmid": call.server.vmid }))),
        }
    }

    /// The identity is read here once more, right before the call: the cluster takes no condition with it.
    pub(super) async fn act_destroy(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        match self.target(call).await? {
            Target::Gone | Target::HalfMade => return Ok(Acted::default()),
            Target::Ours(_) => {}
        }
        let vmid = call.server.vmid;
        match self.pve.send(Request::Destroy(vmid)).await {
            Ok(number) => Ok(begun_task(number)),
            Err(Fault::Missing) => Ok(Acted::default()),
            // Somebody switched it on between the stop and now.
            Err(Fault::IsRunning) => {
                let sent = self.pve.send(Request::Stop(vmid)).await;
                sent.map(begun_task).map_err(of_write)
            }
            Err(fault) => Err(of_write(fault)),
        }
    }

    /// Seen to be absent twice, a little apart: a clone whose answer was lost may still arrive.
    pub(super) async fn observe_confirm(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        if let Begun::Running(wait) = self.begun(call).await? {
            return Ok(wait);
        }
        match self.target(call).await? {
            Target::Gone if call.elapsed >= CONFIRM_AFTER => Ok(gone("absent")),
            Target::Gone => Ok(Observed::Wait {
                after: CONFIRM_AFTER,
                percent: Some(50),
            }),
            Target::HalfMade => Ok(again(call)),
            Target::Ours(_) => Ok(Observed::Needed(json!({}))),
        }
    }
}
