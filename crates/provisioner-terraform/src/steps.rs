//! The steps of every operation: what Terraform does, and around it the direct engine's.

use std::time::Duration;
use tpm_domain::Rung;
use tpm_provisioner::{OnFailure, Operation, Provisioner, StepSpec, Steps, WhenLate};

/// What has to be done before anything is touched.
pub(crate) const PLAN: &str = "plan";
/// The plan, carried out.
pub(crate) const APPLY: &str = "apply";
/// Whether the guest, the state and the row agree; once more what was cut short.
pub(crate) const VERIFY: &str = "verify";
/// The state made to agree with a guest that was restored.
pub(crate) const SETTLE: &str = "settle";
/// Removing the guest.
pub(crate) const DESTROY: &str = "destroy";

/// Its own where Terraform works, the direct engine's for the rest.
pub(crate) fn steps(direct: &dyn Provisioner, deadline: Duration) -> Steps {
    let step = |name: &'static str, weight: u32, rung: Option<Rung>| StepSpec {
        name,
        rung,
        weight,
        deadline,
        when_late: WhenLate::Fail,
        on_failure: OnFailure::Undo,
    };
    let mut create = vec![
        step(PLAN, 10, None),
        step(APPLY, 45, Some(Rung::Created)),
        step(VERIFY, 5, Some(Rung::Configured)),
    ];
    // Power and readiness are the direct engine's: Terraform would wait for an agent that is not there.
    let of_direct = |operation: Operation| direct.steps(operation).iter().cloned();
    create.extend(
        of_direct(Operation::Create).filter(|s| ["start", "agent", "address"].contains(&s.name)),
    );
    // Once the guest is as its row says, and before it runs.
    let settled = |operation: Operation| {
        let mut all: Vec<StepSpec> = of_direct(operation).collect();
        let at = all.iter().position(|spec| spec.name == "start");
        all.insert(at.unwrap_or(all.len()), step(SETTLE, 6, None));
        all
    };
    Steps {
        restore: settled(Operation::Restore),
        restore_new: settled(Operation::RestoreNew),
        backup: of_direct(Operation::Backup).collect(),
        drill: of_direct(Operation::Drill).collect(),
        erase: of_direct(Operation::EraseBackup).collect(),
        create,
        destroy: of_direct(Operation::Destroy).collect(),
        start: of_direct(Operation::Start).collect(),
        stop: of_direct(Operation::Stop).collect(),
        restart: of_direct(Operation::Restart).collect(),
        change: vec![step(PLAN, 30, None), step(APPLY, 70, None)],
    }
}
