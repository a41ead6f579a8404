//! Making backups, and deleting them.

use super::{ask, backed_up, done, one, quick, refused, server, with_server};
use anyhow::{Context, ensure};
use serde_json::json;
use tpm_pve_simulator::{Fault, FaultKind};

/// As the reference has it, and what was asked for stands on the archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_and_told_as_in_the_reference() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let made = backed_up(&stack, id, json!({ "notes": "before the upgrade" })).await?;
    let list = stack.client.get("/api/backups").await?;
    ensure!(list.body["total"] == 1, "{}", list.body);
    ensure!(list.body["backups"][0] == made, "{}", list.body);
    ensure!(made["server_id"] == id && made["server_name"] == "web-server-01");
    ensure!(made["status"] == "completed", "{made:#}");
    let token = made["backup_id"].as_str().context("backup_id")?;
    ensure!(token.starts_with("backup_"), "{token}");
    ensure!(made["size"].as_str().is_some_and(|s| s.ends_with('B')));
    ensure!(made["size_bytes"].as_u64().is_some_and(|n| n > 0));
    ensure!(made["mode"] == "snapshot" && made["compress"] == "zstd");
    ensure!(made["warnings"] == json!([]) && made["error"].is_null());
    ensure!(made["finished_at"].is_string() && made["verified_at"].is_null());
    let archives = stack.simulator.archives(vmid);
    ensure!(made["volume"] == archives[0] && archives.len() == 1);
    let other = stack.client.get("/api/backups?storage=nowhere").await?;
    ensure!(other.body["total"] == 0, "{}", other.body);
    let path = format!("/api/backups?server_id={id}&limit=1&offset=1");
    let page = stack.client.get(&path).await?;
    ensure!(
        page.body == json!({ "backups": [], "total": 1 }),
        "{}",
        page.body
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_and_every_packing() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    for (mode, compress, ending) in [
        ("snapshot", "zstd", ".vma.zst"),
        ("suspend", "gzip", ".vma.gz"),
        ("stop", "lzo", ".vma.lzo"),
        ("snapshot", "none", ".vma"),
    ] {
        let more = json!({ "mode": mode, "compress": compress, "storage": "backup" });
        let made = backed_up(&stack, id, more).await?;
        ensure!(
            made["mode"] == mode && made["storage"] == "backup",
            "{made:#}"
        );
        let volume = made["volume"].as_str().context("volume")?;
        ensure!(volume.ends_with(ending), "{mode}: {volume}");
        ensure!(stack.client.server(id).await?["status"] == "running");
    }
    ensure!(stack.simulator.archives(vmid).len() == 4);
    // One that is off is backed up as it is, and stays off.
    let (path, off) = (
        format!("/api/servers/{id}/status"),
        json!({ "status": "stopped" }),
    );
    let reply = stack.client.put(&path, &off).await?;
    stack.client.ended(&stack.client.task_of(&reply)?).await?;
    backed_up(&stack, id, json!({})).await?;
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() -> anyhow::Result<()> {
    let (stack, id, _) = with_server(quick()).await?;
    for (field, value, code) in [
        ("backup_type", json!("incremental"), "NOT_ALLOWED"),
        ("mode", json!("nap"), "NOT_ALLOWED"),
        ("compress", json!("zip"), "NOT_ALLOWED"),
        ("storage", json!("../etc"), "NO_SUCH"),
        ("notes", json!("{{guestname}}"), "NOT_ONE_LINE"),
        ("notes", json!("a\nb"), "NOT_ONE_LINE"),
        ("notes", json!("a".repeat(201)), "TOO_LONG"),
        ("protected", json!(1), "WRONG_TYPE"),
        ("colour", json!("red"), "UNKNOWN_FIELD"),
    ] {
        let reply = ask(&stack, id, json!({ field: value })).await?;
        refused(&reply, 400, "INVALID_REQUEST")?;
        let fields = &reply.body["error"]["details"]["fields"];
        ensure!(
            fields[0]["field"] == field && fields[0]["code"] == code,
            "{fields}"
        );
    }
    let nobody = stack.client.post("/api/backups/create", &json!({})).await?;
    refused(&nobody, 400, "INVALID_REQUEST")?;
    refused(&ask(&stack, 999_999, json!({})).await?, 404, "NOT_FOUND")?;
    ensure!(stack.client.get("/api/backups").await?.body["total"] == 0);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_warnings_is_completed_and_they_are_shown() -> anyhow::Result<()> {
    let (stack, id, _) = with_server(quick()).await?;
    let text = "unable to freeze the file system";
    let kind = FaultKind::TaskWarns { text: text.into() };
    let fault = Fault::once("POST", "/nodes/*/vzdump", kind);
    stack.simulator.faults().inject(fault);
    let made = backed_up(&stack, id, json!({})).await?;
    ensure!(made["status"] == "completed", "{made:#}");
    ensure!(made["warnings"] == json!([text]), "{made:#}");
    stack.stop().await
}

/// A full storage, a storage that does not exist: Proxmox VE's own words are told, nothing is left, and the server
/// is none the worse.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_says_why() -> anyhow::Result<()> {
    let tiny = quick().simulator(|config| {
        let mut tiny = config.storages[3].clone();
        tiny.name = "tiny".into();
        tiny.total = 1024;
        config.storages.push(tiny);
    });
    let (stack, id, vmid) = with_server(tiny).await?;
    for (storage, words) in [
        ("tiny", "vma_queue_write: write error"),
        ("nowhere", "storage 'nowhere' does not exist"),
    ] {
        let reply = ask(&stack, id, json!({ "storage": storage })).await?;
        let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
        ensure!(task["status"] == "failed", "{task:#}");
        let said = task["error"]["details"]["proxmox"]
            .as_str()
            .unwrap_or_default();
        ensure!(said.contains(words), "{storage}: {task:#}");
        let backup = reply.body["backup_id"].as_str().context("backup_id")?;
        let backup = one(&stack, backup).await?;
        ensure!(
            backup["status"] == "failed" && backup["error"].is_string(),
            "{backup:#}"
        );
        let name = backup["backup_id"].as_str().unwrap_or_default();
        let gone = stack.client.delete(&format!("/api/backups/{name}")).await?;
        ensure!(
            gone.status == 200 && gone.body["task_id"].is_null(),
            "{}",
            gone.body
        );
    }
    ensure!(stack.simulator.archives(vmid).is_empty());
    let server = stack.client.server(id).await?;
    ensure!(
        server["status"] == "running" && server["error"].is_null(),
        "{server:#}"
    );
    ensure!(stack.client.get("/api/backups").await?.body["total"] == 0);
    stack.stop().await
}

/// A lock that is held is waited for; nothing is asked for meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_guest_is_waited_for() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.set_option(vmid, "lock", Some("snapshot")))?;
    let reply = ask(&stack, id, json!({})).await?;
    let task = stack.client.task_of(&reply)?;
    loop {
        let shown = stack.client.get(&format!("/api/tasks/{task}")).await?;
        let said = shown.body["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if said.contains("is locked (snapshot)") {
            break;
        }
        ensure!(shown.body["status"] != "failed", "{}", shown.body);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    ensure!(stack.simulator.archives(vmid).is_empty());
    done(behind.set_option(vmid, "lock", None))?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.simulator.archives(vmid).len() == 1);
    stack.stop().await
}

