//! Backups: made, seen, restored and deleted, and what others do to them.

mod aging;
mod drills;
mod killed;
mod making;
mod pruning;
mod restoring;
mod scheduled;
mod storages;
mod turns;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_test_support::{Reply, Stack, StackBuilder};

/// A stack that waits for little.
fn quick() -> StackBuilder {
    Stack::builder()
        .set("PROXMOX__SHUTDOWN_TIMEOUT_SECS", 1)
        .set("WORKER__SCAN_MS", 50)
}

/// A server that runs; its id and its guest's number.
async fn server(stack: &Stack, name: &str) -> anyhow::Result<(i64, u32)> {
    let (task, id) = stack.client.create(name, json!({})).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let vmid = stack.client.server(id).await?["vmid"].as_u64();
    Ok((id, u32::try_from(vmid.context("vmid")?)?))
}

/// The same in a new installation with a worker.
async fn with_server(builder: StackBuilder) -> anyhow::Result<(Stack, i64, u32)> {
    let mut stack = builder.start().await?;
    stack.start_worker()?;
    let (id, vmid) = server(&stack, "web-server-01").await?;
    Ok((stack, id, vmid))
}

/// Asks for a backup of a server.
async fn ask(stack: &Stack, id: i64, more: Value) -> anyhow::Result<Reply> {
    let mut body = json!({ "server_id": id, "backup_type": "full" });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    stack.client.post("/api/backups/create", &body).await
}

/// A backup that is made; as the list shows it.
async fn backed_up(stack: &Stack, id: i64, more: Value) -> anyhow::Result<Value> {
    let reply = ask(stack, id, more).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    one(
        stack,
        reply.body["backup_id"].as_str().context("backup_id")?,
    )
    .await
}

/// One backup.
async fn one(stack: &Stack, backup: &str) -> anyhow::Result<Value> {
    let reply = stack.client.get(&format!("/api/backups/{backup}")).await?;
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    Ok(reply.body)
}

/// Asks for a restore.
async fn restore(stack: &Stack, backup: &Value, body: Value) -> anyhow::Result<Reply> {
    let backup = backup["backup_id"].as_str().context("backup_id")?;
    let path = format!("/api/backups/{backup}/restore");
    stack.client.post(&path, &body).await
}

/// The same, until its task has ended.
async fn restored(stack: &Stack, backup: &Value, body: Value) -> anyhow::Result<Value> {
    let reply = restore(stack, backup, body).await?;
    stack.client.ended(&stack.client.task_of(&reply)?).await
}

/// The network that backups are tried on.
pub(crate) async fn make_drill_network(stack: &Stack) -> anyhow::Result<()> {
    let body = json!({
        "name": "drill", "range": "198.18.0.10-198.18.1.250", "prefix": 16, "bridge": "vmbr1",
    });
    let reply = stack.client.post("/api/networks", &body).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    Ok(())
}

fn refused(reply: &Reply, status: u16, code: &str) -> anyhow::Result<()> {
    ensure!(
        reply.status == status && reply.body["error"]["code"] == code,
        "not {status} {code}: {} {}",
        reply.status,
        reply.body
    );
    Ok(())
}

fn done<T>(result: Result<T, String>) -> anyhow::Result<T> {
    result.map_err(anyhow::Error::msg)
}
