//! Making the guest: a clone of the role's template under the reserved VMID, carrying our mark.
//!
//! PVE refuses a second clone to a number that is taken, so asking twice is safe as long as the number
//! is ours alone. What is found under the number decides: ours is adopted, a clone under way is waited
//! for, a stranger costs the number.

use crate::ProxmoxProvisioner;
use crate::error::{look_again, of_read, of_value, of_write};
use crate::guest::{Begun, Found, Owner, identity_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tpm_domain::{FailureCode, NodeName, Server};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, Slot, SlotWidth, StepCall};
use tpm_pve_client::{CloneRequest, ErrorClass};

/// Clones at once on a storage that nothing is known of: the best width that was measured on a plain host.
const START_WIDTH: u32 = 4;

/// What is about to be cloned, written down before it is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct CloneIntent {
    /// The template's node.
    node: String,
    template: u32,
    vmid: u32,
    /// The node of the guest.
    #[serde(default)]
    target: Option<String>,
    /// What it shares its storage with: the storage's name, after the node's when it is not shared.
    #[serde(default)]
    storage: Option<String>,
}

impl CloneIntent {
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.node)
    }
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
        // What was begun on a node that is away for long is given up, with the number.
        for node in [intent.node.as_str(), intent.target()] {
            match self.away(node).await? {
                Some(away) if away > self.settings.node_patience => return Err(lost(node)),
                _ => {}
            }
        }
        let mut at = intent.node.as_str();
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Nothing => None,
            Begun::Ended => {
                at = intent.target();
                None
            }
            Begun::Failed(error) => Some(error),
        };
        match self.find(call.server, Some(at)).await? {
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
        let role = self.role(call.server)?;
        let placement = call.server.placement.as_ref();
        let template = match placement {
            Some(placement) => placement.template.0,
            None => role.templates.first().copied().unwrap_or_default(),
        };
        let node = self.template_node(template).await?;
        let target = placement.map_or(node.as_str(), |placement| &placement.node.0);
        for node in [target, node.as_str()] {
            match self.away(node).await? {
                None => {}
                // What was asked of it before may still be done when it is back.
                Some(away) if call.intent.is_some() && away <= self.settings.node_patience => {
                    return Err(not_now(node));
                }
                Some(_) => return Err(lost(node)),
            }
        }
        let storage = match placement {
            Some(placement) => Some(self.storage_name(target, &placement.storage).await?),
            None => None,
        };
        let intent = CloneIntent {
            template,
            vmid: call.server.vmid.0,
            target: Some(target.to_owned()),
            storage,
            node,
        };
        serde_json::to_value(&intent)
            .map(Observed::Needed)
            .map_err(of_value)
    }

    /// A storage's name for counting: a shared one is one, a local one is one per node.
    pub(crate) async fn storage_name(
        &self,
        node: &str,
        storage: &str,
    ) -> Result<String, ProvisionError> {
        let list = self.watch.recent(Duration::from_secs(30)).await;
        let list = list.map_err(|error| of_read(&error))?;
        let shared = list.iter().any(|r| {
            r.kind == "storage" && r.storage.as_deref() == Some(storage) && r.shared == Some(true)
        });
        Ok(if shared {
            storage.to_owned()
        } else {
            format!("{node}/{storage}")
        })
    }

    /// Clones share their template, their storage and their node with others.
    pub(crate) fn clone_slots(&self, intent: &Value) -> Vec<Slot> {
        let Ok(intent) = CloneIntent::deserialize(intent) else {
            return Vec::new();
        };
        let most = self.settings.max_clones;
        let learned = SlotWidth::Learned {
            start: most.min(START_WIDTH),
            most,
        };
        let storage = intent.storage.as_deref().unwrap_or(&intent.node);
        vec![
            Slot {
                name: format!("node/{}", intent.target()),
                width: SlotWidth::Fixed(self.settings.max_clones_per_node),
            },
            Slot {
                name: format!("storage/{storage}"),
                width: learned,
            },
            Slot {
                name: format!("template/{}", intent.template),
                width: SlotWidth::Fixed(most),
            },
        ]
    }

    pub(crate) fn role(
        &self,
        server: &Server,
    ) -> Result<&crate::settings::EngineRole, ProvisionError> {
        self.settings.roles.get(&server.spec.role).ok_or_else(|| {
            let text = format!("the role {} is no longer configured", server.spec.role);
            ProvisionError::new(Fate::Refused, FailureCode::TemplateMissing, text)
        })
    }

    pub(crate) async fn act_clone(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let intent = CloneIntent::deserialize(intent).map_err(of_value)?;
        let placed = call.server.placement.as_ref().map(|p| p.storage.clone());
        let request = CloneRequest {
            name: Some(call.server.name.to_string()),
            description: Some(self.signer.mark(call.server).to_string()),
            full: Some(self.settings.full_clone),
            // Where a linked clone lies is not for us to say.
            storage: placed
                .or_else(|| self.settings.storage.clone())
                .filter(|_| self.settings.full_clone),
            target: intent.target.clone().filter(|node| *node != intent.node),
            ..CloneRequest::new(intent.vmid)
        };
        match self
            .client
            .clone_guest(&intent.node, intent.template, &request)
            .await
        {
            Ok(upid) => Ok(self.begun_task(call.server.vmid, &upid)),
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

fn lost(node: &str) -> ProvisionError {
    let text = format!("node {node} is not online");
    ProvisionError::new(Fate::NodeLost, FailureCode::NodeLost, text)
}

fn not_now(node: &str) -> ProvisionError {
    let text = format!("node {node} is not online");
    ProvisionError::new(Fate::NotSent, FailureCode::ProxmoxUnreachable, text)
}

fn taken(text: String) -> ProvisionError {
    ProvisionError::new(Fate::VmidTaken, FailureCode::IdentityConflict, text)
}