/// Protected ones are kept; the only good one is deleted only when its own name is said.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_backup_is_not_deleted_by_chance() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let kept = backed_up(&stack, id, json!({ "protected": true })).await?;
    ensure!(kept["protected"] == true, "{kept:#}");
    let path = |backup: &serde_json::Value| {
        format!(
            "/api/backups/{}",
            backup["backup_id"].as_str().unwrap_or_default()
        )
    };
    refused(
        &stack.client.delete(&path(&kept)).await?,
        409,
        "BACKUP_PROTECTED",
    )?;
    let (second, _) = server(&stack, "web-server-02").await?;
    let only = backed_up(&stack, second, json!({})).await?;
    refused(
        &stack.client.delete(&path(&only)).await?,
        409,
        "ONLY_BACKUP",
    )?;
    let wrong = format!("{}?confirm=yes", path(&only));
    refused(&stack.client.delete(&wrong).await?, 409, "ONLY_BACKUP")?;
    let name = only["backup_id"].as_str().context("backup_id")?;
    let sure = format!("{}?confirm={name}", path(&only));
    let reply = stack.client.delete(&sure).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    refused(&stack.client.get(&path(&only)).await?, 404, "NOT_FOUND")?;
    // A second one of the first server goes without a word.
    let more = backed_up(&stack, id, json!({})).await?;
    let reply = stack.client.delete(&path(&more)).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.simulator.archives(vmid).len() == 1);
    refused(
        &stack.client.delete("/api/backups/backup_none").await?,
        404,
        "NOT_FOUND",
    )?;
    stack.stop().await
}
