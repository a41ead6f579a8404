//! Making the guest: a clone of the role's template under the reserved VMID, carrying our mark.
//!
//! PVE refuses a second clone to a number that is taken, so asking twice is safe as long as the number
//! is ours alone. What is found under the number decides: ours is adopted, a clone under way is waited
//! for, a stranger costs the number.

use crate::ProxmoxProvisioner;
use crate::error::{look_again, of_value, of_write};
use crate::guest::{Begun, Found, Owner, identity_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tpm_domain::{FailureCode, NodeName};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, StepCall};
use tpm_pve_client::{CloneRequest, ErrorClass};

/// What is about to be cloned, written down before it is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct CloneIntent {
    node: String,
    template: u32,
    vmid: u32,
}

impl ProxmoxProvisioner {
    pub(crate) async fn observe_clone(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let intent: Option<CloneIntent> = call
            .intent
            .and_then(|value| serde_json::from_value(value.clone()).ok());
        // An intent for another number is of no interest: that number was a stranger's.
        let Some(intent) = intent.filter(|intent| intent.vmid == call.server.vmid.0) else {
            return self.clone_needed(call).await;
        };
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Nothing | Begun::Ended => None,
            Begun::Failed(error) => Some(error),
        };
        match self.find(call.server, Some(&intent.node)).await? {
            Some(found) if found.config.lock() == Some("clone") => {
                self.half_made(call, &intent).await
            }
            Some(found) => match self.owner(call.server, &found.config) {
                Owner::Ours => Ok(self.made(&found)),
                Owner::Stranger(both) => Err(taken(both)),
            },
            None => match failed {
                // A clone that lost a race for the number has not seen a stranger: the other is gone.
                Some(error) if error.fate != Fate::Ask => Err(error),
                _ if self.clone_under_way(&intent.node, intent.vmid).await? => Ok(Observed::Wait {
                    after: look_again(call.elapsed),
                    percent: None,
                }),
                _ => self.clone_needed(call).await,
            },
        }
    }

    /// A guest that is locked for cloning: somebody is still at it, or died over it.
    async fn half_made(
        &self,
        call: &StepCall<'_>,
        intent: &CloneIntent,
    ) -> Result<Observed, ProvisionError> {
        if self.clone_under_way(&intent.node, intent.vmid).await? {
            return Ok(Observed::Wait {
                after: look_again(call.elapsed),
                percent: None,
            });
        }
        // The task may have ended between the two questions.
        match self.find(call.server, Some(&intent.node)).await? {
            Some(found) if found.config.lock() == Some("clone") => {
                // Only root on the node can remove the lock; the number is lost.
                Err(taken(format!(
                    "VM {} stays locked by a clone that has ended",
                    intent.vmid
                )))
            }
            _ => Ok(Observed::Wait {
                after: Duration::from_millis(100),
                percent: None,
            }),
        }
    }

    fn made(&self, found: &Found) -> Observed {
        let identity = identity_of(&found.config);
        let evidence = json!({
            "node": found.node,
            "smbios_uuid": identity.smbios_uuid,
            "vmgenid": found.config.vmgenid(),
        });
        let learned = Learned {
            node: Some(NodeName(found.node.clone())),
            identity: Some(identity),
            ..Learned::default()
        };
        Observed::Done { evidence, learned }
    }

    async fn clone_needed(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        let template = self.role(call)?.template;
        let node = self.template_node(template).await?;
        let intent = CloneIntent {
            node,
            template,
            vmid: call.server.vmid.0,
        };
        serde_json::to_value(&intent)
            .map(Observed::Needed)
            .map_err(of_value)
    }

    pub(crate) fn role(
        &self,
        call: &StepCall<'_>,
    ) -> Result<&crate::settings::EngineRole, ProvisionError> {
        self.settings
            .roles
            .get(&call.server.spec.role)
            .ok_or_else(|| {
                let text = format!("the role {} is no longer configured", call.server.spec.role);
                ProvisionError::new(Fate::Refused, FailureCode::TemplateMissing, text)
            })
    }

    pub(crate) async fn act_clone(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let intent = CloneIntent::deserialize(intent).map_err(of_value)?;
        let request = CloneRequest {
            name: Some(call.server.name.to_string()),
            description: Some(self.signer.mark(call.server).to_string()),
            full: Some(self.settings.full_clone),
            storage: self
                .settings
                .storage
                .clone()
                .filter(|_| self.settings.full_clone),
            ..CloneRequest::new(intent.vmid)
        };
        match self
            .client
            .clone_guest(&intent.node, intent.template, &request)
            .await
        {
            Ok(upid) => Ok(Acted {
                handle: Some(upid.as_str().to_owned()),
                look_after: Duration::from_millis(100),
            }),
            Err(error) if error.class() == ErrorClass::Exists => {
                match self.find(call.server, Some(&intent.node)).await? {
                    // A clone under way, ours, or a stranger's: the next look tells them apart.
                    Some(_) => Ok(Acted::default()),
                    // Something we cannot see as a guest: a container, or one we have no rights on.
                    None => Err(taken(error.text().to_owned())),
                }
            }
            Err(error) if error.class() == ErrorClass::Missing => {
                self.templates.forget(intent.template);
                let code = FailureCode::TemplateMissing;
                Err(ProvisionError::new(Fate::Refused, code, error.text()))
            }
            Err(error) => Err(of_write(&error)),
        }
    }
}

fn taken(text: String) -> ProvisionError {
    ProvisionError::new(Fate::VmidTaken, FailureCode::IdentityConflict, text)
}
