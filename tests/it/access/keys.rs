//! Keys for programs.

use super::{by_key, key, person};
use crate::fleet::{is, refused, server};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::json;
use tpm_test_support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_and_its_owner_may() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base().to_owned();
    let scopes = json!({ "scopes": ["servers:*", "tasks:read"] });
    let (id, text) = key(&stack.client, scopes).await?;
    ensure!(text.starts_with("tpm_") && text.len() == 53, "{text}");
    let get = async |path: &str| by_key(&base, &text, Method::GET, path, None).await;
    is(get("/api/servers").await?, 200)?;
    is(get("/api/tasks").await?, 200)?;
    refused(get("/api/networks").await?, 403, "FORBIDDEN")?;
    refused(get("/api/users").await?, 403, "FORBIDDEN")?;
    let made = by_key(
        &base,
        &text,
        Method::POST,
        "/api/servers/create",
        Some(server("one")),
    )
    .await?;
    is(made, 201)?;
    // It is listed without its text, and told when it was used and from where.
    let list = is(stack.client.get("/api/auth/keys").await?, 200)?;
    let shown = &list["keys"][0];
    ensure!(
        shown["id"] == id
            && text.starts_with(shown["prefix"].as_str().context("prefix")?)
            && shown["last_address"] == "127.0.0.1"
            && !list.to_string().contains(&text),
        "{list:#}"
    );
    // It begets no other key, and does not keep its owner out.
    let more = json!({ "name": "more", "scopes": ["*"] });
    let passwords = json!({ "current_password": "x", "new_password": "correct horse battery" });
    for (method, path, body) in [
        (Method::POST, "/api/auth/keys", Some(more)),
        (Method::GET, "/api/auth/keys", None),
        (Method::DELETE, "/api/auth/keys/1", None),
        (Method::GET, "/api/auth/sessions", None),
        (Method::DELETE, "/api/auth/sessions/0", None),
        (Method::POST, "/api/auth/password", Some(passwords)),
        (
            Method::PATCH,
            "/api/auth/me",
            Some(json!({ "language": "en" })),
        ),
    ] {
        let answer = by_key(&base, &text, method, path, body).await?;
        refused(answer, 403, "FORBIDDEN").context(path)?;
    }
    // A viewer's key for everything is a viewer's.
    let (_, viewer) = person(&stack, "viewer", json!(["viewer"])).await?;
    let (_, theirs) = key(&viewer, json!({})).await?;
    let made = by_key(
        &base,
        &theirs,
        Method::POST,
        "/api/servers/create",
        Some(server("two")),
    )
    .await?;
    refused(made, 403, "FORBIDDEN")?;
    stack.stop().await
}

/// Mistyped, over, used from elsewhere, removed: nobody's. On every api at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_hold_is_nobodys() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let other = stack.service.api().await?;
    let base = other.url().to_owned();
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = tokio::spawn(other.serve(stop.clone()));
    let get = async |key: &str| by_key(&base, key, Method::GET, "/api/servers", None).await;
    let (id, text) = key(&stack.client, json!({})).await?;
    is(get(&text).await?, 200)?;
    let mistyped = text.replace(&text[10..11], if &text[10..11] == "x" { "y" } else { "x" });
    for wrong in [mistyped.as_str(), "tpm_", "", "Basic"] {
        refused(get(wrong).await?, 401, "UNAUTHENTICATED")?;
    }
    let (_, elsewhere) = key(&stack.client, json!({ "networks": ["192.0.2.0/24"] })).await?;
    refused(get(&elsewhere).await?, 401, "UNAUTHENTICATED")?;
    is(
        stack.client.delete(&format!("/api/auth/keys/{id}")).await?,
        200,
    )?;
    refused(get(&text).await?, 401, "UNAUTHENTICATED")?;
    // Not somebody else's to remove.
    let (_, viewer) = person(&stack, "viewer", json!(["viewer"])).await?;
    let (mine, _) = key(&stack.client, json!({})).await?;
    let path = format!("/api/auth/keys/{mine}");
    refused(viewer.delete(&path).await?, 404, "NOT_FOUND")?;
    // Everything wrong with a wish is told.
    let wrong = json!({
        "name": "", "scopes": ["servers:read", "none"], "networks": ["x"],
        "expires_at": "2020-01-01T00:00:00Z", "more": 1,
    });
    let details = refused(
        stack.client.post("/api/auth/keys", &wrong).await?,
        400,
        "INVALID_REQUEST",
    )?;
    let fields = details["fields"].as_array().context("fields")?;
    ensure!(fields.len() >= 4, "{details:#}");
    stop.cancel();
    serving.await??;
    stack.stop().await
}

/// A session and a key in one request: whose it is must not depend on which is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_a_key_at_once_are_refused() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (_, text) = key(&stack.client, json!({})).await?;
    let both = stack
        .client
        .http()
        .get(format!("{}/api/servers", stack.client.base()))
        .bearer_auth(&text)
        .send()
        .await?;
    refused(
        tpm_test_support::Client::read(both).await?,
        400,
        "TWO_CREDENTIALS",
    )?;
    stack.stop().await
}
