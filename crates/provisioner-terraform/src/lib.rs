//! The Terraform engine: makes, changes and destroys guests by Terraform or OpenTofu and the `bpg/proxmox`
//! provider, each server with a small state of its own.
//!
//! Terraform is given what was decided (node, VMID, addresses) and decides nothing. Whether a guest is ours,
//! where it is and whether it is as wanted is found out by the direct engine's looks, so both engines mean the
//! same by *done*; power and readiness are the direct engine's altogether. A run that was cut off is settled
//! from what Proxmox VE and the state say: a guest that is ours and not in the state is imported, never made
//! again.

mod backend;
mod cli;
mod diff;
mod eject;
mod plan;
mod progress;
mod render;
mod renderer;
mod room;
mod run;
mod settings;
mod situation;
mod steps;

pub use eject::TerraformCode;
pub use render::PROVIDER_VERSION;
pub use renderer::Renderer;
pub use room::{RoomError, StateRoom};
pub use settings::{GuestSettings, ProviderLogin, RoleCode, TerraformSettings};
/// How states and plans are sealed; re-exported so that callers need not know where that is.
pub use tpm_secrets::{KEY_BYTES, Seal, SealError};

use crate::room::OpenPlan;
use crate::run::{Ready, RunError, Start};
use crate::steps::{APPLY, DESTROY, PLAN, SETTLE, VERIFY};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tpm_domain::{FailureCode, GuestEntry, GuestView, PlanAction, PlannedField, Server};
use tpm_provisioner::{
    Acted, Fate, Inspection, Learned, Observed, Operation, ProvisionError, Provisioner, Slot,
    StepCall, StepSpec, Steps,
};

/// How long to wait before looking again at a disk that grows.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The handle of a state that agrees with its guest.
const SETTLED: &str = "settled";

/// The engine's name.
pub const ENGINE: &str = "terraform";

/// The engine on one cluster.
pub struct TerraformProvisioner {
    renderer: Renderer,
    direct: Arc<dyn Provisioner>,
    room: StateRoom,
    settings: TerraformSettings,
    steps: Steps,
    runs: Semaphore,
    ready: OnceCell<Ready>,
}

