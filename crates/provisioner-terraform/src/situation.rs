//! What there is before a run: the guest, its state, and the values that follow.

use crate::TerraformProvisioner;
use crate::room::OpenState;
use crate::run::Start;
use serde_json::json;
use tpm_domain::FailureCode;
use tpm_provisioner::{Fate, Operation, ProvisionError, StepCall};

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
    /// Looks at both sides. A guest that is ours and not in the state as it is, is to be imported.
    pub(crate) async fn situation(&self, call: &StepCall<'_>) -> Result<Start, ProvisionError> {
        let server = call.server;
        let seen = self.renderer.direct().look(server).await?;
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
        let template = self.renderer.template(server).await?;
        let Some(view) = seen else {
            let Some(template) = template else {
                let text = format!("VM {} does not exist", server.vmid);
                let code = FailureCode::GuestMissing;
                return Err(ProvisionError::new(Fate::Refused, code, text));
            };
            let held = latest.filter(|state| state.view.guest.is_some());
            return Ok(Start {
                values: self.renderer.wanted(server, template).await?,
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
        let guest = self.renderer.present(server, &node, template).await?;
        let usable = self
            .is_in_state(server, &node)
            .await
            .map_err(|error| crate::failed(call, error))?;
        Ok(Start {
            values: guest.values,
            import: !usable,
            state: latest.map(|state| if usable { state.bytes } else { emptied(&state) }),
            serial,
            linked: guest.linked,
            digest: Some(guest.digest),
        })
    }

    async fn latest_bytes(&self, call: &StepCall<'_>) -> Result<Option<Vec<u8>>, ProvisionError> {
        let latest = self.room.latest(call.server.id).await;
        let latest = latest.map_err(|error| crate::failed(call, error.into()))?;
        Ok(latest.map(|state| state.bytes))
    }
}
