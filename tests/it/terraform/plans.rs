//! What is planned is what is done: stale and destructive plans are refused, and nothing is touched.

use super::{changed, running, stack};
use crate::fleet::{hand, is};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tpm_jobs::{Point, PointHook, PointKind, Verdict};
use tpm_test_support::{Stack, Terraform};

/// Waits between the plan and its being carried out, once.
#[derive(Default)]
struct Between {
    waited: AtomicBool,
    reached: Notify,
    passed: Notify,
}

#[async_trait]
impl PointHook for Between {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        let between = point.kind == PointKind::BeforeLook && point.step == "apply";
        if between && !self.waited.swap(true, Ordering::AcqRel) {
            self.reached.notify_one();
            self.passed.notified().await;
        }
        Verdict::Continue
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_not_of_this_guest_any_more_is_refused() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let path = format!("/api/servers/{id}");
    let before = stack.simulator.guest(vmid).context("the guest")?;
    let answer = is(stack.client.patch(&path, &json!({ "cpu": 4 })).await?, 200)?;
    let between = Arc::new(Between::default());
    let worker = stack.worker_with(between.clone())?;
    let behind = async {
        between.reached.notified().await;
        let behind = stack.simulator.behind_the_back();
        let done = behind.set_option(vmid, "balloon", Some("256"));
        between.passed.notify_one();
        done
    };
    let (drained, changed) = tokio::join!(worker.drain(), behind);
    drained?;
    changed.map_err(anyhow::Error::msg)?;
    let task = answer["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    ensure!(
        task["status"] == "failed" && task["error"]["code"] == "STALE_PLAN",
        "{task:#}"
    );
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    ensure!(
        guest.config["cores"] == before.config["cores"] && guest.pending.is_empty(),
        "{guest:#?}"
    );
    // Asked again, it is planned from what there is now.
    let task = super::changed(&stack, id, &json!({ "cpu": 4 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    stack.stop().await
}

/// A provider that would make the guest again instead of changing it, as providers do for some fields: its
/// plans are rewritten on their way to us.
fn replacing(terraform: &Terraform, dir: &Path) -> anyhow::Result<Terraform> {
    let script = dir.join("terraform");
    let binary = terraform.binary.display();
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = show ]; then\n  \"{binary}\" \"$@\" | sed 's/\"actions\":\\[\"update\"\\]/\"actions\":[\"delete\",\"create\"]/g'\nelse\n  exec \"{binary}\" \"$@\"\nfi\n"
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    Ok(Terraform {
        binary: script,
        mirror: terraform.mirror.clone(),
    })
}

/// What makes the guest again is done only with its owner's consent.
#[tokio::test(flavor = "multi_thread")]
async fn what_destroys_needs_consent() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let terraform = replacing(&terraform, dir.path())?;
    let stack = Stack::builder().terraform(&terraform).start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let before = stack.simulator.guest(vmid).context("the guest")?;

    let task = changed(&stack, id, &json!({ "cpu": 4 })).await?;
    let text = task["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        task["error"]["code"] == "DESTRUCTIVE_PLAN" && text.contains("cpu.0.cores 2 -> 4"),
        "{task:#}"
    );
    let after = stack.simulator.guest(vmid).context("the guest")?;
    ensure!(after == before, "{before:#?} {after:#?}");
    let path = format!(
        "/api/tasks/{}/plan",
        task["task_id"].as_str().context("id")?
    );
    let plan = is(stack.client.get(&path).await?, 200)?;
    ensure!(
        plan["destructive"] == true && plan["action"] == "replace",
        "{plan:#}"
    );

    let path = format!("/api/servers/{id}");
    let wrong = json!({ "cpu": 4, "confirm": "web-2" });
    let refusal = is(stack.client.patch(&path, &wrong).await?, 400)?;
    ensure!(refusal.to_string().contains("confirm"), "{refusal:#}");
    let body = json!({ "cpu": 4, "confirm": "web-1" });
    let task = changed(&stack, id, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(super::ours(&stack) == [vmid], "{:?}", super::ours(&stack));
    stack.stop().await
}

/// Another guest under our number: nothing is done to it, and both identities are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_number_is_not_destroyed() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    behind.recreate(vmid).map_err(anyhow::Error::msg)?;
    let hash = stack.simulator.foreign_hash("tpm:v1 ");
    let answer = stack.client.delete(&format!("/api/servers/{id}")).await?;
    hand(&stack)?.drain().await?;
    let task = answer.body["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    let text = task["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        task["error"]["code"] == "IDENTITY_CONFLICT"
            && text.contains("expected uuid=")
            && text.contains("found uuid="),
        "{task:#}"
    );
    ensure!(hash == stack.simulator.foreign_hash("tpm:v1 "), "touched");
    stack.stop().await
}