impl fmt::Debug for TerraformProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerraformProvisioner")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl TerraformProvisioner {
    /// The engine on the renderer's cluster.
    #[must_use]
    pub fn new(renderer: Renderer, room: StateRoom, settings: TerraformSettings) -> Self {
        let direct = Arc::clone(renderer.direct());
        Self {
            steps: steps::steps(&*direct, settings.step_timeout),
            runs: Semaphore::new(settings.max_runs.max(1)),
            ready: OnceCell::new(),
            renderer,
            direct,
            room,
            settings,
        }
    }

    /// The same call about a step of the direct engine's.
    fn on<'a>(call: &StepCall<'a>, operation: Operation, step: &'a str) -> StepCall<'a> {
        StepCall {
            operation,
            step,
            // What Terraform began has no UPID.
            handle: None,
            ..call.clone()
        }
    }

    async fn observe_plan(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        if call.operation == Operation::Create {
            // Whether it can be made there at all.
            let fresh = StepCall {
                intent: None,
                ..Self::on(call, Operation::Create, "clone")
            };
            self.direct.observe(&fresh).await?;
        }
        match self.planned(call).await? {
            Some(plan) if call.attempt > 0 => Ok(Observed::Done {
                evidence: json!({
                    "plan": plan.hash, "base_serial": plan.base_serial, "change": plan.change,
                }),
                learned: Learned::default(),
            }),
            _ => Ok(Observed::Needed(json!({}))),
        }
    }

    async fn planned(&self, call: &StepCall<'_>) -> Result<Option<OpenPlan>, ProvisionError> {
        let plan = self.room.plan(call.server.id, call.task).await;
        plan.map_err(|error| failed(call, error.into()))
    }

    async fn act_plan(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let from = self.situation(call).await?;
        let tell = |error| failed(call, error);
        let session = self.open(call, from).await.map_err(tell)?;
        let plan = session.plan(false).await;
        session.close().await;
        refuse_losses(call, &plan.map_err(tell)?)?;
        Ok(Acted::default())
    }

    /// Plans where need be, and carries the plan out.
    async fn carry_out(
        &self,
        call: &StepCall<'_>,
        from: Start,
        destroy: bool,
        plan: Option<OpenPlan>,
    ) -> Result<(), ProvisionError> {
        let tell = |error| failed(call, error);
        let present = from.digest.is_some();
        let session = self.open(call, from).await.map_err(tell)?;
        let done = async {
            let plan = match plan {
                Some(plan) => plan,
                None => session.plan(destroy).await.map_err(tell)?,
            };
            refuse_surprises(call, &plan, present, destroy)?;
            if plan.change.action == PlanAction::Nothing && !plan.change.imports {
                return Ok(());
            }
            session.apply(&plan).await.map_err(tell)
        }
        .await;
        session.close().await;
        // What was read before is no longer so: the direct engine reads it again.
        let seen = self.direct.look(call.server).await;
        done.and_then(|()| seen.map(drop))
    }

    /// Whether the state has the guest as it is.
    async fn is_in_state(&self, server: &Server, node: &str) -> Result<bool, RunError> {
        let state = self.room.latest(server.id).await?;
        Ok(state
            .and_then(|state| state.view.guest)
            .is_some_and(|guest| {
                guest.vm_id == server.vmid.0 && guest.node_name == node && !guest.tainted
            }))
    }

    async fn observe_create(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        match self
            .direct
            .observe(&Self::on(call, Operation::Create, "clone"))
            .await?
        {
            Observed::Done { evidence, learned } => {
                let node = learned.node.as_ref().map_or("", |node| node.0.as_str());
                let there = self.is_in_state(call.server, node).await;
                if there.map_err(|error| failed(call, error))? {
                    return Ok(Observed::Done { evidence, learned });
                }
                // Made, but its run never came to writing it down. What was known of the clone is kept.
                let mut intent = call.intent.cloned().unwrap_or_else(|| json!({}));
                intent["settle"] = json!(true);
                Ok(Observed::Needed(intent))
            }
            other => Ok(other),
        }
    }

    /// Whether the guest is as the row says, by the direct engine's own looks.
    async fn observe_settled(&self, call: &StepCall<'_>) -> Result<Observed, ProvisionError> {
        let mut all = json!({});
        let mut learned = Learned::default();
        // A guest that was replaced with consent has our mark and another identity.
        let replaced = Server {
            identity: None,
            ..call.server.clone()
        };
        let may_be_new = call.consent && call.operation == Operation::Change;
        let server = if may_be_new { &replaced } else { call.server };
        if may_be_new {
            let made = StepCall {
                server,
                ..Self::on(call, Operation::Create, "clone")
            };
            if let Observed::Done { learned: found, .. } = self.direct.observe(&made).await? {
                learned = found;
            }
        }
        for step in ["configure", "resize"] {
            let inner = StepCall {
                server,
                ..Self::on(call, call.operation, step)
            };
            match self.direct.observe(&inner).await? {
                Observed::Done { evidence, .. } => {
                    for (key, value) in evidence.as_object().into_iter().flatten() {
                        all[key] = value.clone();
                    }
                }
                Observed::Needed(why) => return Ok(Observed::Needed(json!({ "differs": why }))),
                wait @ Observed::Wait { .. } => return Ok(wait),
            }
        }
        let state = self.room.latest(call.server.id).await;
        let state = state.map_err(|error| failed(call, error.into()))?;
        if let Some(state) = state {
            all["serial"] = json!(state.view.serial);
        }
        Ok(Observed::Done {
            evidence: all,
            learned,
        })
    }

    /// The provider does not grow the disk of a linked clone: it takes the volume, which is named after its
    /// base too, for another guest's. The direct engine grows it then; whether it did.
    async fn grow_linked(&self, call: &StepCall<'_>, from: &Start) -> Result<bool, ProvisionError> {
        if !from.linked {
            return Ok(false);
        }
        let inner = Self::on(call, call.operation, "resize");
        let Observed::Needed(intent) = self.direct.observe(&inner).await? else {
            return Ok(false);
        };
        let acted = self.direct.act(&inner, &intent).await?;
        let begun = StepCall {
            handle: acted.handle.as_deref(),
            ..inner.clone()
        };
        let grown = async {
            loop {
                tokio::time::sleep(acted.look_after.max(LOOK_AGAIN)).await;
                match self.direct.observe(&begun).await? {
                    Observed::Wait { .. } => {}
                    Observed::Done { .. } => return Ok(true),
                    Observed::Needed(_) => return Err(not_grown()),
                }
            }
        };
        let grown = tokio::time::timeout(self.settings.step_timeout, grown).await;
        grown.map_err(|_| not_grown())?
    }

    async fn act_create(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let mut from = self.situation(call).await?;
        if self.grow_linked(call, &from).await? {
            from = self.situation(call).await?;
        }
        // The plan that was made before, as long as the world is as it was then.
        let plan = self.planned(call).await?.filter(|plan| fits(plan, &from));
        self.carry_out(call, from, false, plan).await?;
        Ok(Acted::default())
    }

    async fn act_change(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let from = self.situation(call).await?;
        let plan = self.planned(call).await?;
        let plan = match plan {
            Some(plan) if fits(&plan, &from) => Some(plan),
            // Our own act before this one may have got half way.
            _ if call.attempt > 1 => None,
            _ => {
                let text = format!("VM {} is not what the plan was made for", call.server.vmid);
                let code = FailureCode::StalePlan;
                return Err(ProvisionError::new(Fate::Refused, code, text));
            }
        };
        if self.grow_linked(call, &from).await? {
            let from = self.situation(call).await?;
            self.carry_out(call, from, false, None).await?;
        } else {
            self.carry_out(call, from, false, plan).await?;
        }
        Ok(Acted::default())
    }

    /// A restore is settled when Terraform has looked at what it made and agreed: written down as the handle of
    /// the act, which may be repeated.
    fn observe_settle(call: &StepCall<'_>) -> Observed {
        match call.handle {
            Some(SETTLED) => Observed::Done {
                evidence: json!({ "settled": true }),
                learned: Learned::default(),
            },
            _ => Observed::Needed(json!({})),
        }
    }

    /// Plans what is left to do after a restore, and does it. What would be lost by it is refused.
    async fn act_settle(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let from = self.situation(call).await?;
        self.carry_out(call, from, false, None).await?;
        Ok(Acted {
            handle: Some(SETTLED.to_owned()),
            ..Acted::default()
        })
    }

    /// By Terraform when the state has the guest, otherwise by the direct engine.
    async fn act_destroy(
        &self,
        call: &StepCall<'_>,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let inner = Self::on(call, Operation::Destroy, DESTROY);
        // Whose it is, right before.
        let Observed::Needed(_) = self.direct.observe(&inner).await? else {
            return Ok(Acted::default());
        };
        let from = match self.situation(call).await {
            Ok(from) if from.digest.is_some() && !from.import => from,
            Ok(_) => return self.direct.act(&inner, intent).await,
            // What hinders Terraform (a state that cannot be opened, a role that is gone) does not keep a
            // guest that is ours from going.
            Err(error) => {
                tracing::warn!(
                    task = %call.task,
                    error = &error as &dyn std::error::Error,
                    "destroyed without Terraform"
                );
                return self.direct.act(&inner, intent).await;
            }
        };
        self.carry_out(call, from, true, None).await?;
        Ok(Acted::default())
    }
}

