//! The engine of the runs: the same protocol towards the cluster as the direct engine's, on the small
//! cluster. What a look makes of what it finds, and what an act reads before it acts, follows
//! `provisioner-proxmox` step by step; when that changes, this does.

mod create;
mod destroy;
mod power;

use crate::pve::{Fault, Guest, Outcome, Pve};
use crate::watch::Watch;
use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{
    Drift, FailureCode, GuestEntry, GuestFigures, GuestSize, GuestView, Identity, Mark, NodeName,
    NodeView, PowerState, Rung, Server, Survey,
};
use tpm_provisioner::{
    Acted, Fate, Inspection, Observed, OnFailure, Operation, ProvisionError, Provisioner, Slot,
    StepCall, StepSpec, WhenLate,
};

/// The engine's name.
pub(crate) const ENGINE: &str = "sim";
/// The cluster's one node.
pub(crate) const NODE: &str = "pve1";
/// Who made the marks.
pub(crate) const INSTANCE: &str = "sim";
/// How long a step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(90);
/// How long an agent may take.
const AGENT_TIMEOUT: Duration = Duration::from_secs(8);

/// The steps of every operation.
#[derive(Debug)]
struct Steps {
    create: Vec<StepSpec>,
    destroy: Vec<StepSpec>,
    start: Vec<StepSpec>,
    stop: Vec<StepSpec>,
    restart: Vec<StepSpec>,
    change: Vec<StepSpec>,
}

impl Steps {
    fn new() -> Self {
        let step = |name: &'static str, weight: u32, rung: Option<Rung>| StepSpec {
            name,
            rung,
            weight,
            deadline: STEP_TIMEOUT,
            when_late: WhenLate::Fail,
            on_failure: OnFailure::Undo,
        };
        let start = StepSpec {
            on_failure: OnFailure::Keep,
            ..step("start", 20, Some(Rung::Started))
        };
        let agent = StepSpec {
            deadline: AGENT_TIMEOUT,
            when_late: WhenLate::Warn,
            on_failure: OnFailure::Keep,
            ..step("agent", 20, Some(Rung::Agent))
        };
        Self {
            create: vec![
                step("clone", 50, Some(Rung::Created)),
                step("configure", 10, Some(Rung::Configured)),
                start.clone(),
                agent,
            ],
            destroy: vec![
                step("stop", 30, None),
                step("destroy", 50, None),
                step("confirm", 20, None),
            ],
            start: vec![start],
            stop: vec![step("shutdown", 100, None)],
            restart: vec![step("reboot", 100, None)],
            change: vec![step("configure", 100, None)],
        }
    }
}

/// The engine. Every process has its own, all on the same cluster.
pub(crate) struct Engine {
    pve: Arc<Pve>,
    watch: Arc<Watch>,
    steps: Steps,
    clones: u32,
}

impl Engine {
    pub(crate) fn new(pve: Arc<Pve>, watch: Arc<Watch>, clones: u32) -> Self {
        Self {
            pve,
            watch,
            steps: Steps::new(),
            clones,
        }
    }

    /// How the last act came out.
    async fn begun(&self, call: &StepCall<'_>) -> Result<Begun, ProvisionError> {
        let Some(number) = call.handle.and_then(|text| text.parse().ok()) else {
            return Ok(Begun::Nothing);
        };
        Ok(match self.pve.task(number).await.map_err(of_read)? {
            None => Begun::Nothing,
            Some(None) => Begun::Running(again(call)),
            Some(Some(Outcome::Done)) => Begun::Ended,
            Some(Some(Outcome::Failed)) => Begun::Failed,
            // "unexpected status": it says nothing of what was done.
            Some(Some(Outcome::Killed)) => Begun::Killed,
        })
    }

    /// The guest, which must be there and ours.
    async fn ours(&self, call: &StepCall<'_>) -> Result<Guest, ProvisionError> {
        let Some(guest) = self.pve.guest(call.server.vmid).await.map_err(of_read)? else {
            return Err(refused(FailureCode::GuestMissing, "no such guest"));
        };
        if is_ours(call.server, &guest) {
            Ok(guest)
        } else {
            Err(refused(FailureCode::IdentityConflict, "another guest"))
        }
    }
}

/// How the last act of a step came out.
enum Begun {
    Nothing,
    Running(Observed),
    Ended,
    Failed,
    Killed,
}

fn again(call: &StepCall<'_>) -> Observed {
    Observed::Wait {
        after: (call.elapsed / 5).clamp(Duration::from_millis(100), Duration::from_secs(3)),
        percent: None,
    }
}

fn refused(code: FailureCode, text: &str) -> ProvisionError {
    ProvisionError::new(Fate::Refused, code, text)
}

/// A question that was not answered changed nothing.
fn of_read(fault: Fault) -> ProvisionError {
    ProvisionError::new(
        Fate::NotSent,
        FailureCode::ProxmoxUnreachable,
        format!("{fault:?}"),
    )
}

fn of_write(fault: Fault) -> ProvisionError {
    let (fate, code) = match fault {
        Fault::NotSent => (Fate::NotSent, FailureCode::ProxmoxUnreachable),
        Fault::Busy => (Fate::Busy, FailureCode::ProxmoxBusy),
        Fault::Refused | Fault::IsRunning => (Fate::Refused, FailureCode::ProxmoxRefused),
        Fault::Lost => (Fate::Ask, FailureCode::ProxmoxAmbiguous),
        Fault::Exists => (Fate::VmidTaken, FailureCode::ProxmoxRefused),
        Fault::Missing => (Fate::Refused, FailureCode::GuestMissing),
    };
    ProvisionError::new(fate, code, format!("{fault:?}"))
}

