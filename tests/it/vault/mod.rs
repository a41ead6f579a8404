//! Secrets: one table of requests that every store answers alike, and who may ask.

mod keys;
mod master;
mod paths;
mod peer;

use crate::access::{by_key, key, person};
use crate::fleet::{is, refused};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tpm_store::{SecretName, Store};
use tpm_test_support::{Client, Stack};

const SSH: &str = "/api/vault/secrets/secret/ssh";

/// The same table for every store.
async fn table(client: &Client) -> anyhow::Result<()> {
    refused(client.get(SSH).await?, 404, "NOT_FOUND")?;
    refused(
        client.get(&format!("{SSH}?versions=true")).await?,
        404,
        "NOT_FOUND",
    )?;
    // The reference's own example.
    let first = json!({
        "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "public_key": "ssh-rsa AAAAB3NzaC1yc2E...",
    });
    let made = is(client.post(SSH, &first).await?, 201)?;
    ensure!(
        made["version"] == 1 && made["path"] == "secret/ssh",
        "{made}"
    );
    let read = client.get(SSH).await?;
    let store = read.headers.get("cache-control");
    ensure!(store.is_some_and(|value| value == "no-store"), "{read:?}");
    let read = is(read, 200)?;
    ensure!(read["data"] == first && read["version"] == 1, "{read}");
    ensure!(read["created_at"].is_string(), "{read}");

    // Only on top of what was seen.
    let second =
        json!({ "public_key": "ssh-ed25519 AAAA", "n": 7, "list": [1, { "x": null }], "빈": "" });
    for (cas, current) in [(0, 1), (2, 1)] {
        let reply = client.post(&format!("{SSH}?cas={cas}"), &second).await?;
        let details = refused(reply, 409, "VERSION_CHANGED")?;
        ensure!(details["current"] == current, "{details}");
    }
    let made = is(client.post(&format!("{SSH}?cas=1"), &second).await?, 201)?;
    ensure!(made["version"] == 2, "{made}");
    ensure!(is(client.get(SSH).await?, 200)?["data"] == second);
    let old = is(client.get(&format!("{SSH}?version=1")).await?, 200)?;
    ensure!(old["data"] == first && old["version"] == 1, "{old}");
    refused(
        client.get(&format!("{SSH}?version=3")).await?,
        404,
        "NOT_FOUND",
    )?;
    let none = client
        .post("/api/vault/secrets/secret/new?cas=1", &second)
        .await?;
    ensure!(refused(none, 409, "VERSION_CHANGED")?["current"] == 0);

    // Names, never values.
    for name in ["servers/web-1/root", "servers/web-2/root", "servers/all"] {
        let path = format!("/api/vault/secrets/secret/{name}");
        is(client.post(&path, &json!({ "password": "x" })).await?, 201)?;
    }
    let names = is(
        client.get("/api/vault/secrets/secret?list=true").await?,
        200,
    )?;
    ensure!(names["keys"] == json!(["servers/", "ssh"]), "{names}");
    let names = is(
        client
            .get("/api/vault/secrets/secret/servers?list=true")
            .await?,
        200,
    )?;
    ensure!(
        names["keys"] == json!(["all", "web-1/", "web-2/"]),
        "{names}"
    );
    ensure!(!names.to_string().contains("password"));
    let none = client
        .get("/api/vault/secrets/secret/nothing?list=true")
        .await?;
    refused(none, 404, "NOT_FOUND")?;

    // Deleted is gone; other versions stay.
    is(client.delete(SSH).await?, 200)?;
    refused(client.get(SSH).await?, 404, "NOT_FOUND")?;
    refused(
        client.get(&format!("{SSH}?version=2")).await?,
        404,
        "NOT_FOUND",
    )?;
    is(client.get(&format!("{SSH}?version=1")).await?, 200)?;
    let all = is(client.get(&format!("{SSH}?versions=true")).await?, 200)?;
    let versions = all["versions"].as_array().context("versions")?;
    let shown = |n: usize, field: &str| versions.get(n).map(|one| one[field].clone());
    ensure!(
        shown(0, "version") == Some(json!(1)) && shown(0, "deleted_at") == Some(Value::Null),
        "{all}"
    );
    ensure!(
        shown(1, "deleted_at").is_some_and(|at| at.is_string()),
        "{all}"
    );
    // The number goes on.
    let made = is(client.post(&format!("{SSH}?cas=2"), &first).await?, 201)?;
    ensure!(made["version"] == 3, "{made}");
    is(client.delete(&format!("{SSH}?version=1")).await?, 200)?;
    refused(
        client.get(&format!("{SSH}?version=1")).await?,
        404,
        "NOT_FOUND",
    )?;
    is(client.delete(&format!("{SSH}?all=true")).await?, 200)?;
    refused(
        client.get(&format!("{SSH}?versions=true")).await?,
        404,
        "NOT_FOUND",
    )?;
    refused(
        client.delete(&format!("{SSH}?all=true")).await?,
        404,
        "NOT_FOUND",
    )?;

    // What makes no sense.
    for (path, body) in [
        (SSH.to_owned(), json!({})),
        (format!("{SSH}?cas=-1"), first.clone()),
        (format!("{SSH}?cas=x"), first.clone()),
        (format!("{SSH}?other=1"), first.clone()),
    ] {
        refused(client.post(&path, &body).await?, 400, "INVALID_REQUEST")?;
    }
    for query in [
        "version=0",
        "list=true&version=1",
        "list=true&versions=true",
        "list=maybe",
    ] {
        let reply = client.get(&format!("{SSH}?{query}")).await?;
        refused(reply, 400, "INVALID_REQUEST")?;
    }
    let large = json!({ "text": "x".repeat(64 * 1024) });
    refused(client.post(SSH, &large).await?, 400, "INVALID_REQUEST")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_answers_the_table() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    table(&stack.client).await?;
    let status = is(stack.client.get("/api/vault/status").await?, 200)?;
    ensure!(
        status["status"] == "running" && status["store"] == "embedded" && status["sealed"] == false,
        "{status}"
    );
    let system = is(stack.client.get("/api/system/status").await?, 200)?;
    ensure!(system["services"]["vault"] == "running", "{system}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_and_what_is_written_down() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let value = "m4rk3d-v4lu3";
    is(client.post(SSH, &json!({ "password": value })).await?, 201)?;
    is(client.get(SSH).await?, 200)?;
    let (_, operator) = person(&stack, "operator", json!(["operator"])).await?;
    refused(operator.get(SSH).await?, 403, "FORBIDDEN")?;
    let (_, reads) = key(client, json!({ "scopes": ["secrets:read"] })).await?;
    is(
        by_key(client.base(), &reads, Method::GET, SSH, None).await?,
        200,
    )?;
    let body = Some(json!({ "a": "b" }));
    let written = by_key(client.base(), &reads, Method::POST, SSH, body).await?;
    refused(written, 403, "FORBIDDEN")?;
    let rotate = "/api/vault/rotate";
    let rotated = by_key(client.base(), &reads, Method::POST, rotate, None).await?;
    refused(rotated, 403, "FORBIDDEN")?;

    let audit = is(
        client.get("/api/audit?target_kind=secret&limit=50").await?,
        200,
    )?;
    let rows = audit["audit"].as_array().context("rows")?;
    let told = audit.to_string();
    ensure!(
        told.contains("secret/ssh") && !told.contains(value),
        "{audit}"
    );
    ensure!(rows.len() == 3, "{audit}");
    let logs = client.get("/api/system/logs?limit=500").await?;
    ensure!(!logs.body.to_string().contains(value));

    // In the database there is nothing to read.
    let store = stack.service.store();
    let name = SecretName {
        mount: "secret",
        key: "ssh",
    };
    let row = store.reads().secret(name, None).await?.context("a row")?;
    let sealed = row.sealed.context("sealed")?;
    ensure!(
        !sealed
            .windows(value.len())
            .any(|part| part == value.as_bytes())
    );
    stack.stop().await
}
