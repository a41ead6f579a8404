//! Switching on and off. The guest's own state decides, not what a task said.

use super::{Begun, Engine, NODE, begun_task, of_write, refused};
use crate::pve::Request;
use serde_json::json;
use tpm_domain::{FailureCode, NodeName, PowerState};
use tpm_provisioner::{Acted, Learned, Observed, ProvisionError, StepCall};

fn seen(power: PowerState) -> Observed {
    Observed::Done {
        evidence: json!({ "power": power }),
        learned: Learned {
            node: Some(NodeName(NODE.to_owned())),
            power: Some(power),
            ..Learned::default()
        },
    }
}

impl Engine {
    pub(super) async fn observe_start(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let begun = self.begun(call).await?;
        if let Begun::Running(wait) = begun {
            return Ok(wait);
        }
        let guest = self.ours(call).await?;
        match begun {
            _ if guest.running => Ok(seen(PowerState::Running)),
            Begun::Failed => Err(refused(FailureCode::ProxmoxRefused, "start failed").settled()),
            _ => Ok(Observed::Needed(json!({}))),
        }
    }

    pub(super) async fn act_start(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        self.ours(call).await?;
        let sent = self.pve.send(Request::Start(call.server.vmid)).await;
        sent.map(begun_task).map_err(of_write)
    }

    pub(super) async fn observe_shutdown(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let begun = self.begun(call).await?;
        if let Begun::Running(wait) = begun {
            return Ok(wait);
        }
        let guest = self.ours(call).await?;
        if guest.running {
            Ok(Observed::Needed(json!({})))
        } else {
            Ok(seen(PowerState::Stopped))
        }
    }

    /// The first time the guest is asked; after that it is switched off.
    pub(super) async fn act_shutdown(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        self.ours(call).await?;
        let vmid = call.server.vmid;
        let request = if call.attempt <= 1 {
            Request::Shutdown(vmid)
        } else {
            Request::Stop(vmid)
        };
        self.pve
            .send(request)
            .await
            .map(begun_task)
            .map_err(of_write)
    }

    pub(super) async fn observe_reboot(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let begun = self.begun(call).await?;
        if let Begun::Running(wait) = begun {
            return Ok(wait);
        }
        let guest = self.ours(call).await?;
        if guest.running && matches!(begun, Begun::Ended) {
            return Ok(seen(PowerState::Running));
        }
        // Without a task to ask: it was restarted when it runs since another moment than before.
        let since = guest.running_since.map(|at| at.0);
        let before = call.intent.map(|intent| intent["since"].as_i64());
        if guest.running && before.is_some_and(|before| before != since) {
            return Ok(seen(PowerState::Running));
        }
        Ok(Observed::Needed(json!({ "since": since })))
    }

    /// The first time the guest is asked; after that the reset button is pressed. A guest that is off is
    /// started.
    pub(super) async fn act_reboot(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let guest = self.ours(call).await?;
        let vmid = call.server.vmid;
        let request = if guest.running {
            Request::Reboot(vmid)
        } else {
            Request::Start(vmid)
        };
        self.pve
            .send(request)
            .await
            .map(begun_task)
            .map_err(of_write)
    }
}