fn begun_task(number: u64) -> Acted {
    Acted {
        handle: (number > 0).then(|| number.to_string()),
        look_after: Duration::from_millis(100),
    }
}

/// The mark a server's guest carries. Nobody forges marks here, so it is not signed.
pub(crate) fn mark(server: &Server) -> Mark {
    Mark {
        instance: INSTANCE.to_owned(),
        server: server.id,
        operation: server.created_by.to_string(),
        vmid: server.vmid,
        signature: "none".to_owned(),
    }
}

fn identity_of(guest: &Guest) -> Identity {
    Identity {
        smbios_uuid: Some(guest.uuid.clone()),
        vmgenid: None,
        mark: guest.mark.clone(),
        created_secs: None,
    }
}

pub(crate) fn is_ours(server: &Server, guest: &Guest) -> bool {
    let expected = server.identity.clone().unwrap_or_else(|| Identity {
        smbios_uuid: None,
        vmgenid: None,
        mark: mark(server).to_string(),
        created_secs: None,
    });
    expected.check(&identity_of(guest)).is_ok()
}

#[async_trait]
impl Provisioner for Engine {
    fn name(&self) -> &str {
        ENGINE
    }

    fn steps(&self, operation: Operation) -> &[StepSpec] {
        match operation {
            Operation::Create => &self.steps.create,
            Operation::Destroy => &self.steps.destroy,
            Operation::Start => &self.steps.start,
            Operation::Stop => &self.steps.stop,
            Operation::Restart => &self.steps.restart,
            Operation::Change => &self.steps.change,
            // Archives are no part of this world.
            Operation::Backup
            | Operation::Restore
            | Operation::RestoreNew
            | Operation::Drill
            | Operation::EraseBackup => &[],
        }
    }

    fn slots<'a>(&self, call: &StepCall<'a>, _intent: &Value) -> Vec<Slot> {
        match (call.operation, call.step) {
            (Operation::Create, "clone") => self.clone_slots(),
            _ => Vec::new(),
        }
    }

    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        match call.step {
            "clone" => self.observe_clone(call).await,
            "configure" => self.observe_configure(call).await,
            "start" => self.observe_start(call).await,
            "agent" => self.observe_agent(call).await,
            "shutdown" => self.observe_shutdown(call).await,
            "reboot" => self.observe_reboot(call).await,
            "stop" => self.observe_stop(call).await,
            "destroy" => self.observe_destroy(call).await,
            "confirm" => self.observe_confirm(call).await,
            other => Err(refused(FailureCode::Internal, other)),
        }
    }

    async fn act<'a>(&self, call: &StepCall<'a>, _intent: &Value) -> Result<Acted, ProvisionError> {
        self.watch.check_act(call);
        match call.step {
            "clone" => self.act_clone(call).await,
            "configure" => self.act_configure(call).await,
            "start" => self.act_start(call).await,
            "shutdown" => self.act_shutdown(call).await,
            "reboot" => self.act_reboot(call).await,
            "stop" => self.act_stop(call).await,
            "destroy" | "confirm" => self.act_destroy(call).await,
            other => Err(refused(FailureCode::Internal, other)),
        }
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        let guest = self.pve.guest(server.vmid).await.map_err(of_read)?;
        let wanted = &server.spec;
        Ok(guest.map(|guest| GuestView {
            vmid: server.vmid,
            node: NodeName(NODE.to_owned()),
            power: if guest.running {
                PowerState::Running
            } else {
                PowerState::Stopped
            },
            mark: Mark::parse(&guest.mark).ok(),
            conflict: (!is_ours(server, &guest)).then(|| "another guest".to_owned()),
            size: Some(GuestSize {
                cpu: guest.cpu,
                memory_mb: guest.memory_mb,
                disk_gb: server.spec.disk_gb,
            }),
            drift: if (guest.cpu, guest.memory_mb) == (wanted.cpu, wanted.memory_mb) {
                Vec::new()
            } else {
                vec![Drift {
                    option: "cores".into(),
                    wanted: Some(wanted.cpu.to_string()),
                    found: Some(guest.cpu.to_string()),
                }]
            },
        }))
    }

    async fn survey(&self) -> Result<Option<Survey>, ProvisionError> {
        let list = self.pve.list().await.map_err(of_read)?;
        let guests = list
            .into_iter()
            .map(|listed| GuestEntry {
                vmid: listed.vmid,
                node: NodeName(NODE.to_owned()),
                name: Some(listed.guest.name),
                running: Some(listed.guest.running),
                template: false,
                machine: true,
                lock: listed.guest.locked.then(|| "clone".to_owned()),
                cpus: listed.guest.cpu.into(),
                memory_mb: listed.guest.memory_mb.into(),
                figures: GuestFigures::default(),
            })
            .collect();
        let node = NodeView {
            name: NodeName(NODE.to_owned()),
            online: true,
            cpus: 1024,
            memory_mb: 1 << 20,
            foreign_cpu: 0,
            foreign_memory_mb: 0,
        };
        Ok(Some(Survey {
            nodes: vec![node],
            guests,
            ..Survey::default()
        }))
    }

    async fn inspect(&self, guest: &GuestEntry) -> Result<Option<Inspection>, ProvisionError> {
        let found = self.pve.guest(guest.vmid).await.map_err(of_read)?;
        Ok(found.map(|guest| Inspection {
            identity: identity_of(&guest),
            mark: Mark::parse(&guest.mark).ok(),
            lock: guest.locked.then(|| "clone".to_owned()),
            addresses: Vec::new(),
            described: None,
        }))
    }
}
