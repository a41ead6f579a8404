//! Starting, shutting down, restarting. The guest's own state decides, not what a task said: a start may
//! "fail" and the guest still run.

use crate::ProxmoxProvisioner;
use crate::error::{of_read, of_write};
use crate::guest::{Begun, Found};
use serde_json::{Value, json};
use std::time::Duration;
use tpm_domain::{NodeName, PowerState, Vmid};
use tpm_provisioner::{Acted, Fate, Learned, Observed, Operation, ProvisionError, StepCall};
use tpm_pve_client::{ErrorClass, GuestStatus, TaskFilter, TaskSource, Upid};

/// After a stop PVE's own cleanup holds the guest's lock; a start within two seconds can run into it and
/// fail ten seconds later.
const AFTER_STOP: Duration = Duration::from_secs(3);

fn seen(node: &str, power: PowerState, status: &GuestStatus) -> Observed {
    let learned = Learned {
        node: Some(NodeName(node.to_owned())),
        power: Some(power),
        ..Learned::default()
    };
    let evidence = json!({ "status": status.status, "uptime_secs": status.uptime_secs });
    Observed::Done { evidence, learned }
}

impl ProxmoxProvisioner {
    /// A task that was begun for a guest.
    pub(crate) fn begun_task(&self, vmid: Vmid, upid: &Upid) -> Acted {
        self.watch.forget(vmid.0);
        Acted {
            handle: Some(upid.as_str().to_owned()),
            look_after: self.watch.first_look(&upid.kind),
        }
    }

    pub(crate) async fn status(
        &self,
        found: &Found,
        call: &StepCall<'_>,
    ) -> Result<GuestStatus, ProvisionError> {
        let status = self
            .client
            .guest_status(&found.node, call.server.vmid.0)
            .await;
        status.map_err(|error| of_read(&error))
    }