fn not_grown() -> ProvisionError {
    let text = "the disk did not grow";
    ProvisionError::new(Fate::Ask, FailureCode::ProxmoxRefused, text)
}

/// Whether a plan was made from what there is.
fn fits(plan: &OpenPlan, from: &Start) -> bool {
    plan.values == render::pretty(&from.values)
        && plan.base_serial == from.serial
        && plan.guest_digest == from.digest
}

/// What destroys needs consent, before anything is touched.
fn refuse_losses(call: &StepCall<'_>, plan: &OpenPlan) -> Result<(), ProvisionError> {
    if !plan.change.is_destructive() || call.consent {
        return Ok(());
    }
    let fields: Vec<String> = plan
        .change
        .fields
        .iter()
        .map(|field| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
            format!(
                "{} {} -> {}",
                field.field,
                value(&field.before),
                value(&field.after)
            )
        })
        .collect();
    let what = match plan.change.action {
        PlanAction::Replace => "replaces",
        _ => "destroys",
    };
    let text = format!(
        "the plan {what} VM {}: {}",
        call.server.vmid,
        fields.join(", ")
    );
    Err(ProvisionError::new(
        Fate::Refused,
        FailureCode::DestructivePlan,
        text,
    ))
}

/// A plan does what it was made for and nothing else.
fn refuse_surprises(
    call: &StepCall<'_>,
    plan: &OpenPlan,
    present: bool,
    destroy: bool,
) -> Result<(), ProvisionError> {
    let expected = match plan.change.action {
        PlanAction::Nothing => true,
        PlanAction::Create => !present && !destroy,
        PlanAction::Update => present && !destroy,
        PlanAction::Destroy => destroy,
        PlanAction::Replace => !destroy && call.consent,
    };
    if !destroy {
        refuse_losses(call, plan)?;
    }
    if expected {
        return Ok(());
    }
    let text = format!(
        "the plan would {:?} VM {}, which is {}",
        plan.change.action,
        call.server.vmid,
        if present { "there" } else { "not there" }
    );
    Err(ProvisionError::new(
        Fate::Ask,
        FailureCode::TerraformFailed,
        text,
    ))
}

