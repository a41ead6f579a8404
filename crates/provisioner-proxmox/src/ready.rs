//! The last two rungs: the guest agent answers, and the guest has its address. Only looked at, never
//! acted on. Each question holds one of the node's few workers, so they are asked ever less often.

use crate::ProxmoxProvisioner;
use crate::error::of_read;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use tpm_domain::NodeName;
use tpm_provisioner::{Fate, Learned, Observed, ProvisionError, StepCall};
use tpm_pve_client::{Error, ErrorClass, Interface};

/// A sixth of the time that has passed.
fn patience(call: &StepCall<'_>) -> Observed {
    let after = (call.elapsed / 6).clamp(Duration::from_millis(100), Duration::from_secs(10));
    Observed::Wait {
        after,
        percent: None,
    }
}

/// The shortest wait.
const LEAST: Duration = Duration::from_millis(100);

/// An agent that does not answer, or is not there, is waited for until the deadline; the deadline's
/// policy decides what that means.
pub(crate) fn not_yet(error: &Error, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
    match error.class() {
        ErrorClass::Busy | ErrorClass::Ambiguous | ErrorClass::Rejected => Ok(patience(call)),
        _ => Err(of_read(error)),
    }
}

impl ProxmoxProvisioner {
    /// The node the guest is on by now: others may have moved it.
    async fn node(&self, call: &StepCall<'_>) -> Result<String, ProvisionError> {
        match &call.server.node {
            Some(node) => Ok(node.0.clone()),
            None => Ok(self.ours(call).await?.node),
        }
    }

    /// A guest that is not where it was is looked for, which also checks whose it is.
    async fn moved(&self, call: &StepCall<'_>, error: &Error) -> Result<Observed, ProvisionError> {
        if error.class() != ErrorClass::Missing {
            return not_yet(error, call);
        }
        let found = self.ours(call).await?;
        let text = format!("VM {} has moved to {}", call.server.vmid, found.node);
        Err(ProvisionError::new(
            Fate::NotSent,
            tpm_domain::FailureCode::ProxmoxAmbiguous,
            text,
        ))
    }

    pub(crate) async fn observe_agent(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        // Guests of a role take about as long as those before them.
        let kind = format!("boot/{}", call.server.spec.role);
        let early = self.watch.first_look(&kind);
        if call.elapsed < early && early > LEAST {
            let after = (early - call.elapsed).max(LEAST);
            let percent = None;
            return Ok(Observed::Wait { after, percent });
        }
        let node = self.node(call).await?;
        // What the next rung asks, so that one question does for both.
        let vmid = call.server.vmid.0;
        match self.client.agent_interfaces(&node, vmid).await {
            Ok(said) => {
                self.watch.answers(vmid, &kind, call.elapsed);
                self.watch.hear(vmid, said);
                let learned = Learned {
                    node: Some(NodeName(node)),
                    ..Learned::default()
                };
                Ok(Observed::Done {
                    evidence: json!({ "agent": "answers" }),
                    learned,
                })
            }
            Err(error) => {
                self.watch.is_silent(vmid);
                self.moved(call, &error).await
            }
        }
    }

    pub(crate) async fn observe_address(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let vmid = call.server.vmid.0;
        if let Some(said) = self.watch.heard(vmid)
            && let Some(ip) = wanted(call, &said)
        {
            return Ok(addressed(ip));
        }
        let node = self.node(call).await?;
        match self.client.agent_interfaces(&node, vmid).await {
            Ok(interfaces) => {
                let Some(ip) = wanted(call, &interfaces) else {
                    return Ok(patience(call));
                };
                Ok(addressed(ip))
            }
            Err(error) => self.moved(call, &error).await,
        }
    }
}

fn addressed(ip: IpAddr) -> Observed {
    let learned = Learned {
        ip_address: Some(ip),
        ..Learned::default()
    };
    Observed::Done {
        evidence: json!({ "address": ip }),
        learned,
    }
}

/// The fixed address of the first interface when the guest has it; with DHCP the first address that
/// others can reach.
fn wanted(call: &StepCall<'_>, interfaces: &[Interface]) -> Option<IpAddr> {
    let mut have = interfaces
        .iter()
        .flat_map(|i| &i.addresses)
        .map(|address| address.ip);
    match call.server.spec.nics.first().and_then(|nic| nic.address) {
        Some(fixed) => have.find(|ip| *ip == IpAddr::V4(fixed.ip)),
        None => have.find(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
            IpAddr::V6(_) => false,
        }),
    }
}
