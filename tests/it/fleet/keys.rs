//! A request that is sent again has no second effect.

use super::{is, refused, server};
use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tpm_test_support::{Client, Reply, Stack};

pub(crate) async fn send(
    client: &Client,
    path: &str,
    key: &str,
    body: &Value,
) -> anyhow::Result<Reply> {
    let request = client.http().post(format!("{}{path}", client.base()));
    let request = request.header("Idempotency-Key", key).json(body);
    Client::read(request.send().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_answered_as_before() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let create = "/api/servers/create";
    let first = is(
        send(&stack.client, create, "k1", &server("one")).await?,
        201,
    )?;
    let again = is(
        send(&stack.client, create, "k1", &server("one")).await?,
        201,
    )?;
    ensure!(first == again, "{first} {again}");
    let other = send(&stack.client, create, "k1", &server("two")).await?;
    refused(other, 422, "IDEMPOTENCY_KEY_REUSED")?;
    let two = json!({ "servers": [server("two")] });
    let moved = send(&stack.client, "/api/servers/bulk-create", "k1", &two);
    refused(moved.await?, 422, "IDEMPOTENCY_KEY_REUSED")?;
    let bad = send(&stack.client, create, &"k".repeat(201), &server("two")).await?;
    refused(bad, 400, "INVALID_IDEMPOTENCY_KEY")?;
    let list = is(stack.client.get("/api/servers").await?, 200)?;
    ensure!(list["total"] == 1, "{list}");
    stack.stop().await
}

/// What was refused is not remembered: when the reason is gone, the same key has its effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_remembered() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let create = "/api/servers/create";
    let made = is(
        send(&stack.client, create, "k1", &server("one")).await?,
        201,
    )?;
    refused(
        send(&stack.client, create, "k2", &server("one")).await?,
        409,
        "NAME_TAKEN",
    )?;
    let task = made["task_id"].as_str().unwrap_or_default();
    is(
        stack
            .client
            .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
            .await?,
        200,
    )?;
    super::hand(&stack)?.drain().await?;
    is(
        send(&stack.client, create, "k2", &server("one")).await?,
        201,
    )?;
    stack.stop().await
}

/// Sent many times at once, over and over: one effect for each key, and all who asked are told the same.
#[tokio::test(flavor = "multi_thread")]
async fn at_once_has_one_effect() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    const KEYS: usize = 12;
    let requests = (0..KEYS * 5).map(|n| {
        let client = stack.client.clone();
        async move {
            let key = n % KEYS;
            let body = server(&format!("s{key}"));
            let reply = send(&client, "/api/servers/create", &format!("k{key}"), &body).await?;
            anyhow::Ok((key, is(reply, 201)?["task_id"].to_string()))
        }
    });
    let told: BTreeSet<_> = try_join_all(requests).await?.into_iter().collect();
    ensure!(told.len() == KEYS, "{told:?}");
    let list = is(stack.client.get("/api/servers").await?, 200)?;
    ensure!(list["total"] == KEYS, "{list}");
    stack.stop().await
}

/// Every request that makes something takes a key.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_makes_something_takes_a_key() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let bulk = json!({ "servers": [server("a"), server("b")] });
    let project = json!({ "name": "shop" });
    let network = json!({ "name": "lan", "range": "10.0.0.10-10.0.0.20", "prefix": 24 });
    for (path, body) in [
        ("/api/servers/bulk-create", &bulk),
        ("/api/projects", &project),
        ("/api/networks", &network),
    ] {
        let first = is(send(client, path, path, body).await?, 201)?;
        let again = is(send(client, path, path, body).await?, 201)?;
        ensure!(first == again, "{path}: {first} {again}");
    }
    super::hand(&stack)?.drain().await?;
    for (path, body) in [
        (
            "/api/servers/bulk-power",
            json!({ "server_ids": [1, 2], "status": "stopped" }),
        ),
        ("/api/servers/bulk-delete", json!({ "server_ids": [1, 2] })),
    ] {
        let first = is(send(client, path, path, &body).await?, 200)?;
        super::hand(&stack)?.drain().await?;
        let again = is(send(client, path, path, &body).await?, 200)?;
        ensure!(first == again, "{path}: {first} {again}");
    }
    stack.stop().await
}
