//! Servers whose time ends.

use super::{hand, is, latest, refused, running};
use anyhow::ensure;
use chrono::{Duration, SecondsFormat, Utc};
use serde_json::json;
use tpm_test_support::Stack;

fn in_ms(ms: i64) -> String {
    let at = Utc::now() + Duration::milliseconds(ms);
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn until(at: &str) -> anyhow::Result<()> {
    let at: chrono::DateTime<Utc> = at.parse()?;
    while Utc::now() <= at {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_warned_then_it_is_switched_off_and_stays() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("LIMITS__EXPIRY_GRACE_HOURS", 0)
        .start()
        .await?;
    let (id, _) = running(&stack, "one").await?;
    let path = format!("/api/servers/{id}");
    let past = json!({ "expires_at": "2020-01-01T00:00:00Z" });
    let details = refused(
        stack.client.patch(&path, &past).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(details["fields"][0]["code"] == "IN_THE_PAST", "{details}");
    let soon = in_ms(1500);
    is(
        stack
            .client
            .patch(&path, &json!({ "expires_at": soon }))
            .await?,
        200,
    )?;
    let worker = hand(&stack)?;
    ensure!(worker.expire().await? == 1 && worker.expire().await? == 0);
    let (text, kind) = latest(&stack).await?;
    ensure!(kind == "warning" && text.contains("UTC"), "{text}");
    until(&soon).await?;
    ensure!(worker.expire().await? == 1);
    worker.drain().await?;
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    ensure!(
        worker.expire().await? == 0,
        "a stop is all that was asked for"
    );
    // Given more time, it begins anew.
    is(
        stack
            .client
            .patch(&path, &json!({ "expires_at": null }))
            .await?,
        200,
    )?;
    ensure!(stack.client.server(id).await?["expires_at"].is_null());
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_deleted_only_when_that_was_asked_for() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("LIMITS__EXPIRY_GRACE_HOURS", 0)
        .start()
        .await?;
    let soon = in_ms(1500);
    let more = json!({ "expires_at": soon, "on_expiry": "delete" });
    let (_, id) = stack.client.create("one", more).await?;
    let worker = hand(&stack)?;
    worker.drain().await?;
    until(&soon).await?;
    ensure!(worker.expire().await? == 1);
    worker.drain().await?;
    ensure!(
        stack.client.server(id).await?["status"] == "stopped",
        "first it is switched off"
    );
    ensure!(worker.expire().await? == 1);
    worker.drain().await?;
    is(stack.client.get(&format!("/api/servers/{id}")).await?, 404)?;
    stack.stop().await
}
