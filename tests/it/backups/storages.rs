//! What others do on the storages: archives that come, go and are checked; backup servers.

use super::{backed_up, done, one, quick, refused, restore, restored, with_server};
use anyhow::{Context, ensure};
use serde_json::json;
use tpm_jobs::Archived;

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_others_are_taken_in_and_lost_ones_told() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let made = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    let volume = made["volume"].as_str().context("volume")?;
    let behind = stack.simulator.behind_the_back();
    // One of our own number more, whose notes only look like ours; and one of a guest that is no server's.
    let theirs = format!("backup:backup/vzdump-qemu-{vmid}-2030_01_01-00_00_00.vma.zst");
    done(behind.copy_archive(volume, &theirs, Some("xtpm:backup_1 weekly"), None))?;
    let worker = stack.service.worker()?;
    let found = worker.look_at_archives().await?;
    ensure!(
        found
            == Archived {
                found: 1,
                ..Archived::default()
            },
        "{found:?}"
    );
    ensure!(worker.look_at_archives().await? == Archived::default());
    let list = stack.client.get("/api/backups").await?;
    ensure!(list.body["total"] == 2, "{}", list.body);
    let all = list.body["backups"].as_array().context("backups")?;
    let taken = all
        .iter()
        .find(|one| one["volume"] == theirs)
        .context("not taken in")?;
    ensure!(
        taken["origin"] == "found" && taken["server_id"] == id,
        "{taken:#}"
    );
    ensure!(
        taken["notes"] == "xtpm:backup_1 weekly" && taken["mode"].is_null(),
        "{taken:#}"
    );
    // It can be restored as any other.
    let task = restored(&stack, taken, json!({ "overwrite": true })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    done(behind.remove_archive(volume))?;
    let found = worker.look_at_archives().await?;
    ensure!(found.missing == 1 && found.found == 0, "{found:?}");
    let gone = one(&stack, made["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(gone["status"] == "missing", "{gone:#}");
    refused(
        &restore(&stack, &gone, json!({ "overwrite": true })).await?,
        409,
        "BACKUP_STATE",
    )?;
    let told = stack.client.get("/api/notifications?limit=1").await?;
    ensure!(
        told.body["notifications"][0]["event"] == "backup_missing",
        "{}",
        told.body
    );
    // It is there again.
    done(behind.copy_archive(&theirs, volume, None, None))?;
    let found = worker.look_at_archives().await?;
    ensure!(found.back == 1, "{found:?}");
    let back = one(&stack, made["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(back["status"] == "completed", "{back:#}");
    stack.stop().await
}

/// Only against the simulator: the ids of a Proxmox Backup Server, and what it says of its checks.
#[tokio::test(flavor = "multi_thread")]
async fn backup_servers_have_ids_of_their_own() -> anyhow::Result<()> {
    let with_pbs = quick().set("BACKUPS__STORAGE", "pbs").simulator(|config| {
        let mut pbs = config.storages[3].clone();
        pbs.name = "pbs".into();
        pbs.kind = "pbs".into();
        config.storages.push(pbs);
    });
    let (stack, id, vmid) = with_server(with_pbs).await?;
    let made = backed_up(&stack, id, json!({})).await?;
    let volume = made["volume"].as_str().context("volume")?;
    ensure!(
        volume.starts_with(&format!("pbs:backup/vm/{vmid}/20")),
        "{volume}"
    );
    ensure!(
        volume.ends_with('Z') && made["verified_at"].is_null(),
        "{made:#}"
    );
    let checked = format!("pbs:backup/vm/{vmid}/2030-01-01T00:00:00Z");
    done(
        stack
            .simulator
            .behind_the_back()
            .copy_archive(volume, &checked, None, Some("ok")),
    )?;
    stack.service.worker()?.look_at_archives().await?;
    let list = stack.client.get("/api/backups?storage=pbs").await?;
    let all = list.body["backups"].as_array().context("backups")?;
    let found = all
        .iter()
        .find(|one| one["volume"] == checked)
        .context("not found")?;
    ensure!(found["verified_by"] == "pbs", "{found:#}");
    let task = restored(&stack, &made, json!({ "overwrite": true })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let path = format!(
        "/api/backups/{}",
        made["backup_id"].as_str().unwrap_or_default()
    );
    let reply = stack.client.delete(&path).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(!stack.simulator.archives(vmid).contains(&volume.to_owned()));
    stack.stop().await
}
