//! Removing the guest: off, gone, and seen to be gone. Each act reads the identity first, because a VMID
//! may have been given to a stranger.

use crate::ProxmoxProvisioner;
use crate::error::{look_again, of_write};
use crate::guest::{Begun, Found, Owner, conflict};
use serde_json::json;
use std::time::Duration;
use tpm_domain::FailureCode;
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, StepCall};
use tpm_pve_client::{DestroyOptions, ErrorClass};

/// What stands under the VMID.
enum Target {
    /// Our guest.
    Ours(Found),
    /// Nothing of ours.
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

impl ProxmoxProvisioner {
    async fn target(&self, call: &StepCall<'_>) -> Result<Target, ProvisionError> {
        // While a create is undone its clone may be on the template's node and not be recorded.
        let template_node = match (&call.server.node, call.undoing) {
            (None, true) => match &call.server.placement {
                Some(placement) => self.template_node(placement.template.0).await.ok(),
                None => None,
            },
            _ => None,
        };
        let found = self.find(call.server, template_node.as_deref()).await?;
        let Some(found) = found else {
            if let Some(node) = &template_node
                && self.clone_under_way(node, call.server.vmid.0).await?
            {
                return Ok(Target::HalfMade);
            }
            return Ok(Target::Gone);
        };
        let half_made = matches!(found.config.lock(), Some("clone" | "create"));
        if call.undoing && call.server.identity.is_none() && half_made {
            return Ok(Target::HalfMade);
        }
        match self.owner(call.server, &found.config) {
            Owner::Ours => Ok(Target::Ours(found)),
            // A stranger under the number of a create that is undone, or never made a guest, is none of
            // our business.
            Owner::Stranger(_) if call.undoing || call.server.identity.is_none() => {
                Ok(Target::Gone)
            }
            Owner::Stranger(both) => Err(conflict(both)),
        }
    }

    pub(crate) async fn observe_stop(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Failed(error) => Some(error),
            Begun::Nothing | Begun::Ended => None,
        };
        match self.target(call).await? {
            Target::Gone => Ok(gone("absent")),
            Target::HalfMade => Ok(Observed::Wait {
                after: look_again(call.elapsed),
                percent: None,
            }),
            Target::Ours(found) => match self.status(&found, call).await?.status.as_str() {
                "running" => match failed {
                    Some(error) if error.fate != Fate::Ask => Err(error),
                    _ => Ok(Observed::Needed(json!({ "node": found.node }))),
                },
                _ => Ok(gone("stopped")),
            },
        }
    }

    pub(crate) async fn act_stop(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        match self.target(call).await? {
            Target::Gone | Target::HalfMade => Ok(Acted::default()),
            Target::Ours(found) => {
                let upid = self.client.stop(&found.node, call.server.vmid.0).await;
                upid.map(|upid| self.begun_task(call.server.vmid, &upid))
                    .map_err(|error| of_write(&error))
            }
        }
    }

    pub(crate) async fn observe_destroy(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let mut ended = false;
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Failed(error) => Some(error),
            Begun::Nothing => None,
            Begun::Ended => {
                ended = true;
                None
            }
        };
        let target = match self.target(call).await {
            // Ours was destroyed; the number was free, and somebody took it at once.
            Err(error) if ended && is_strange(&error) => Target::Gone,
            target => target?,
        };
        match target {
            Target::Gone => Ok(gone("absent")),
            Target::HalfMade => Ok(Observed::Wait {
                after: look_again(call.elapsed),
                percent: None,
            }),
            Target::Ours(found) => match failed {
                Some(error) if error.fate != Fate::Ask => Err(error),
                _ => Ok(Observed::Needed(
                    json!({ "node": found.node, "vmid": call.server.vmid }),
                )),
            },
        }
    }

    /// The identity is read here once more, right before the call: PVE takes no condition with it.
    pub(crate) async fn act_destroy(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let found = match self.target(call).await? {
            Target::Gone | Target::HalfMade => return Ok(Acted::default()),
            Target::Ours(found) => found,
        };
        let all = DestroyOptions {
            purge: true,
            destroy_unreferenced: true,
        };
        match self
            .client
            .destroy(&found.node, call.server.vmid.0, all)
            .await
        {
            Ok(upid) => Ok(self.begun_task(call.server.vmid, &upid)),
            Err(error) if error.class() == ErrorClass::Missing => Ok(Acted::default()),
            // Somebody switched it on between the stop and now.
            Err(error) if error.text().contains("is running - destroy failed") => {
                let stop = self.client.stop(&found.node, call.server.vmid.0).await;
                stop.map(|upid| self.begun_task(call.server.vmid, &upid))
                    .map_err(|error| of_write(&error))
            }
            Err(error) => Err(of_write(&error)),
        }
    }

    /// Seen to be absent twice, a little apart: a clone whose answer was lost may still arrive.
    pub(crate) async fn observe_confirm(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        if let Begun::Running(wait) = self.begun(call).await? {
            return Ok(wait);
        }
        let target = match self.target(call).await {
            // Nothing of ours was there before; who came since is none of our business.
            Err(error) if is_strange(&error) => Target::Gone,
            target => target?,
        };
        match target {
            Target::Gone if call.elapsed >= CONFIRM_AFTER => Ok(gone("absent")),
            Target::Gone => Ok(Observed::Wait {
                after: CONFIRM_AFTER,
                percent: Some(50),
            }),
            Target::HalfMade => Ok(Observed::Wait {
                after: look_again(call.elapsed),
                percent: None,
            }),
            Target::Ours(found) => Ok(Observed::Needed(json!({ "node": found.node }))),
        }
    }
}

/// How far apart the two looks are.
const CONFIRM_AFTER: Duration = Duration::from_millis(150);

/// Whether another guest stands under the number.
fn is_strange(error: &ProvisionError) -> bool {
    error.failure.code == FailureCode::IdentityConflict
}
