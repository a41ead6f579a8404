//! The gate: places are promised once, and the schema refuses what the code would miss.

use super::{is, refused, running, server, with};
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use serde_json::json;
use std::collections::BTreeSet;
use tpm_test_support::Stack;

/// Forty ask at once for the last ten places: ten get one, thirty are told what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_places_are_given_once() -> anyhow::Result<()> {
    // Ten places by memory: each of three nodes takes three servers of 20 GiB, and one node a tenth.
    let stack = Stack::builder()
        .simulator(|config| config.nodes[0].memory = 80 << 30)
        .start()
        .await?;
    let requests = (0..40).map(|n| {
        let client = stack.client.clone();
        let body = with(server(&format!("s{n}")), json!({ "memory": 20 << 10 }));
        async move { client.post("/api/servers/create", &body).await }
    });
    let replies = try_join_all(requests).await?;
    let (made, not): (Vec<_>, Vec<_>) = replies.into_iter().partition(|r| r.status == 201);
    ensure!(made.len() == 10, "{} were accepted", made.len());
    for reply in not {
        let details = refused(reply, 409, "NO_CAPACITY")?;
        ensure!(details["missing"] == 1, "{details}");
        let nodes = details["nodes"].as_array().context("nodes")?;
        ensure!(nodes.len() == 3, "{details}");
        ensure!(
            nodes.iter().all(|node| node["reason"] == "memory"),
            "{details}"
        );
    }
    let list = is(stack.client.get("/api/servers?limit=500").await?, 200)?;
    let rows = list["servers"].as_array().context("servers")?;
    let vmids: BTreeSet<_> = rows.iter().map(|row| row["vmid"].to_string()).collect();
    ensure!(vmids.len() == 10, "{vmids:?}");
    stack.stop().await
}

/// What is reserved and not built counts; what failed or was deleted does not.
#[tokio::test(flavor = "multi_thread")]
async fn room_comes_back() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let large = |name: &str| with(server(name), json!({ "memory": 60 << 10 }));
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let made = is(
            stack
                .client
                .post("/api/servers/create", &large(name))
                .await?,
            201,
        )?;
        ids.push(made["server_id"].clone());
    }
    refused(
        stack
            .client
            .post("/api/servers/create", &large("d"))
            .await?,
        409,
        "NO_CAPACITY",
    )?;
    let nodes = is(stack.client.get("/api/nodes").await?, 200)?;
    ensure!(
        nodes["nodes"][0]["reserved_memory"] == 60 << 10,
        "{nodes:#}"
    );
    is(
        stack
            .client
            .delete(&format!("/api/servers/{}", ids[0]))
            .await?,
        409,
    )?;
    super::hand(&stack)?.drain().await?;
    is(
        stack
            .client
            .delete(&format!("/api/servers/{}", ids[0]))
            .await?,
        200,
    )?;
    refused(
        stack
            .client
            .post("/api/servers/create", &large("d"))
            .await?,
        409,
        "NO_CAPACITY",
    )?;
    super::hand(&stack)?.drain().await?;
    is(
        stack
            .client
            .post("/api/servers/create", &large("d"))
            .await?,
        201,
    )?;
    stack.stop().await
}

/// A change passes the same gate.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_grows_only_into_what_is_there() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, _) = running(&stack, "one").await?;
    let path = format!("/api/servers/{id}");
    let grow = |memory: u64| json!({ "memory": memory });
    let details = refused(
        stack.client.patch(&path, &grow(65 << 10)).await?,
        409,
        "NO_CAPACITY",
    )?;
    ensure!(details["nodes"][0]["reason"] == "memory", "{details}");
    ensure!(stack.client.server(id).await?["memory"] == 2048);
    let shrunk = stack
        .client
        .patch(&path, &json!({ "disk_size": 10 }))
        .await?;
    let details = refused(shrunk, 400, "INVALID_REQUEST")?;
    ensure!(details["fields"][0]["code"] == "SHRINKS", "{details}");
    let changed = is(stack.client.patch(&path, &grow(4096)).await?, 200)?;
    ensure!(changed["task_id"].is_string(), "{changed}");
    super::hand(&stack)?.drain().await?;
    let task = changed["task_id"].as_str().unwrap_or_default();
    ensure!(stack.client.ended(task).await?["status"] == "completed");
    let nodes = is(stack.client.get("/api/nodes").await?, 200)?;
    ensure!(nodes["nodes"][0]["reserved_memory"] == 4096, "{nodes:#}");
    stack.stop().await
}

/// Before anybody has seen the cluster nothing is promised on it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unseen_cluster_promises_nothing() -> anyhow::Result<()> {
    let stack = Stack::builder().unseen().start().await?;
    let reply = stack
        .client
        .post("/api/servers/create", &server("one"))
        .await?;
    ensure!(reply.headers.contains_key("retry-after"));
    refused(reply, 503, "CLUSTER_UNSEEN")?;
    super::hand(&stack)?.look().await?;
    is(
        stack
            .client
            .post("/api/servers/create", &server("one"))
            .await?,
        201,
    )?;
    stack.stop().await
}
