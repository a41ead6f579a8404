//! What there is before a run: the guest, its state, and the values that follow.

use crate::TerraformProvisioner;
use crate::render::{Facts, Surroundings, Template, values};
use crate::room::OpenState;
use crate::run::Start;
use serde_json::json;
use tpm_domain::{FailureCode, Server};
use tpm_provisioner::{Fate, Operation, ProvisionError, StepCall};
use tpm_pve_client::{Error, ErrorClass, GuestConfig};

fn of_read(error: &Error) -> ProvisionError {
    let (fate, code) = match error.class() {
        ErrorClass::Auth => (Fate::Auth, FailureCode::ProxmoxAuth),
        ErrorClass::Busy => (Fate::Busy, FailureCode::ProxmoxBusy),
        ErrorClass::Rejected => (Fate::Refused, FailureCode::ProxmoxRefused),
        ErrorClass::Missing => (Fate::Ask, FailureCode::GuestMissing),
        ErrorClass::NotSent | ErrorClass::Ambiguous | ErrorClass::Exists => {
            (Fate::NotSent, FailureCode::ProxmoxUnreachable)
        }
    };
    ProvisionError::new(fate, code, error.text().to_owned())
}

fn unreadable(error: impl std::fmt::Display) -> ProvisionError {
    ProvisionError::new(
        Fate::Refused,
        FailureCode::ProxmoxRefused,
        error.to_string(),
    )
}

/// A state without resources that goes on where another one stood: serials never go back.
fn emptied(state: &OpenState) -> Vec<u8> {
    let empty = json!({
        "version": 4,
        "terraform_version": "1.9.0",
        "serial": state.view.serial,
        "lineage": state.view.lineage,
        "outputs": {},
        "resources": [],
        "check_results": null,
    });
    empty.to_string().into_bytes()
}

impl TerraformProvisioner {
    async fn config(&self, node: &str, vmid: u32) -> Result<GuestConfig, ProvisionError> {
        let config = self.client.guest_config(node, vmid, false).await;
        config.map_err(|error| of_read(&error))
    }

    /// The template and where it is; none where others made the guest.
    async fn template(&self, server: &Server) -> Result<Option<Template>, ProvisionError> {
        if server.kept.imported {
            return Ok(None);
        }
        let vm_id = match &server.placement {
            Some(placement) => placement.template.0,
            None => {
                let text = "the server has no placement";
                return Err(ProvisionError::new(
                    Fate::Refused,
                    FailureCode::Internal,
                    text,
                ));
            }
        };
        let resources = self.client.cluster_resources(None).await;
        let resources = resources.map_err(|error| of_read(&error))?;
        let found = resources.iter().find(|r| r.vmid == Some(vm_id));
        let node_name = found.and_then(|resource| resource.node.clone());
        node_name.map_or_else(
            || {
                let text = format!("there is no VM {vm_id} in the cluster");
                Err(ProvisionError::new(
                    Fate::Refused,
                    FailureCode::TemplateMissing,
                    text,
                ))
            },
            |node_name| Ok(Some(Template { vm_id, node_name })),
        )
    }

    pub(crate) fn surroundings(&self, server: &Server) -> Result<Surroundings<'_>, ProvisionError> {
        if server.kept.imported {
            return Ok(Surroundings::default());
        }
        let role = self.settings.roles.get(&server.spec.role).ok_or_else(|| {
            let text = format!("the role {} is no longer configured", server.spec.role);
            ProvisionError::new(Fate::Refused, FailureCode::TemplateMissing, text)
        })?;
        let of_network: Vec<String> = server
            .spec
            .nics
            .first()
            .map(|nic| nic.dns.iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        let dns = if of_network.is_empty() {
            self.settings.dns.iter().map(ToString::to_string).collect()
        } else {
            of_network
        };
        Ok(Surroundings {
            user: &role.user,
            ssh_keys: &role.ssh_keys,
            tags: &role.tags,
            dns,
            search_domain: self.settings.search_domain.clone(),
            full_clone: self.settings.full_clone,
            mark: self.signer.mark(server).to_string(),
        })
    }

    /// Looks at both sides. A guest that is ours and not in the state as it is, is to be imported.
    pub(crate) async fn situation(&self, call: &StepCall<'_>) -> Result<Start, ProvisionError> {
        let server = call.server;
        let seen = self.direct.look(server).await?;
        if let Some(both) = seen.as_ref().and_then(|view| view.conflict.clone()) {
            let fate = match call.operation {
                Operation::Create if !call.undoing => Fate::VmidTaken,
                _ => Fate::Refused,
            };
            return Err(ProvisionError::new(
                fate,
                FailureCode::IdentityConflict,
                both,
            ));
        }
        let latest = self.room.latest(server.id).await;
        let latest = latest.map_err(|error| crate::failed(call, error.into()))?;
        let serial = latest.as_ref().map_or(0, |state| state.view.serial);
        let around = self.surroundings(server)?;
        let template = self.template(server).await?;
        let Some(view) = seen else {
            let Some(template) = template else {
                let text = format!("VM {} does not exist", server.vmid);
                let code = FailureCode::GuestMissing;
                return Err(ProvisionError::new(Fate::Refused, code, text));
            };
            let node = server.placement.as_ref().map(|p| p.node.0.clone());
            let node = node.unwrap_or_else(|| template.node_name.clone());
            let config = self.config(&template.node_name, template.vm_id).await?;
            let facts = Facts::of_template(&config).map_err(unreadable)?;
            let held = latest.filter(|state| state.view.guest.is_some());
            return Ok(Start {
                values: values(server, &node, Some(template), &facts, &around),
                import: false,
                state: match held {
                    Some(state) => Some(emptied(&state)),
                    None => self.latest_bytes(call).await?,
                },
                serial,
                digest: None,
                linked: false,
            });
        };
        let node = view.node.0;
        let config = self.config(&node, server.vmid.0).await?;
        let facts = Facts::of_guest(&config).map_err(unreadable)?;
        let usable = self
            .is_in_state(server, &node)
            .await
            .map_err(|error| crate::failed(call, error))?;
        Ok(Start {
            values: values(server, &node, template, &facts, &around),
            import: !usable,
            state: latest.map(|state| if usable { state.bytes } else { emptied(&state) }),
            serial,
            linked: facts.is_linked(),
            digest: Some(config.digest().unwrap_or_default().to_owned()),
        })
    }

    async fn latest_bytes(&self, call: &StepCall<'_>) -> Result<Option<Vec<u8>>, ProvisionError> {
        let latest = self.room.latest(call.server.id).await;
        let latest = latest.map_err(|error| crate::failed(call, error.into()))?;
        Ok(latest.map(|state| state.bytes))
    }
}
