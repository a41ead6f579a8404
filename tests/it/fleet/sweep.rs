//! Others have their hands on the cluster: guests that are recycled, renamed, moved, changed, switched and
//! destroyed behind our back, and guests that are left over.

use super::{done, hand, is, latest, refused, running};
use crate::faults::world::mark_of;
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;
use tpm_jobs::{Point, PointHook, PointKind, Verdict};
use tpm_test_support::Stack;

/// Another guest under our number: told with both identities, and nothing is ever done to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_number_is_a_conflict() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    done(stack.simulator.behind_the_back().recreate(vmid))?;
    let before = stack.simulator.foreign_hash("tpm:v1 ");
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.conflicts == 1, "{swept:?}");
    let server = stack.client.server(id).await?;
    ensure!(server["status"] == "identity_conflict", "{server:#}");
    let both = server["error"]["details"]["proxmox"]
        .as_str()
        .unwrap_or_default();
    ensure!(
        both.contains("expected uuid=") && both.contains("found uuid="),
        "{both}"
    );
    let (_, kind) = latest(&stack).await?;
    ensure!(kind == "error", "{kind}");
    ensure!(hand(&stack)?.sweep().await?.conflicts == 1);
    let list = is(stack.client.get("/api/notifications").await?, 200)?;
    ensure!(list["total"] == 2, "told again: {list:#}");
    // Neither switched, changed, nor destroyed.
    let delete = is(
        stack.client.delete(&format!("/api/servers/{id}")).await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    let task = stack
        .client
        .ended(delete["task_id"].as_str().unwrap_or_default())
        .await?;
    ensure!(task["error"]["code"] == "IDENTITY_CONFLICT", "{task:#}");
    ensure!(
        stack.simulator.foreign_hash("tpm:v1 ") == before,
        "the stranger was touched"
    );
    // The server can be had again, under another number.
    let path = format!("/api/servers/{id}/recreate");
    let again = is(stack.client.post(&path, &json!({})).await?, 201)?;
    hand(&stack)?.drain().await?;
    let task = stack
        .client
        .ended(again["task_id"].as_str().unwrap_or_default())
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = stack.client.server(id).await?;
    ensure!(
        server["status"] == "running" && server["vmid"] != vmid,
        "{server:#}"
    );
    ensure!(
        stack.simulator.foreign_hash("tpm:v1 ") == before,
        "the stranger was touched"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_followed() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    done(stack.simulator.behind_the_back().migrate(vmid, "pve3"))?;
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.moved == 1 && swept.missing == 0, "{swept:?}");
    ensure!(stack.client.server(id).await?["node"] == "pve3");
    let nodes = is(stack.client.get("/api/nodes").await?, 200)?;
    ensure!(nodes["nodes"][0]["reserved_memory"] == 0, "{nodes:#}");
    ensure!(nodes["nodes"][2]["reserved_memory"] == 2048, "{nodes:#}");
    let (text, _) = latest(&stack).await?;
    ensure!(text.contains("pve1") && text.contains("pve3"), "{text}");
    stack.stop().await
}

/// Moved by hand without a sweep in between: a task follows by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_finds_a_guest_that_has_moved() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    done(stack.simulator.behind_the_back().migrate(vmid, "pve2"))?;
    let delete = is(
        stack.client.delete(&format!("/api/servers/{id}")).await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    let task = stack
        .client
        .ended(delete["task_id"].as_str().unwrap_or_default())
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(
        !stack
            .simulator
            .guests()
            .iter()
            .any(|guest| guest.vmid == vmid)
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_hand_are_shown_and_followed() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.set_option(vmid, "name", Some("renamed")))?;
    done(behind.set_option(vmid, "memory", Some("8192")))?;
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.drifted == 1, "{swept:?}");
    let server = stack.client.server(id).await?;
    ensure!(server["status"] == "running", "{server:#}");
    ensure!(
        server["drift"] == json!(["memory: 2048, 8192", "name: one, renamed"]),
        "{server:#}"
    );
    let drift = is(
        stack
            .client
            .get(&format!("/api/servers/{id}/drift"))
            .await?,
        200,
    )?;
    ensure!(
        drift["drift"] == "changed"
            && drift["changes"][0]
                == json!({"option": "memory", "wanted": "2048", "found": "8192"}),
        "{drift:#}"
    );
    let (text, kind) = latest(&stack).await?;
    ensure!(kind == "warning" && text.contains("renamed"), "{text}");
    done(stack.simulator.behind_the_back().power_off(vmid))?;
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.switched == 1, "{swept:?}");
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    // A change puts right what was changed.
    let path = format!("/api/servers/{id}");
    is(stack.client.patch(&path, &json!({ "cpu": 3 })).await?, 200)?;
    hand(&stack)?.drain().await?;
    hand(&stack)?.sweep().await?;
    let server = stack.client.server(id).await?;
    ensure!(
        server["drift"] == json!([]) && server["cpu"] == 3,
        "{server:#}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_gone_is_missing_and_never_made_again_by_itself() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    let (other, _) = running(&stack, "two").await?;
    refused(
        stack
            .client
            .post(&format!("/api/servers/{other}/forget"), &json!({}))
            .await?,
        409,
        "WRONG_STATE",
    )?;
    done(stack.simulator.behind_the_back().destroy(vmid))?;
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.missing == 1 && swept.expected == 1, "{swept:?}");
    let server = stack.client.server(id).await?;
    ensure!(
        server["status"] == "missing" && server["error"]["code"] == "GUEST_MISSING",
        "{server:#}"
    );
    hand(&stack)?.sweep().await?;
    let made = stack
        .simulator
        .effects()
        .iter()
        .filter(|e| e.kind == "clone")
        .count();
    ensure!(made == 2, "made again by itself");
    is(
        stack
            .client
            .post(&format!("/api/servers/{id}/forget"), &json!({}))
            .await?,
        200,
    )?;
    is(stack.client.get(&format!("/api/servers/{id}")).await?, 404)?;
    // Name and address are free again, the number is not.
    let (_, again) = running(&stack, "one").await?;
    ensure!(again != vmid, "{again}");
    stack.stop().await
}

