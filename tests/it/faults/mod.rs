//! What can go wrong at each step, and that one VM, one VMID, one address and nothing else is left.
//!
//! The steps come from the engine's own lists: a step that no test below knows fails [`every_step_is_known`].

mod accept;
mod answers;
pub(crate) mod crash;
pub(crate) mod database;
mod half_made;
mod lease;
mod trio;
pub(crate) mod world;

use tpm_provisioner::Operation;
use tpm_test_support::Stack;

/// A step that acts, and the request it acts by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    /// The operation it is a part of.
    pub(crate) operation: Operation,
    /// Its name.
    pub(crate) step: &'static str,
    /// The request's method.
    pub(crate) method: &'static str,
    /// The request's path, for the simulator's faults.
    pub(crate) path: &'static str,
}

const fn act(
    operation: Operation,
    step: &'static str,
    method: &'static str,
    path: &'static str,
) -> Act {
    Act {
        operation,
        step,
        method,
        path,
    }
}

/// Every step that acts.
pub(crate) const ACTS: [Act; 11] = [
    act(Operation::Create, "clone", "POST", "/nodes/*/qemu/*/clone"),
    act(
        Operation::Create,
        "configure",
        "PUT",
        "/nodes/*/qemu/*/config",
    ),
    act(Operation::Create, "resize", "PUT", "/nodes/*/qemu/*/resize"),
    act(
        Operation::Create,
        "start",
        "POST",
        "/nodes/*/qemu/*/status/start",
    ),
    act(
        Operation::Destroy,
        "stop",
        "POST",
        "/nodes/*/qemu/*/status/stop",
    ),
    act(Operation::Destroy, "destroy", "DELETE", "/nodes/*/qemu/*"),
    act(
        Operation::Start,
        "start",
        "POST",
        "/nodes/*/qemu/*/status/start",
    ),
    act(
        Operation::Stop,
        "shutdown",
        "POST",
        "/nodes/*/qemu/*/status/shutdown",
    ),
    act(
        Operation::Restart,
        "reboot",
        "POST",
        "/nodes/*/qemu/*/status/reboot",
    ),
    act(
        Operation::Change,
        "configure",
        "PUT",
        "/nodes/*/qemu/*/config",
    ),
    act(Operation::Change, "resize", "PUT", "/nodes/*/qemu/*/resize"),
];

/// Steps of backups act too; what goes wrong with them is in `backups`.
const OF_BACKUPS: [Operation; 5] = [
    Operation::Backup,
    Operation::Restore,
    Operation::RestoreNew,
    Operation::Drill,
    Operation::EraseBackup,
];

/// Steps that only look; what goes wrong with them is in [`answers`] by name.
const LOOKS: [(Operation, &str); 3] = [
    (Operation::Create, "agent"),
    (Operation::Create, "address"),
    (Operation::Destroy, "confirm"),
];

#[tokio::test]
async fn every_step_is_known() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let engine = stack.service.engine("direct").expect("the direct engine");
    for operation in Operation::ALL {
        if OF_BACKUPS.contains(&operation) {
            continue;
        }
        for spec in engine.steps(operation) {
            let acts = ACTS
                .iter()
                .any(|a| a.operation == operation && a.step == spec.name);
            let looks = LOOKS.contains(&(operation, spec.name));
            assert!(
                acts || looks,
                "no fault test knows {operation:?}/{}",
                spec.name
            );
        }
    }
    stack.stop().await
}
