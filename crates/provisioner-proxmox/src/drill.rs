//! A drill's guest: made of a backup where nobody can reach it, with nothing of the host's, and made to show that it
//! comes up.
//!
//! Refuses a bridge that leads anywhere, before anything is made. Whatever of the archived configuration would reach
//! out of the guest is taken away before it is started.

use crate::ProxmoxProvisioner;
use crate::configure::networks;
use crate::error::{of_read, of_value, of_write};
use crate::guest::Found;
use crate::ready::not_yet;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tpm_domain::{DrillGoal, DrillSpec, FailureCode};
use tpm_provisioner::{Acted, Fate, Learned, Observed, ProvisionError, StepCall};
use tpm_pve_client::{ConfigUpdate, ErrorClass};

/// What the guest would have of the host: devices, folders, and a program that the host runs for it.
const OF_THE_HOST: [&str; 4] = ["hostpci", "usb", "virtiofs", "hookscript"];

/// How often a command is asked after.
const ASK_AGAIN: Duration = Duration::from_secs(1);

fn is_of_the_host(option: &str) -> bool {
    let named = OF_THE_HOST
        .iter()
        .find_map(|name| option.strip_prefix(name));
    named.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn refused(code: FailureCode, text: String) -> ProvisionError {
    ProvisionError::new(Fate::Refused, code, text)
}

fn seen(evidence: Value) -> Observed {
    Observed::Done {
        evidence,
        learned: Learned::default(),
    }
}

/// What a call's drill is to prove.
fn wanted<'a>(call: &StepCall<'a>) -> Result<&'a DrillSpec, ProvisionError> {
    let missing = || refused(FailureCode::Internal, "a drill without a goal".into());
    call.drill.ok_or_else(missing)
}

/// What was not asked for is not waited for, and said so.
pub(crate) fn beyond(call: &StepCall<'_>, goal: DrillGoal) -> Option<Observed> {
    let spec = call.drill?;
    let needed = match goal {
        DrillGoal::Agent => spec.needs_agent(),
        goal => spec.goal >= goal,
    };
    (!needed).then(|| seen(json!({ "looked_at": false })))
}

impl ProxmoxProvisioner {
    /// Whether the bridges of the guest lead nowhere on its node.
    pub(crate) async fn observe_isolate(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let placement = call.server.placement.as_ref();
        let node = placement.map(|placement| placement.node.0.as_str());
        let node = node.ok_or_else(|| refused(FailureCode::Internal, "it has no node".into()))?;
        let known = self.client.bridges(node).await;
        let known = known.map_err(|error| of_read(&error))?;
        let mut evidence = Vec::new();
        for nic in &call.server.spec.nics {
            let Some(bridge) = known.iter().find(|one| one.iface == nic.bridge) else {
                let text = format!("no bridge {} can be seen on node {node}", nic.bridge);
                return Err(refused(FailureCode::NotIsolated, text));
            };
            let ports: Vec<&str> = bridge.ports().collect();
            if !ports.is_empty() {
                let text = format!(
                    "{} on node {node} is connected to {}",
                    bridge.iface,
                    ports.join(", ")
                );
                return Err(refused(FailureCode::NotIsolated, text));
            }
            evidence.push(json!({
                "bridge": bridge.iface, "type": bridge.kind, "ports": ports,
                "address_of_the_node": bridge.cidr,
            }));
        }
        Ok(seen(json!({ "node": node, "bridges": evidence })))
    }

    /// What has to be taken from the guest, and how it is connected.
    fn apart(&self, call: &StepCall<'_>, found: &Found) -> Result<ConfigUpdate, ProvisionError> {
        let mut update = networks(ConfigUpdate::new(), call.server, found)?;
        let all = found.config.iter();
        for (option, _) in all.filter(|(option, _)| is_of_the_host(option)) {
            update = update.delete(option).map_err(of_value)?;
        }
        if found.config.get("onboot").is_some_and(|on| on != "0") {
            update = update.onboot(false);
        }
        if found.config.protection() {
            update = update.protection(false);
        }
        Ok(update)
    }

    pub(crate) async fn observe_apart(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let found = self.ours(call).await?;
        let update = self.apart(call, &found)?;
        if update.is_empty() {
            return Ok(seen(json!({ "digest": found.config.digest() })));
        }
        let params = update.params();
        let options: Vec<&str> = params.keys().collect();
        Ok(Observed::Needed(
            json!({ "node": found.node, "options": options }),
        ))
    }

    pub(crate) async fn act_apart(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let found = self.ours(call).await?;
        let mut update = self.apart(call, &found)?;
        if update.is_empty() {
            return Ok(Acted::default());
        }
        if let Some(digest) = found.config.digest() {
            update = update.digest(digest);
        }
        let vmid = call.server.vmid.0;
        self.watch.forget(vmid);
        let done = self.client.update_config_sync(&found.node, vmid, &update);
        match done.await {
            Ok(()) => Ok(Acted::default()),
            Err(error) if error.is_digest_conflict() => {
                Err(of_write(&error).after(Duration::from_millis(100)))
            }
            Err(error) => Err(of_write(&error)),
        }
    }

    /// How the command ended. One whose number was never written down, or that the guest has forgotten, is begun
    /// again.
    pub(crate) async fn observe_command(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        if wanted(call)?.command.is_empty() {
            return Ok(seen(json!({ "looked_at": false })));
        }
        let again = || {
            Ok(Observed::Needed(
                json!({ "words": wanted(call)?.command.len() }),
            ))
        };
        let Some(pid) = call.handle.and_then(|handle| handle.parse::<i64>().ok()) else {
            return again();
        };
        let found = self.ours(call).await?;
        let status = self
            .client
            .agent_exec_status(&found.node, call.server.vmid.0, pid)
            .await;
        let status = match status {
            Err(error) if error.class() == ErrorClass::Rejected => return again(),
            Err(error) => return not_yet(&error, call),
            Ok(status) => status,
        };
        if !status.exited {
            return Ok(Observed::Wait {
                after: ASK_AGAIN,
                percent: None,
            });
        }
        if status.exitcode != Some(0) {
            let how = match (status.exitcode, status.signal) {
                (Some(code), _) => format!("it ended with {code}"),
                (None, Some(signal)) => format!("signal {signal} ended it"),
                (None, None) => "it was ended".to_owned(),
            };
            return Err(refused(FailureCode::CommandFailed, how));
        }
        let said = status.out_data.as_bytes();
        Ok(seen(json!({
            "exit_code": 0, "out_bytes": said.len(), "out_sha256": hex::encode(Sha256::digest(said)),
        })))
    }

    pub(crate) async fn act_command(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let command = &wanted(call)?.command;
        let found = self.ours(call).await?;
        let begun = self
            .client
            .agent_exec(&found.node, call.server.vmid.0, command);
        let pid = begun.await.map_err(|error| of_write(&error))?;
        Ok(Acted {
            handle: Some(pid.to_string()),
            look_after: Duration::ZERO,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_out_of_the_guest_is_known_by_its_name() {
        for option in ["hostpci0", "usb3", "virtiofs1", "hookscript"] {
            assert!(is_of_the_host(option), "{option}");
        }
        for option in ["net0", "usbnet", "scsi0", "hostpci", "hostname", "args"] {
            assert_eq!(is_of_the_host(option), option == "hostpci", "{option}");
        }
    }
}
