//! Guests that are half made: their clone runs on, or never will.

use super::world::{ask_create, marked, nothing_is_left, quick};
use anyhow::ensure;
use serde_json::json;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

/// A clone whose task was killed leaves a locked stub that only root can remove: the number is given up and
/// another one taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_stub_that_a_killed_clone_left_costs_its_number() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    stack.start_worker()?;
    let hold = FaultKind::Hold {
        at: tpm_pve_simulator::HoldAt::TaskEffect,
    };
    let held = Fault::once("POST", "/nodes/*/qemu/*/clone", hold);
    let held = stack.simulator.faults().inject(held);
    let (task, subject) = ask_create(&stack).await?;
    stack.simulator.faults().wait_until_held(held).await;
    let upid = loop {
        let now = stack.client.get(&format!("/api/tasks/{task}")).await?.body;
        if let Some(upid) = now["steps"][0]["upid"].as_str() {
            break upid.to_owned();
        }
    };
    stack.simulator.behind_the_back().kill_task(&upid);
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = stack.client.server(subject.id).await?;
    ensure!(
        server["vmid"] == 10_001 && server["status"] == "running",
        "{server:#}"
    );
    let state = |vmid: u32| {
        let guests = marked(&stack);
        let guest = guests.iter().find(|guest| guest.vmid == vmid);
        guest.map(|guest| (guest.status.clone(), guest.config.contains_key("lock")))
    };
    ensure!(
        state(10_000) == Some(("stopped".into(), true)),
        "{:?}",
        state(10_000)
    );
    ensure!(
        state(10_001) == Some(("running".into(), false)),
        "{:?}",
        state(10_001)
    );
    stack.stop().await
}

/// How often the cluster was looked at.
fn looks(stack: &Stack) -> u64 {
    let requests = stack.simulator.counters().requests;
    let reads = requests.iter().filter(|(what, _)| what.starts_with("GET "));
    reads.map(|(_, count)| count).sum()
}

/// A create that is cancelled while a clone runs whose answer was lost: its end is waited for, because what comes
/// up later would be nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_waits_for_a_clone_that_nobody_was_told_of() -> anyhow::Result<()> {
    const CLONE: &str = "/nodes/*/qemu/*/clone";
    /// Looks after the cancel that tell that it was not just slow.
    const LOOKS: u64 = 12;
    let mut stack = quick().start().await?;
    stack.start_worker()?;
    let faults = stack.simulator.faults();
    faults.inject(Fault::once("POST", CLONE, FaultKind::DropAfter));
    let hold = FaultKind::Hold {
        at: tpm_pve_simulator::HoldAt::TaskEffect,
    };
    let held = faults.inject(Fault::once("POST", CLONE, hold));
    let (task, subject) = ask_create(&stack).await?;
    let faults = stack.simulator.faults();
    faults.wait_until_held(held).await;
    let path = format!("/api/tasks/{task}");
    let cancelled = stack
        .client
        .post(&format!("{path}/cancel"), &json!({}))
        .await?;
    ensure!(cancelled.status == 200, "{}", cancelled.body);
    let before = looks(&stack);
    while looks(&stack) < before + LOOKS {
        let now = stack.client.get(&path).await?.body;
        ensure!(now["status"] == "running", "{now:#}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stack.simulator.faults().release(held);
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "cancelled", "{ended:#}");
    nothing_is_left(&stack, &subject).await?;
    stack.stop().await
}
