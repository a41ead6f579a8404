//! Every task and every step it takes, there and back, by the engine's own lists: killed at each moment, failed,
//! acted on twice, undone twice.
//!
//! A new kind of task does not compile until it is said here which operation it is. A new step is played like
//! the others, and the test fails whose places it does not come to.

mod failed;
mod judge;
mod killed;
mod play;
mod stage;
mod twice;
mod undone;

use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use std::sync::Arc;
use tpm_domain::TaskKind;
use tpm_jobs::PointKind;
use tpm_provisioner::{Operation, Provisioner};
use tpm_test_support::Stack;

/// The variants of an enum: one that is missing does not compile.
macro_rules! every {
    ($kind:ident { $($variant:ident),+ $(,)? }) => {{
        let all = [$($kind::$variant),+];
        for one in all {
            match one {
                $($kind::$variant => {})+
            }
        }
        all
    }};
}

/// Every kind of task.
fn kinds() -> [TaskKind; 16] {
    every!(TaskKind {
        CreateServer,
        DeleteServer,
        StartServer,
        StopServer,
        RestartServer,
        ChangeServer,
        ImportServer,
        RemoveOrphan,
        CreateBackup,
        RestoreBackup,
        RestoreNew,
        DrillBackup,
        DeleteBackup,
        BulkCreate,
        BulkDelete,
        BulkPower,
    })
}

/// Every operation.
fn operations() -> [Operation; 11] {
    every!(Operation {
        Create,
        Destroy,
        Start,
        Stop,
        Restart,
        Change,
        Backup,
        Restore,
        RestoreNew,
        Drill,
        EraseBackup,
    })
}

/// What a kind of task does; a bulk only summarizes others.
fn operation(kind: TaskKind) -> Option<Operation> {
    match kind {
        TaskKind::CreateServer => Some(Operation::Create),
        TaskKind::DeleteServer | TaskKind::RemoveOrphan => Some(Operation::Destroy),
        TaskKind::StartServer => Some(Operation::Start),
        TaskKind::StopServer => Some(Operation::Stop),
        TaskKind::RestartServer => Some(Operation::Restart),
        TaskKind::ChangeServer => Some(Operation::Change),
        TaskKind::CreateBackup => Some(Operation::Backup),
        TaskKind::RestoreBackup => Some(Operation::Restore),
        TaskKind::RestoreNew => Some(Operation::RestoreNew),
        TaskKind::DrillBackup => Some(Operation::Drill),
        TaskKind::DeleteBackup => Some(Operation::EraseBackup),
        // An import changes nothing: it has no steps.
        TaskKind::ImportServer
        | TaskKind::BulkCreate
        | TaskKind::BulkDelete
        | TaskKind::BulkPower => None,
    }
}

/// A kind of task, there or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    kind: TaskKind,
    undo: bool,
}

impl Way {
    /// Every way there is. Only what makes a server is undone.
    fn all() -> Vec<Self> {
        let mut ways = Vec::new();
        for kind in kinds() {
            if let Some(operation) = operation(kind) {
                ways.push(Self { kind, undo: false });
                if operation.makes() {
                    ways.push(Self { kind, undo: true });
                }
            }
        }
        ways
    }

    fn operation(self) -> Operation {
        match operation(self.kind) {
            Some(operation) if !self.undo => operation,
            _ => Operation::Destroy,
        }
    }

    /// The steps it takes.
    fn steps(self, engine: &dyn Provisioner) -> Vec<&'static str> {
        let specs = engine.steps(self.operation()).iter();
        specs.map(|spec| spec.name).collect()
    }

    /// Something that happens at one of its steps.
    fn place(self, step: &str, what: &str) -> String {
        let undo = if self.undo { "undo:" } else { "" };
        format!("{}/{undo}{step}/{what}", self.kind.as_str())
    }

    fn at(self, step: &str, kind: PointKind) -> String {
        self.place(step, kind.as_str())
    }
}

/// The engine that the service is made with, for its lists of steps.
async fn registry() -> anyhow::Result<Arc<dyn Provisioner>> {
    let stack = Stack::builder().start().await?;
    let engine = stack.service.engine("direct").context("no engine")?;
    stack.stop().await?;
    Ok(engine)
}

/// Steps that never act.
fn only_looks(way: Way, step: &str) -> bool {
    let of_new = way.operation().makes() && matches!(step, "agent" | "address");
    of_new || matches!(step, "prepare" | "isolate")
}

/// The last step of a removal acts only when the guest is there again.
fn needs_a_return(way: Way, step: &str) -> bool {
    way.operation() == Operation::Destroy && step == "confirm"
}

/// What was to be met and what was; the number of places.
fn all_met(what: &str, wanted: &BTreeSet<String>, met: &BTreeSet<String>) -> anyhow::Result<()> {
    let missed: Vec<_> = wanted.difference(met).collect();
    ensure!(missed.is_empty(), "{what}: never came to {missed:#?}");
    eprintln!("{what}: {} places", wanted.len());
    Ok(())
}

/// The lists that the others count by are complete, and each operation is some task's.
#[tokio::test]
async fn every_task_and_every_step_is_counted() -> anyhow::Result<()> {
    ensure!(kinds() == TaskKind::ALL, "TaskKind::ALL is not complete");
    ensure!(operations() == Operation::ALL, "Operation::ALL is not");
    let engine = registry().await?;
    let ways = Way::all();
    let mut steps = 0;
    for operation in operations() {
        ensure!(
            ways.iter().any(|way| way.operation() == operation),
            "{operation:?} is no task's"
        );
    }
    for way in &ways {
        let taken = way.steps(&*engine);
        ensure!(!taken.is_empty(), "{way:?} takes no step");
        ensure!(way.kind.is_bulk() == operation(way.kind).is_none());
        steps += taken.len();
    }
    eprintln!("{} tasks there and back, {steps} steps", ways.len());
    Ok(())
}
