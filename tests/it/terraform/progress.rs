//! How far a run is, seen from outside while it is under way.

use super::{asked, completed, stack};
use crate::fleet::is;
use anyhow::ensure;
use std::time::Duration;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_test_support::Stack;

async fn progress(stack: &Stack, task: &str) -> anyhow::Result<u64> {
    let task = is(stack.client.get(&format!("/api/tasks/{task}")).await?, 200)?;
    Ok(task["progress"].as_u64().unwrap_or_default())
}

/// Waits until it is more than that.
async fn more_than(stack: &Stack, task: &str, before: u64) -> anyhow::Result<u64> {
    let rising = async {
        loop {
            let now = progress(stack, task).await?;
            if now > before {
                return anyhow::Ok(now);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rising).await?
}

/// The clone has not begun, and its step is half over by what Terraform tells; when the guest is made, more of it
/// is.
#[tokio::test(flavor = "multi_thread")]
async fn progress_rises_within_a_step() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let mut stack = builder.start().await?;
    let hold = |method, path| {
        let at = HoldAt::Request;
        let hold = Fault::once(method, path, FaultKind::Hold { at });
        stack.simulator.faults().inject(hold)
    };
    let clone = hold("POST", "/nodes/*/qemu/*/clone");
    let start = hold("POST", "/nodes/*/qemu/*/status/start");
    let (task, _) = asked(&stack, "web-1").await?;
    stack.start_worker()?;
    let steps = stack.service.engine("terraform").map(|engine| {
        let steps = engine.steps(tpm_provisioner::Operation::Create);
        let weight = |n: usize| u64::from(steps[..n].iter().map(|s| s.weight).sum::<u32>());
        (weight(1), weight(2), weight(3), weight(steps.len()))
    });
    let (planned, applied, verified, all) = steps.unwrap_or_default();
    stack.simulator.faults().wait_until_held(clone).await;
    // The apply is under way, and four of its six stages are over.
    let begun = (100 * planned + (applied - planned) * 66) / all;
    let seen = more_than(&stack, &task, begun - 1).await?;
    ensure!(seen == begun, "{seen} at {begun}");
    stack.simulator.faults().release(clone);
    stack.simulator.faults().wait_until_held(start).await;
    let seen = progress(&stack, &task).await?;
    ensure!(seen == 100 * verified / all, "{seen}");
    stack.simulator.faults().release(start);
    let task = completed(&stack, &task).await?;
    ensure!(task["progress"] == 100, "{task:#}");
    stack.stop().await
}
