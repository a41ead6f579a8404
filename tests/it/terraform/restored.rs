//! A backup restored over a server of the engine, and to a new one, by the direct engine: the state agrees with what is
//! there then, and the real Terraform has nothing to do.

use super::{changed, has_no_changes, running, stack};
use crate::fleet::{hand, is};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_test_support::{Reply, Stack};

/// The task that an answer names, carried out.
async fn done(stack: &Stack, reply: Reply) -> anyhow::Result<Value> {
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    hand(stack)?.drain().await?;
    let task = reply.body["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(reply.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_there_is_nothing_to_do() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let body = json!({ "server_id": id, "backup_type": "full" });
    let reply = stack.client.post("/api/backups/create", &body).await?;
    let backup = done(&stack, reply).await?["backup_id"].clone();
    let path = format!("/api/backups/{}", backup.as_str().context("backup_id")?);
    // What is restored is not what the state says.
    let task = changed(&stack, id, &json!({ "cpu": 4, "memory": 4096 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");

    let over = json!({ "overwrite": true });
    let restore = format!("{path}/restore");
    done(&stack, stack.client.post(&restore, &over).await?).await?;
    let server = stack.client.server(id).await?;
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    let cores: u64 = guest.config["cores"].parse()?;
    ensure!(
        server["status"] == "running" && server["cpu"] == cores,
        "{server:#} {guest:#?}"
    );
    has_no_changes(&stack, &terraform, id).await?;

    let new = json!({ "target_server_id": "new", "name": "web-2" });
    let made = done(&stack, stack.client.post(&restore, &new).await?).await?;
    let other = made["server_id"].as_i64().context("server_id")?;
    has_no_changes(&stack, &terraform, other).await?;

    // From there on both are changed and deleted by Terraform as before.
    for id in [id, other] {
        let task = changed(&stack, id, &json!({ "cpu": 3 })).await?;
        ensure!(task["status"] == "completed", "{task:#}");
        has_no_changes(&stack, &terraform, id).await?;
        let reply = stack.client.delete(&format!("/api/servers/{id}")).await?;
        let reply = is(reply, 200)?;
        hand(&stack)?.drain().await?;
        let task = reply["task_id"].as_str().context("task_id")?;
        let task = stack.client.ended(task).await?;
        ensure!(task["status"] == "completed", "{task:#}");
    }
    ensure!(super::ours(&stack).is_empty(), "{:?}", super::ours(&stack));
    stack.stop().await
}
