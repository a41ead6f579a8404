//! The database is put back to a copy that is older than the cluster.

use super::{is, refused, running, server, with};
use anyhow::{Context, ensure};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_test_support::{Client, PASSWORD, Stack};

/// An installation beside the first one: the same settings and keys, another database.
async fn beside(stack: &Stack, file: &std::path::Path) -> anyhow::Result<Service> {
    let mut settings = stack.settings().clone();
    settings.database.url = format!("sqlite://{}", file.display()).into();
    Service::open(settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_copy_does_not_know_is_taken_in() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    running(&stack, "old").await?;
    let copy = stack.dir.path().join("copy.db");
    let db = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    let db = sea_orm::Database::connect(db).await?;
    let sql = format!("VACUUM INTO '{}'", copy.display());
    db.execute_unprepared(&sql).await?;
    db.close().await?;
    let (id, vmid) = running(&stack, "new").await?;
    let before = stack.client.server(id).await?;
    // A copy of the guest carries the mark as well, but not under the number it was made for.
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(10_400, "pve2", "new");
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    behind
        .set_option(10_400, "description", Some(&guest.description))
        .map_err(anyhow::Error::msg)?;
    let changes = stack.simulator.effect_count();

    let old = beside(&stack, &copy).await?;
    let api = old.api().await?;
    let client = Client::new(api.url())?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    client.login(PASSWORD).await?;
    let worker = old.worker()?;
    worker.look().await?;
    worker.sweep().await?;
    let list = is(client.get("/api/servers").await?, 200)?;
    ensure!(list["total"] == 2, "{list:#}");
    let listed = list["servers"].as_array().context("servers")?;
    let taken = listed
        .iter()
        .find(|server| server["name"] == "new")
        .context("not taken in")?;
    for field in [
        "vmid",
        "ip_address",
        "cpu",
        "memory",
        "disk_size",
        "role",
        "node",
        "status",
    ] {
        ensure!(
            taken[field] == before[field],
            "{field}: {taken:#}, {before:#}"
        );
    }
    ensure!(taken["drift"] == json!([]), "{taken:#}");
    let told = is(client.get("/api/notifications").await?, 200)?;
    let events: Vec<_> = told["notifications"]
        .as_array()
        .context("notifications")?
        .iter()
        .map(|note| &note["event"])
        .collect();
    ensure!(
        events.iter().filter(|event| **event == "adopted").count() == 1,
        "{events:?}"
    );
    ensure!(
        stack.simulator.effect_count() == changes,
        "something was changed on the cluster"
    );
    // Somebody has to accept that the copy is old before it is changed.
    let create = "/api/servers/create";
    let early = client.post(create, &server("next")).await?;
    refused(early, 409, "RESTORED_COPY")?;
    let status = is(client.get("/api/system/status").await?, 200)?;
    ensure!(status["system"]["restored_at"].is_string(), "{status}");
    let accept = "/api/system/restored/accept";
    is(client.post(accept, &json!({})).await?, 200)?;
    // Its name and address are its own, its number is given to nobody.
    refused(
        client.post(create, &server("new")).await?,
        409,
        "NAME_TAKEN",
    )?;
    let network = json!({ "network_config": { "ip_address": before["ip_address"], "subnet": 24 } });
    let body = with(server("other"), network);
    refused(client.post(create, &body).await?, 409, "ADDRESS_TAKEN")?;
    let next = is(client.post(create, &server("next")).await?, 201)?;
    worker.drain().await?;
    let next = client
        .server(next["server_id"].as_i64().context("id")?)
        .await?;
    ensure!(
        next["status"] == "running" && next["vmid"] != before["vmid"],
        "{next:#}"
    );
    // From now on it is a server like the others.
    let path = format!("/api/servers/{}", taken["id"]);
    let change = is(client.patch(&path, &json!({ "cpu": 3 })).await?, 200)?;
    worker.drain().await?;
    let change = client
        .ended(change["task_id"].as_str().context("task_id")?)
        .await?;
    ensure!(change["status"] == "completed", "{change:#}");
    is(client.delete(&path).await?, 200)?;
    worker.drain().await?;
    ensure!(stack.simulator.guest(vmid).is_none(), "still there");
    ensure!(stack.simulator.guest(10_400).is_some(), "the copy is gone");
    stop.cancel();
    serving.await??;
    stack.stop().await
}
