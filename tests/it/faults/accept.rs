//! Accepting a request: the row, the task, the reservation and the event are there together, or not.

use super::world::quick;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use tpm_test_support::{Client, PASSWORD, Program, Stack};

fn api(stack: &Stack, ready: &Path) -> anyhow::Result<(Program, Client)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_killable-api"));
    command
        .envs(&stack.environment)
        .env("TPM__LOG__FILTER", "error")
        .arg("--ready-file")
        .arg(ready)
        .current_dir(stack.dir.path());
    std::fs::remove_file(ready).ok();
    let mut program = Program::start(&mut command)?;
    program.wait_for_file(ready)?;
    let said: Value = serde_json::from_slice(&std::fs::read(ready)?)?;
    Ok((program, Client::new(said["url"].as_str().context("url")?)?))
}

/// An api killed (-9) under parallel creates: what it acknowledged is there, and every server that is
/// there has its task, its name and its address.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_in_the_middle_keeps_what_it_acknowledged() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let ready = stack.dir.path().join("api.json");
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let (mut program, client) = tokio::task::block_in_place(|| api(&stack, &ready))?;
        client.login(PASSWORD).await?;
        let (done, mut seen) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..12 {
            let (client, done) = (client.clone(), done.clone());
            tokio::spawn(async move {
                if let Ok((task, _)) = client.create(&format!("r{round}n{n}"), json!({})).await {
                    done.send(task).ok();
                }
            });
        }
        drop(done);
        // Killed as soon as a few were acknowledged, with the others on their way.
        for _ in 0..=round {
            if let Some(task) = seen.recv().await {
                acknowledged.insert(task);
            }
        }
        tokio::task::block_in_place(|| program.kill())?;
        while let Some(task) = seen.recv().await {
            acknowledged.insert(task);
        }
    }
    ensure!(acknowledged.len() >= 5, "{acknowledged:?}");

    let servers = stack.client.get("/api/servers?limit=500").await?.body["servers"].clone();
    let servers = servers.as_array().context("servers")?;
    let tasks = stack.client.get("/api/tasks?limit=500").await?.body["tasks"].clone();
    let tasks = tasks.as_array().context("tasks")?;
    ensure!(
        servers.len() == tasks.len(),
        "{} servers, {} tasks",
        servers.len(),
        tasks.len()
    );
    let tokens: BTreeSet<_> = tasks
        .iter()
        .filter_map(|task| task["task_id"].as_str().map(str::to_owned))
        .collect();
    ensure!(
        acknowledged.is_subset(&tokens),
        "an acknowledged task is gone"
    );
    for column in ["name", "ip_address", "vmid"] {
        let distinct: BTreeSet<_> = servers.iter().map(|s| s[column].to_string()).collect();
        ensure!(distinct.len() == servers.len(), "{column} is not unique");
    }
    stack.start_worker()?;
    for task in &tokens {
        let ended = stack.client.ended(task).await?;
        ensure!(ended["status"] == "completed", "{ended:#}");
    }
    ensure!(super::world::marked(&stack).len() == servers.len());
    stack.stop().await
}

/// A client that hangs up before the answer changes nothing about what is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_half_done() -> anyhow::Result<()> {
    let stack = quick().start().await?;
    for n in 0..40 {
        let client = stack.client.clone();
        let request = tokio::spawn(async move { client.create(&format!("h{n}"), json!({})).await });
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        request.abort();
        request.await.ok();
    }
    // The one writer is free again, so none of the forty holds a transaction open.
    stack.client.create("after", json!({})).await?;
    // Some may still be on their way in. Whatever is seen of one has the other by the next look.
    let names = async |path: &str, list: &str, field: &str| {
        let body = stack.client.get(path).await?.body;
        let items = body[list].as_array().into_iter().flatten();
        let names = items.map(|item| item[field].to_string());
        anyhow::Ok(names.collect::<BTreeSet<String>>())
    };
    let tasks = async || names("/api/tasks?limit=500", "tasks", "server_name").await;
    let before = tasks().await?;
    let servers = names("/api/servers?limit=500", "servers", "name").await?;
    let after = tasks().await?;
    ensure!(before.is_subset(&servers), "{before:?} {servers:?}");
    ensure!(servers.is_subset(&after), "{servers:?} {after:?}");
    ensure!(servers.contains("\"after\""), "{servers:?}");
    stack.stop().await
}

/// A name or an address that is held is refused, by name.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_refused() -> anyhow::Result<()> {
    let stack = quick().start().await?;
    let network = |ip: &str| json!({ "network_config": { "ip_address": ip, "subnet": 24 } });
    stack.client.create("one", network("192.168.0.50")).await?;
    let ask = |name: &str, ip: &str| {
        let mut body =
            json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 });
        body["network_config"] = network(ip)["network_config"].clone();
        let client = stack.client.clone();
        async move { client.post("/api/servers/create", &body).await }
    };
    let reply = ask("one", "192.168.0.51").await?;
    ensure!(
        reply.status == 409 && reply.body["error"]["code"] == "NAME_TAKEN",
        "{}",
        reply.body
    );
    let reply = ask("two", "192.168.0.50").await?;
    ensure!(
        reply.status == 409 && reply.body["error"]["code"] == "ADDRESS_TAKEN",
        "{}",
        reply.body
    );
    let list = stack.client.get("/api/servers").await?;
    ensure!(list.body["total"] == 1, "{}", list.body);
    let reply = ask("two", "192.168.0.51").await?;
    ensure!(reply.status == 201, "{}", reply.body);
    stack.stop().await
}

/// Thirty at once for ten addresses: exactly ten are accepted, with ten different addresses.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_places_go_to_exactly_as_many() -> anyhow::Result<()> {
    let stack = quick()
        .set("NETWORK__POOL", "192.168.0.101-192.168.0.110")
        .start()
        .await?;
    let requests: Vec<_> = (0..30)
        .map(|n| {
            let client = stack.client.clone();
            tokio::spawn(async move { client.create(&format!("s{n}"), json!({})).await })
        })
        .collect();
    let mut accepted = 0;
    for request in requests {
        match request.await? {
            Ok(_) => accepted += 1,
            Err(error) => {
                let text = error.to_string();
                ensure!(
                    text.contains("409") && text.contains("ADDRESSES_EXHAUSTED"),
                    "{text}"
                );
            }
        }
    }
    ensure!(accepted == 10, "{accepted} were accepted");
    let list = stack.client.get("/api/servers").await?;
    let addresses: BTreeSet<_> = list.body["servers"]
        .as_array()
        .context("servers")?
        .iter()
        .map(|server| server["ip_address"].to_string())
        .collect();
    ensure!(addresses.len() == 10, "{addresses:?}");
    stack.stop().await
}

/// No bell rings for a task that was written while no worker ran; it is found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_found_without_a_bell() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    stack.start_worker()?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    stack.stop().await
}