/// A run that failed: what it did is not known, so the world is asked before anything is done again.
fn failed(call: &StepCall<'_>, error: RunError) -> ProvisionError {
    let fate = match &error {
        RunError::Room(RoomError::Store(_)) => Fate::NotSent,
        RunError::Room(RoomError::Seal(_) | RoomError::Unreadable(_)) | RunError::Plan(_) => {
            Fate::Refused
        }
        _ => Fate::Ask,
    };
    tracing::warn!(
        task = %call.task,
        error = &error as &dyn std::error::Error,
        "a run of Terraform failed"
    );
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    ProvisionError {
        cause: Some(error.into()),
        ..ProvisionError::new(fate, FailureCode::TerraformFailed, text)
    }
}

#[async_trait]
impl Provisioner for TerraformProvisioner {
    fn name(&self) -> &str {
        ENGINE
    }

    fn surveyed_by(&self) -> &str {
        self.direct.name()
    }

    fn steps(&self, operation: Operation) -> &[StepSpec] {
        self.steps.of(operation)
    }

    fn slots<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Vec<Slot> {
        match (call.operation, call.step) {
            (Operation::Create, APPLY) => {
                let inner = Self::on(call, Operation::Create, "clone");
                self.direct.slots(&inner, intent)
            }
            (Operation::Create | Operation::Change, PLAN | VERIFY)
            | (Operation::Change, APPLY)
            | (Operation::Destroy, DESTROY)
            | (Operation::Restore | Operation::RestoreNew, SETTLE) => Vec::new(),
            _ => self.direct.slots(call, intent),
        }
    }

    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        match (call.operation, call.step) {
            (Operation::Create | Operation::Change, PLAN) => self.observe_plan(call).await,
            (Operation::Create, APPLY) => self.observe_create(call).await,
            (Operation::Create, VERIFY) | (Operation::Change, APPLY) => {
                self.observe_settled(call).await
            }
            (Operation::Restore | Operation::RestoreNew, SETTLE) => Ok(Self::observe_settle(call)),
            _ => self.direct.observe(call).await,
        }
    }

    async fn act<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Result<Acted, ProvisionError> {
        match (call.operation, call.step) {
            (Operation::Create | Operation::Change, PLAN) => self.act_plan(call).await,
            (Operation::Create, APPLY | VERIFY) => self.act_create(call).await,
            (Operation::Change, APPLY) => self.act_change(call).await,
            (Operation::Destroy, DESTROY) => self.act_destroy(call, intent).await,
            (Operation::Restore | Operation::RestoreNew, SETTLE) => self.act_settle(call).await,
            _ => self.direct.act(call, intent).await,
        }
    }

    async fn adopt<'a>(&self, call: &StepCall<'a>) -> Result<Vec<PlannedField>, ProvisionError> {
        let tell = |error| failed(call, error);
        let from = self.situation(call).await?;
        let session = self.open(call, from).await.map_err(tell)?;
        let done = async {
            let plan = session.plan(false).await.map_err(tell)?;
            if !plan.change.is_empty() {
                return Ok(plan.change.fields);
            }
            session.apply(&plan).await.map_err(tell)?;
            Ok(Vec::new())
        }
        .await;
        session.close().await;
        done
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        self.direct.look(server).await
    }

    async fn kept(&self, server: &Server) -> Option<String> {
        let text = match self.room.latest(server.id).await {
            Err(error) => format!("the state cannot be read: {error}"),
            Ok(None) => "there is no state".into(),
            Ok(Some(state)) => {
                let serial = state.view.serial;
                match state.view.guest {
                    None => format!("state {serial} has no VM"),
                    Some(guest) => format!(
                        "state {serial} has VM {} on {}{}",
                        guest.vm_id,
                        guest.node_name,
                        if guest.tainted { ", half made" } else { "" }
                    ),
                }
            }
        };
        Some(text)
    }

    async fn inspect(&self, guest: &GuestEntry) -> Result<Option<Inspection>, ProvisionError> {
        self.direct.inspect(guest).await
    }
}
