//! Many servers: what is promised to whom, where they go, what becomes of a bulk, and what happens when
//! others have their hands on the cluster.

mod bulks;
mod gate;
pub(crate) mod import;
pub(crate) mod keys;
mod networks;
mod nodes;
mod projects;
mod restored;
mod sweep;
mod time;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use tpm_bootstrap::WorkerProcess;
use tpm_jobs::NoFaults;
use tpm_test_support::{Reply, Stack};

/// A plain server's fields.
pub(crate) fn server(name: &str) -> Value {
    json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 })
}

/// A body with more fields.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// An answer that must have this status.
pub(crate) fn is(reply: Reply, status: u16) -> anyhow::Result<Value> {
    ensure!(reply.status == status, "{} {:#}", reply.status, reply.body);
    Ok(reply.body)
}

/// A refusal with this code; its details.
pub(crate) fn refused(reply: Reply, status: u16, code: &str) -> anyhow::Result<Value> {
    ensure!(
        reply.status == status && reply.body["error"]["code"] == code,
        "{} {:#}",
        reply.status,
        reply.body
    );
    Ok(reply.body["error"]["details"].clone())
}

/// What was done behind the back was done.
pub(crate) fn done(result: Result<(), String>) -> anyhow::Result<()> {
    result.map_err(anyhow::Error::msg)
}

/// A worker that is told by hand what to do.
pub(crate) fn hand(stack: &Stack) -> anyhow::Result<WorkerProcess> {
    stack.worker_with(Arc::new(NoFaults))
}

/// A running server; its number and its guest's.
pub(crate) async fn running(stack: &Stack, name: &str) -> anyhow::Result<(i64, u32)> {
    let (task, id) = stack.client.create(name, json!({})).await?;
    hand(stack)?.drain().await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let vmid = stack.client.server(id).await?["vmid"].as_u64();
    Ok((id, u32::try_from(vmid.context("vmid")?)?))
}

/// The newest notification's text and kind.
pub(crate) async fn latest(stack: &Stack) -> anyhow::Result<(String, String)> {
    let body = is(stack.client.get("/api/notifications/latest").await?, 200)?;
    let text = |field: &str| {
        let value = body["notification"][field].as_str();
        value.unwrap_or_default().to_owned()
    };
    Ok((text("message"), text("type")))
}