/// A guest of a create that is over: removed once it was seen long enough, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_create_left_is_removed_when_it_was_seen_long_enough() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("WORKER__ORPHAN_MS", 300)
        .start()
        .await?;
    let (_, vmid) = running(&stack, "one").await?;
    let guest = stack
        .simulator
        .guests()
        .into_iter()
        .find(|g| g.vmid == vmid)
        .context("guest")?;
    let mark = guest.description.clone();
    // The create of the second server is cancelled; a guest with its mark turns up afterwards.
    let (task, _) = stack.client.create("two", json!({})).await?;
    let (late, text) = {
        let second = stack.client.server(2).await?["vmid"]
            .as_u64()
            .context("vmid")?;
        (u32::try_from(second)?, mark_of(&stack, 2).await?)
    };
    is(
        stack
            .client
            .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
            .await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(late, "pve2", "two");
    done(behind.set_option(late, "description", Some(&text)))?;
    // A copy of a good mark on another number is no mark: a stranger's, touched never.
    behind.create_foreign(10_500, "pve2", "copy");
    done(behind.set_option(10_500, "description", Some(&mark)))?;
    let worker = hand(&stack)?;
    let first = worker.sweep().await?;
    ensure!(first.orphans == 0 && first.foreign == 1, "{first:?}");
    let second = worker.sweep().await?;
    ensure!(
        second.orphans == 0 && second.foreign == 0,
        "too soon: {second:?}"
    );
    tokio::time::sleep(std::time::Duration::from_millis(350)).await;
    let third = worker.sweep().await?;
    ensure!(third.orphans == 1, "{third:?}");
    worker.drain().await?;
    let left: Vec<_> = stack
        .simulator
        .guests()
        .iter()
        .map(|guest| guest.vmid)
        .collect();
    ensure!(!left.contains(&late), "still there: {left:?}");
    ensure!(
        left.contains(&vmid) && left.contains(&10_500),
        "too much is gone: {left:?}"
    );
    let tasks = is(
        stack.client.get("/api/tasks?kind=remove_orphan").await?,
        200,
    )?;
    ensure!(tasks["tasks"][0]["status"] == "completed", "{tasks:#}");
    stack.stop().await
}

/// Somebody else's guest in our range: told once, its number never given.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_in_our_range_costs_a_number() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    stack
        .simulator
        .behind_the_back()
        .create_foreign(10_000, "pve1", "theirs");
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.foreign == 1, "{swept:?}");
    ensure!(hand(&stack)?.sweep().await?.foreign == 0, "told again");
    let (text, _) = latest(&stack).await?;
    ensure!(text.contains("10000") && text.contains("theirs"), "{text}");
    let before = stack.simulator.foreign_hash("tpm:v1 ");
    let (_, vmid) = running(&stack, "one").await?;
    ensure!(vmid == 10_001, "{vmid}");
    ensure!(stack.simulator.foreign_hash("tpm:v1 ") == before);
    stack.stop().await
}

/// Waits before the look after the destroy until the test has had its hands on the cluster.
#[derive(Default)]
struct Pause {
    reached: Notify,
    passed: Notify,
}

#[async_trait]
impl PointHook for Pause {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        if point.kind == PointKind::BeforeLook && point.step == "destroy" && point.attempt > 0 {
            self.reached.notify_one();
            self.passed.notified().await;
        }
        Verdict::Continue
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_taken_at_once_does_not_hinder_the_delete() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    let task = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let pause = Arc::new(Pause::default());
    let worker = stack.worker_with(pause.clone())?;
    let has = |name: &str| {
        let guests = stack.simulator.guests();
        guests.iter().any(|g| g.vmid == vmid && g.name == name)
    };
    let squat = async {
        pause.reached.notified().await;
        while has("one") {
            tokio::task::yield_now().await;
        }
        let behind = stack.simulator.behind_the_back();
        behind.create_foreign(vmid, "pve2", "stranger");
        pause.passed.notify_one();
    };
    let (drained, ()) = tokio::join!(worker.drain(), squat);
    drained?;
    let token = task.body["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(token).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(has("stranger"), "{:#?}", stack.simulator.guests());
    stack.stop().await
}
