//! Switching servers, and servers that were changed behind our back.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::{Reply, Stack};

/// A stack with one running server; its id and its guest's number.
async fn with_server() -> anyhow::Result<(Stack, i64, u32)> {
    let mut stack = Stack::builder()
        .set("PROXMOX__SHUTDOWN_TIMEOUT_SECS", 1)
        .start()
        .await?;
    stack.start_worker()?;
    let (task, id) = stack.client.create("one", json!({})).await?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    let vmid = stack.client.server(id).await?["vmid"]
        .as_u64()
        .context("vmid")?;
    Ok((stack, id, u32::try_from(vmid)?))
}

async fn wish(stack: &Stack, id: i64, status: &str) -> anyhow::Result<Reply> {
    stack
        .client
        .put(
            &format!("/api/servers/{id}/status"),
            &json!({ "status": status }),
        )
        .await
}

/// Wishes, and waits for the task's end.
async fn reach(stack: &Stack, id: i64, status: &str) -> anyhow::Result<Value> {
    let reply = wish(stack, id, status).await?;
    ensure!(
        reply.status == 200,
        "{status}: {} {}",
        reply.status,
        reply.body
    );
    stack
        .client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await
}

fn behind<T>(done: Result<T, String>) -> anyhow::Result<T> {
    done.map_err(anyhow::Error::msg)
}

fn count(stack: &Stack, kind: &str) -> usize {
    stack
        .simulator
        .effects()
        .iter()
        .filter(|effect| effect.kind == kind)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_switched_and_what_is_so_is_left_alone() -> anyhow::Result<()> {
    let (stack, id, _) = with_server().await?;
    let already = wish(&stack, id, "running").await?;
    ensure!(
        already.status == 200 && already.body["task_id"].is_null(),
        "{}",
        already.body
    );
    ensure!(reach(&stack, id, "restarted").await?["status"] == "completed");
    ensure!(stack.client.server(id).await?["status"] == "running");
    ensure!(reach(&stack, id, "stopped").await?["status"] == "completed");
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    let off = wish(&stack, id, "restarted").await?;
    ensure!(
        off.status == 409 && off.body["error"]["code"] == "WRONG_STATE",
        "{}",
        off.body
    );
    ensure!(reach(&stack, id, "running").await?["status"] == "completed");
    ensure!(stack.client.server(id).await?["status"] == "running");
    stack.stop().await
}

/// A guest that does not listen is switched off, and reset, once its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_deaf_guest_is_switched_off_and_reset() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server().await?;
    behind(stack.simulator.behind_the_back().set_deaf(vmid, true))?;
    let task = reach(&stack, id, "restarted").await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let task = reach(&stack, id, "stopped").await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    stack.stop().await
}

/// One task at a time works on a server; who asks again for the same gets the same task.
/// A restart that meets the guest in the middle of somebody else's finds it off: it is asked once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_finds_the_guest_off_is_asked_again() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server().await?;
    let off = FaultKind::TaskFails {
        text: format!("VM {vmid} not running"),
    };
    let fault = Fault::once("POST", "/nodes/*/qemu/*/status/reboot", off);
    stack.simulator.faults().inject(fault);
    let task = reach(&stack, id, "restarted").await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let attempts = &task["steps"][0]["attempts"];
    ensure!(*attempts == 2, "{task:#}");
    ensure!(stack.client.server(id).await?["status"] == "running");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_says_by_which_task() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (task, id) = stack.client.create("one", json!({})).await?;
    let reply = wish(&stack, id, "stopped").await?;
    ensure!(
        reply.status == 409 && reply.body["error"]["code"] == "SERVER_BUSY",
        "{}",
        reply.body
    );
    ensure!(
        reply.body["error"]["details"]["task_id"] == task,
        "{}",
        reply.body
    );
    let reply = stack.client.delete(&format!("/api/servers/{id}")).await?;
    ensure!(reply.status == 409, "{}", reply.body);
    let body = json!({ "server_ids": [id] });
    let reply = stack.client.post("/api/servers/bulk-delete", &body).await?;
    ensure!(reply.status == 409, "{}", reply.body);

    let cancel = stack
        .client
        .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
        .await?;
    ensure!(cancel.status == 200, "{}", cancel.body);
    let worker = stack.worker_with(std::sync::Arc::new(tpm_jobs::NoFaults))?;
    worker.drain().await?;
    ensure!(stack.client.ended(&task).await?["status"] == "cancelled");
    ensure!(
        stack
            .client
            .get(&format!("/api/servers/{id}"))
            .await?
            .status
            == 404
    );
    ensure!(count(&stack, "clone") == 0, "cloned after it was cancelled");

    let (task, id) = stack.client.create("two", json!({})).await?;
    worker.drain().await?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    let first = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let second = stack.client.delete(&format!("/api/servers/{id}")).await?;
    ensure!(
        second.status == 200 && first.body["task_id"] == second.body["task_id"],
        "{}",
        second.body
    );
    worker.drain().await?;
    ensure!(
        stack
            .client
            .delete(&format!("/api/servers/{id}"))
            .await?
            .status
            == 404
    );
    stack.stop().await
}

/// Others moved the guest to another node: it is followed.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_guest_is_followed() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server().await?;
    behind(stack.simulator.behind_the_back().migrate(vmid, "pve3"))?;
    let task = reach(&stack, id, "stopped").await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.client.server(id).await?["node"] == "pve3");
    let reply = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let task = stack
        .client
        .ended(reply.body["task_id"].as_str().context("task")?)
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(count(&stack, "destroy") == 1);
    stack.stop().await
}

/// Others switched the guest off: a stop finds it so and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_off_already_is_not_stopped_again() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server().await?;
    behind(stack.simulator.behind_the_back().power_off(vmid))?;
    let task = reach(&stack, id, "stopped").await?;
    ensure!(
        task["status"] == "completed" && task["steps"][0]["attempts"] == 0,
        "{task:#}"
    );
    stack.stop().await
}

/// Others destroyed the guest: the server is missing, and can be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_guest_is_missing_and_can_be_deleted() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server().await?;
    behind(stack.simulator.behind_the_back().destroy(vmid))?;
    let task = reach(&stack, id, "stopped").await?;
    ensure!(
        task["status"] == "failed" && task["error"]["code"] == "GUEST_MISSING",
        "{task:#}"
    );
    ensure!(stack.client.server(id).await?["status"] == "missing");
    let reply = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let task = stack
        .client
        .ended(reply.body["task_id"].as_str().context("task")?)
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    stack.stop().await
}