    pub(crate) async fn observe_start(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let failed = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            // It is the guest that was looked at right before it was started.
            Begun::Ended if call.operation == Operation::Create => {
                return self.started(call).await;
            }
            Begun::Failed(error) => Some(error),
            Begun::Nothing | Begun::Ended => None,
        };
        let found = self.ours_lately(call).await?;
        // What was just made and configured has never run.
        if call.operation == Operation::Create && call.attempt == 0 {
            return Ok(Observed::Needed(json!({ "node": found.node })));
        }
        let status = self.status(&found, call).await?;
        match failed {
            _ if status.status == "running" => Ok(seen(&found.node, PowerState::Running, &status)),
            Some(error) if error.fate == Fate::Busy => Err(error.after(AFTER_STOP)),
            Some(error) => Err(refusal(error)),
            None => Ok(Observed::Needed(json!({ "node": found.node }))),
        }
    }

    /// After a start that ended well: whether the guest runs.
    async fn started(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        if let Some(node) = &call.server.node
            && let Ok(status) = self.client.guest_status(&node.0, call.server.vmid.0).await
            && status.status == "running"
        {
            return Ok(seen(&node.0, PowerState::Running, &status));
        }
        // It was moved, or has stopped since.
        let found = self.ours(call).await?;
        let status = self.status(&found, call).await?;
        match status.status.as_str() {
            "running" => Ok(seen(&found.node, PowerState::Running, &status)),
            _ => Ok(Observed::Needed(json!({ "node": found.node }))),
        }
    }

    pub(crate) async fn act_start(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let found = match call.operation {
            Operation::Create => self.ours_lately(call).await?,
            _ => self.ours(call).await?,
        };
        let upid = self.client.start(&found.node, call.server.vmid.0).await;
        upid.map(|upid| self.begun_task(call.server.vmid, &upid))
            .map_err(|error| of_write(&error))
    }

    pub(crate) async fn observe_shutdown(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let (asked, failed) = match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Failed(error) => (true, Some(error)),
            Begun::Ended => (true, None),
            Begun::Nothing => (false, None),
        };
        let found = self.ours(call).await?;
        let status = self.status(&found, call).await?;
        match failed {
            _ if status.status == "stopped" => Ok(seen(&found.node, PowerState::Stopped, &status)),
            Some(error) if error.fate != Fate::Ask => Err(error),
            _ => Ok(Observed::Needed(
                json!({ "node": found.node, "force": asked }),
            )),
        }
    }

    /// The guest is asked, and switched off when it does not listen; when that has come to nothing, it is
    /// switched off at once. Whoever does not know whether it was asked asks again.
    pub(crate) async fn act_shutdown(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let found = self.ours(call).await?;
        let vmid = call.server.vmid.0;
        if !is_forced(intent) {
            let patience = self.shutdown_secs();
            match self
                .client
                .shutdown(&found.node, vmid, Some(patience), true)
                .await
            {
                Ok(upid) => return Ok(self.begun_task(call.server.vmid, &upid)),
                // A paused guest cannot be asked.
                Err(error)
                    if error.class() == ErrorClass::Rejected && error.text().contains("paused") => {
                }
                Err(error) => return Err(of_write(&error)),
            }
        }
        let upid = self.client.stop(&found.node, vmid).await;
        upid.map(|upid| self.begun_task(call.server.vmid, &upid))
            .map_err(|error| of_write(&error))
    }

    pub(crate) async fn observe_reboot(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let mut begun = self.begun(call).await?;
        if let Begun::Running(wait) = begun {
            return Ok(wait);
        }
        let found = self.ours(call).await?;
        let known = self.restarts(&found, call).await?;
        // Who asked for it may have died before the task was written down.
        if let (Begun::Nothing, Some(intent)) = (&begun, call.intent)
            && let Some(upid) = begun_since(intent, &known)
        {
            begun = match self.came_out(upid, call).await? {
                Begun::Running(wait) => return Ok(wait),
                // It did nothing, so it is begun again.
                Begun::Failed(error) if error.fate != Fate::Ask => Begun::Nothing,
                begun => begun,
            };
        }
        // The guest was off in the middle of somebody else's restart: what that one comes to counts, else it is asked
        // once more.
        if let Begun::Failed(error) = &begun
            && found_it_off(error)
        {
            let others: Vec<Upid> = known
                .iter()
                .filter(|upid| Some(upid.as_str()) != call.handle)
                .cloned()
                .collect();
            let other = call.intent.and_then(|intent| begun_since(intent, &others));
            begun = match other {
                None => Begun::Nothing,
                Some(upid) => match self.came_out(upid, call).await? {
                    Begun::Running(wait) => return Ok(wait),
                    Begun::Failed(_) => Begun::Nothing,
                    begun => begun,
                },
            };
        }
        let status = self.status(&found, call).await?;
        let asked = !matches!(begun, Begun::Nothing);
        match begun {
            Begun::Ended if status.status == "running" => {
                Ok(seen(&found.node, PowerState::Running, &status))
            }
            Begun::Failed(error) if error.fate != Fate::Ask => Err(error),
            _ => {
                let known: Vec<&str> = known.iter().map(Upid::as_str).collect();
                Ok(Observed::Needed(
                    json!({ "node": found.node, "known": known, "force": asked }),
                ))
            }
        }
    }

    /// The guest is asked; when that has come to nothing, the reset button is pressed. A guest that is off is
    /// started. What somebody has begun since the intent was written is not begun again.
    pub(crate) async fn act_reboot(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let found = self.ours(call).await?;
        let vmid = call.server.vmid.0;
        let known = self.restarts(&found, call).await?;
        if let Some(upid) = begun_since(intent, &known) {
            return Ok(self.begun_task(call.server.vmid, upid));
        }
        let upid = if self.status(&found, call).await?.status != "running" {
            self.client.start(&found.node, vmid).await
        } else if is_forced(intent) {
            self.client.reset(&found.node, vmid).await
        } else {
            self.client
                .reboot(&found.node, vmid, Some(self.shutdown_secs()))
                .await
        };
        upid.map(|upid| self.begun_task(call.server.vmid, &upid))
            .map_err(|error| of_write(&error))
    }

    /// The latest tasks on the guest's node that restart it, running or not.
    async fn restarts(
        &self,
        found: &Found,
        call: &StepCall<'_>,
    ) -> Result<Vec<Upid>, ProvisionError> {
        let filter = TaskFilter {
            vmid: Some(call.server.vmid.0),
            source: TaskSource::All,
            limit: Some(50),
            ..TaskFilter::default()
        };
        let tasks = self.client.tasks(&found.node, &filter).await;
        let tasks = tasks.map_err(|error| of_read(&error))?;
        let upids = tasks.into_iter().map(|entry| entry.upid);
        Ok(upids
            .filter(|upid| matches!(&*upid.kind, "qmreboot" | "qmreset" | "qmstart"))
            .collect())
    }

    fn shutdown_secs(&self) -> u32 {
        u32::try_from(self.settings.shutdown_timeout.as_secs()).unwrap_or(u32::MAX)
    }
}

/// Whether a restart did nothing because the guest did not run.
fn found_it_off(error: &ProvisionError) -> bool {
    let text = error.failure.detail.as_deref().unwrap_or_default();
    text.trim_end().ends_with("not running")
}

/// Whether the guest was asked before, in vain.
fn is_forced(intent: &Value) -> bool {
    intent.get("force").and_then(Value::as_bool) == Some(true)
}

/// The latest of these tasks that was not there when the intent was written.
fn begun_since<'a>(intent: &Value, tasks: &'a [Upid]) -> Option<&'a Upid> {
    let known = intent.get("known")?.as_array()?;
    let is_new = |upid: &&Upid| !known.iter().any(|old| old == upid.as_str());
    tasks
        .iter()
        .filter(is_new)
        .max_by_key(|upid| upid.starttime)
}

/// A start whose task failed and whose guest is off has failed for good, unless the task was cut short.
fn refusal(error: ProvisionError) -> ProvisionError {
    let cut_short = [
        "unexpected status",
        "received interrupt",
        "interrupted by signal",
    ];
    let text = error.failure.detail.as_deref().unwrap_or_default();
    if error.fate == Fate::Ask && !cut_short.iter().any(|part| text.contains(part)) {
        ProvisionError {
            fate: Fate::Refused,
            failure: tpm_domain::Failure {
                code: tpm_domain::FailureCode::ProxmoxRefused,
                ..error.failure
            },
            ..error
        }
    } else {
        error
    }
}
