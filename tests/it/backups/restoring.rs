//! Restoring backups: onto the server, onto another one, as a new one.

use super::{backed_up, done, one, quick, refused, restore, restored, server, with_server};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

/// What has to stay a server's own, whatever is restored over it.
fn own(stack: &Stack, vmid: u32) -> anyhow::Result<BTreeMap<String, String>> {
    let guest = stack.simulator.guest(vmid).context("no guest")?;
    let is_own = |key: &str| {
        matches!(key, "name" | "description" | "smbios1")
            || key.starts_with("net")
            || key.starts_with("ipconfig")
    };
    let own = guest.config.into_iter().filter(|(key, _)| is_own(key));
    Ok(own.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_again_what_it_was() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let before = own(&stack, vmid)?;
    refused(
        &restore(&stack, &backup, json!({})).await?,
        409,
        "WOULD_OVERWRITE",
    )?;
    let reply = restore(&stack, &backup, json!({ "overwrite": true })).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    let safety = reply.body["safety_backup_id"]
        .as_str()
        .context("no safety")?
        .to_owned();
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(own(&stack, vmid)? == before);
    let shown = stack.client.server(id).await?;
    ensure!(
        shown["status"] == "running" && shown["error"].is_null(),
        "{shown:#}"
    );
    let safety = one(&stack, &safety).await?;
    ensure!(
        safety["status"] == "completed" && safety["origin"] == "safety",
        "{safety:#}"
    );
    ensure!(stack.simulator.archives(vmid).len() == 2);
    let backup = one(&stack, backup["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(backup["verified_by"] == "restore" && backup["verified_at"].is_string());
    // It is one of ours as before: the sweep finds nothing, and it can be deleted.
    stack.service.worker()?.sweep().await?;
    let shown = stack.client.server(id).await?;
    ensure!(shown["status"] == "running", "{shown:#}");
    let reply = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    // Its backups stay, and are told to be its.
    let list = stack.client.get("/api/backups").await?;
    ensure!(list.body["total"] == 2, "{}", list.body);
    stack.stop().await
}

/// A server that was off stays off; without the setting there is no safety backup.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_off_stays_off() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick().set("BACKUPS__SAFETY", false)).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let off = json!({ "status": "stopped" });
    let off = stack
        .client
        .put(&format!("/api/servers/{id}/status"), &off)
        .await?;
    stack.client.ended(&stack.client.task_of(&off)?).await?;
    let task = restored(&stack, &backup, json!({ "overwrite": true })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    ensure!(stack.simulator.archives(vmid).len() == 1);
    stack.stop().await
}

/// Onto another server: it stays who it is.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_gets_the_disks_and_stays_who_it_is() -> anyhow::Result<()> {
    let (stack, id, _) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    let (other, its) = server(&stack, "web-server-02").await?;
    let before = own(&stack, its)?;
    let body = json!({ "target_server_id": other, "overwrite": true });
    let task = restored(&stack, &backup, body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(own(&stack, its)? == before);
    ensure!(stack.client.server(other).await?["status"] == "running");
    ensure!(stack.client.server(id).await?["status"] == "running");
    stack.stop().await
}

/// A guest that is lost comes back under its number, with its identity.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_guest_comes_back() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let before = own(&stack, vmid)?;
    done(stack.simulator.behind_the_back().destroy(vmid))?;
    stack.service.worker()?.sweep().await?;
    let state = stack.client.server(id).await?["status"].clone();
    ensure!(state == "missing", "{state}");
    // Nothing would be lost, so nothing has to be said.
    let task = restored(&stack, &backup, json!({})).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let after = own(&stack, vmid)?;
    ensure!(after["description"] == before["description"] && after["name"] == before["name"]);
    let uuid = |of: &BTreeMap<String, String>| of["smbios1"].clone();
    ensure!(uuid(&after).contains(uuid(&before).split(',').next().unwrap_or_default()));
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_made_of_a_backup() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let body = json!({ "target_server_id": "new", "name": "web-server-09" });
    let reply = restore(&stack, &backup, body).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    let new = reply.body["server_id"].as_i64().context("server_id")?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed" && new != id, "{task:#}");
    let (old, made) = (
        stack.client.server(id).await?,
        stack.client.server(new).await?,
    );
    ensure!(
        made["name"] == "web-server-09" && made["status"] == "running",
        "{made:#}"
    );
    for (field, differs) in [
        ("vmid", true),
        ("ip_address", true),
        ("cpu", false),
        ("disk_size", false),
    ] {
        ensure!((old[field] != made[field]) == differs, "{field}: {made:#}");
    }
    let its = u32::try_from(made["vmid"].as_u64().context("vmid")?)?;
    let (of_old, of_new) = (own(&stack, vmid)?, own(&stack, its)?);
    for key in ["net0", "ipconfig0", "smbios1", "description", "name"] {
        ensure!(of_old[key] != of_new[key], "{key} is the same: {of_new:?}");
    }
    // A name is made up when none is said.
    let reply = restore(&stack, &backup, json!({ "target_server_id": "new" })).await?;
    let new = reply.body["server_id"].as_i64().context("server_id")?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let name = stack.client.server(new).await?["name"].clone();
    ensure!(
        name.as_str()
            .is_some_and(|n| n.starts_with("web-server-01-")),
        "{name}"
    );
    let taken = json!({ "target_server_id": "new", "name": "web-server-09" });
    refused(&restore(&stack, &backup, taken).await?, 409, "NAME_TAKEN")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_makes_no_sense_is_refused() -> anyhow::Result<()> {
    let (stack, id, _) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    for (body, field, code) in [
        (
            json!({ "target_server_id": "old" }),
            "target_server_id",
            "NOT_ALLOWED",
        ),
        (
            json!({ "target_server_id": [1] }),
            "target_server_id",
            "WRONG_TYPE",
        ),
        (json!({ "overwrite": "yes" }), "overwrite", "WRONG_TYPE"),
        (json!({ "name": "x" }), "name", "EXCLUDES"),
        (json!({ "colour": 1 }), "colour", "UNKNOWN_FIELD"),
    ] {
        let reply = restore(&stack, &backup, body).await?;
        refused(&reply, 400, "INVALID_REQUEST")?;
        let fields = &reply.body["error"]["details"]["fields"];
        ensure!(
            fields[0]["field"] == field && fields[0]["code"] == code,
            "{fields}"
        );
    }
    let nobody = json!({ "target_server_id": 999_999, "overwrite": true });
    refused(&restore(&stack, &backup, nobody).await?, 404, "NOT_FOUND")?;
    let none = json!({ "backup_id": "backup_none" });
    refused(&restore(&stack, &none, json!({})).await?, 404, "NOT_FOUND")?;
    stack.stop().await
}

/// Said what is left, and where what was there before is.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_says_what_is_left() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let text = "command 'zstd -q -d -c' failed: exit code 1";
    let kind = FaultKind::TaskFails { text: text.into() };
    let fault = Fault::once("POST", "/nodes/*/qemu", kind);
    stack.simulator.faults().inject(fault);
    let reply = restore(&stack, &backup, json!({ "overwrite": true })).await?;
    let safety = reply.body["safety_backup_id"]
        .as_str()
        .context("no safety")?
        .to_owned();
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    let said = task["error"]["details"]["proxmox"]
        .as_str()
        .unwrap_or_default();
    for part in [text, "as configured before", &safety] {
        ensure!(said.contains(part), "{part} is not told: {task:#}");
    }
    let safety = one(&stack, &safety).await?;
    ensure!(safety["status"] == "completed", "{safety:#}");
    let server = stack.client.server(id).await?;
    ensure!(
        server["status"] == "stopped" && server["error"].is_object(),
        "{server:#}"
    );
    // The safety backup brings it back.
    let task = restored(&stack, &safety, json!({ "overwrite": true })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.simulator.guest(vmid).is_some());
    stack.stop().await
}

/// Before anything is touched: a stranger under the number, an archive that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_touched_that_is_not_ours() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.recreate(vmid))?;
    let stranger = stack.simulator.guest(vmid);
    let task = restored(&stack, &backup, json!({ "overwrite": true })).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    ensure!(task["error"]["code"] == "IDENTITY_CONFLICT", "{task:#}");
    ensure!(
        stack.simulator.guest(vmid) == stranger,
        "the stranger was touched"
    );
    let (other, its) = server(&stack, "web-server-02").await?;
    let backup = backed_up(&stack, other, json!({})).await?;
    done(behind.remove_archive(backup["volume"].as_str().context("volume")?))?;
    let task = restored(&stack, &backup, json!({ "overwrite": true })).await?;
    ensure!(task["error"]["code"] == "ARCHIVE_MISSING", "{task:#}");
    ensure!(stack.client.server(other).await?["status"] == "running");
    ensure!(
        stack.simulator.archives(its).is_empty(),
        "it was backed up for nothing"
    );
    let backup: Value = one(&stack, backup["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(backup["status"] == "missing", "{backup:#}");
    stack.stop().await
}
