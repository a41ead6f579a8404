//! The worker killed (-9) for real at every moment of every step that acts, and at the end of every
//! task; another worker takes over and one VM is there.

use super::world::{as_asked, ask, ask_create, kind, operations, prepare_alone, quick};
use super::{ACTS, Act};
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt};
use std::process::Command;
use tpm_jobs::PointKind;
use tpm_provisioner::Operation;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::{Program, Stack};

/// How many scenarios run at once.
const WIDTH: usize = 4;

/// Starts the worker that stops at a place, waits until it is there, and kills it.
pub(crate) fn kill_worker_at(stack: &Stack, place: &str) -> anyhow::Result<()> {
    let stopped = stack.dir.path().join("stopped");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoppable-worker"));
    command
        .envs(&stack.environment)
        .env("TPM_STOP_AT", place)
        .env("TPM_STOPPED_FILE", &stopped)
        .env("TPM__LOG__FILTER", "error")
        .current_dir(stack.dir.path());
    let mut worker = Program::start(&mut command)?;
    worker
        .wait_for_file(&stopped)
        .with_context(|| format!("never came to {place}"))?;
    worker.kill()
}

async fn killed_at(operation: Operation, step: &str, at: PointKind) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let place = format!("{}/{step}/{}", kind(operation), at.as_str());
    let (task, subject) = if operation == Operation::Create {
        ask_create(&stack).await?
    } else {
        let subject = prepare_alone(&stack, operation).await?;
        (ask(&stack, operation, &subject).await?, subject)
    };
    let (stack_ref, place_ref) = (&stack, place.as_str());
    tokio::task::block_in_place(|| kill_worker_at(stack_ref, place_ref))?;
    stack.start_worker()?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{place}: {task:#}");
    as_asked(&stack, operation, &subject)
        .await
        .with_context(|| place.clone())?;
    stack.stop().await
}

fn places() -> Vec<(Operation, &'static str, PointKind)> {
    let mut places = Vec::new();
    for Act {
        operation, step, ..
    } in ACTS
    {
        for at in [
            PointKind::BeforeAct,
            PointKind::AfterAct,
            PointKind::AfterRecord,
        ] {
            places.push((operation, step, at));
        }
    }
    for operation in operations() {
        places.push((operation, "finish", PointKind::BeforeFinish));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_killed_anywhere_loses_nothing() -> anyhow::Result<()> {
    futures::stream::iter(places())
        .map(|(operation, step, at)| async move {
            killed_at(operation, step, at)
                .await
                .with_context(|| format!("{operation:?}/{step}/{}", at.as_str()))
        })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

/// The worker killed while it waits for the agent: the wait is a row, and goes on in another worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wait_for_the_agent_survives_its_worker() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let silent = FaultKind::Status {
        code: 500,
        reason: "QEMU guest agent is not running".into(),
        body: None,
        applied: false,
    };
    let path = "/nodes/*/qemu/*/agent/network-get-interfaces";
    let mute = Fault::once("GET", path, silent).times(0);
    let mute = stack.simulator.faults().inject(mute);
    let (task, subject) = ask_create(&stack).await?;
    let nowhere = stack.dir.path().join("never");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoppable-worker"));
    command
        .envs(&stack.environment)
        .env("TPM_STOP_AT", "nowhere")
        .env("TPM_STOPPED_FILE", &nowhere)
        .env("TPM__LOG__FILTER", "error")
        .current_dir(stack.dir.path());
    let mut worker = Program::start(&mut command)?;
    loop {
        let now = stack.client.get(&format!("/api/tasks/{task}")).await?.body;
        let waiting = now["steps"].as_array().is_some_and(|steps| {
            steps
                .iter()
                .any(|step| step["step"] == "agent" && step["status"] == "pending")
        });
        if waiting {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    worker.kill()?;
    stack.simulator.faults().remove(mute);
    stack.start_worker()?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    super::world::is_whole(&stack, &subject, "running").await?;
    ensure!(
        super::world::effects(&stack, "start").len() == 1,
        "started twice"
    );
    stack.stop().await
}

/// The worker killed at each moment of undoing a create that cannot be given its disk.
async fn killed_undoing(place: &str) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let refusal = FaultKind::Status {
        code: 400,
        reason: "Parameter verification failed.".into(),
        body: None,
        applied: false,
    };
    let resize = Fault::once("PUT", "/nodes/*/qemu/*/resize", refusal);
    stack.simulator.faults().inject(resize);
    let (task, subject) = ask_create(&stack).await?;
    let stack_ref = &stack;
    tokio::task::block_in_place(|| kill_worker_at(stack_ref, place))?;
    stack.start_worker()?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    super::world::nothing_is_left(&stack, &subject).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_undo_that_is_cut_off_goes_on() -> anyhow::Result<()> {
    futures::stream::iter([
        "create_server/undo:destroy/before-act",
        "create_server/undo:destroy/after-act",
        "create_server/undo:destroy/after-record",
        "create_server/undo:finish/before-finish",
    ])
    .map(|place| async move { killed_undoing(place).await.context(place) })
    .buffer_unordered(WIDTH)
    .try_collect::<Vec<()>>()
    .await
    .map(|_| ())
}
