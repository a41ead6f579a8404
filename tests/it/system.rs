//! The service about itself: its processes, what they log, its settings.

use crate::access::{by_key, key, person};
use crate::fleet::{is, refused};
use crate::several::fleet::{Api, Worker};
use anyhow::{Context, ensure};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tpm_test_support::{Client, PASSWORD, Stack};

/// Asks again and again, as a person would, until the answer is as wanted.
pub(crate) async fn until(
    client: &Client,
    path: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let answer = is(client.get(path).await?, 200)?;
        if wanted(&answer) {
            return Ok(answer);
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "{path}: {answer:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn total(page: &Value) -> u64 {
    page["total"].as_u64().unwrap_or_default()
}

/// Processes as shipped: what each logs is found at the api of another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_all_processes_log_is_read_in_one_place() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let status = is(client.get("/api/system/status").await?, 200)?;
    ensure!(status["services"]["worker"] == "down", "{status:#}");
    let api = Api::start(&stack, "api")?;
    let mut worker = Worker::start(&stack, "worker")?;

    let status = until(client, "/api/system/status", |status| {
        status["services"]["worker"] == "running"
            && status["apis"].as_array().is_some_and(|all| all.len() == 2)
    })
    .await?;
    let alive = &status["workers"][0];
    ensure!(
        alive["alive"] == true && alive["pid"].is_u64(),
        "{status:#}"
    );
    ensure!(status["latency_ms"]["database"].is_number(), "{status:#}");
    let name = alive["name"].as_str().context("a name")?;

    let ready = "/api/system/logs?text=IS%20READY";
    let lines = until(client, ready, |page| total(page) >= 2).await?;
    let of_worker = format!("{ready}&process={name}&target=tpm_bootstrap&level=info");
    let lines_of_worker = is(client.get(&of_worker).await?, 200)?;
    ensure!(
        total(&lines_of_worker) == 1,
        "{lines:#} {lines_of_worker:#}"
    );
    let line = &lines_of_worker["logs"][0];
    ensure!(
        line["fields"]["owner"] == name && line["level"] == "info",
        "{line:#}"
    );
    let by_field = format!("/api/system/logs?field=owner={name}");
    ensure!(total(&is(client.get(&by_field).await?, 200)?) == 1);
    // Pages do not overlap.
    let first = is(client.get("/api/system/logs?limit=1").await?, 200)?;
    let second = is(client.get("/api/system/logs?limit=1&offset=1").await?, 200)?;
    ensure!(first["logs"][0] != second["logs"][0] && total(&first) > 1);
    let wrong = client
        .get("/api/system/logs?level=loud&field=x&from=then")
        .await?;
    let wrong = refused(wrong, 400, "INVALID_REQUEST")?;
    ensure!(
        wrong["fields"].as_array().is_some_and(|all| all.len() == 3),
        "{wrong:#}"
    );

    // Said in one place, taken up by all: from then on more is logged, with the request's own id.
    let level = json!({ "level": "debug" });
    is(client.put("/api/system/log-level", &level).await?, 200)?;
    let both = "/api/system/logs?text=log%20level&field=level=debug";
    until(client, both, |page| total(page) >= 2).await?;
    ensure!(is(client.get("/api/system/config").await?, 200)?["log_level"] == "debug");
    let other = Client::new(api.url())?;
    let health = other.get("/api/servers").await?;
    let id = health.headers["x-request-id"].to_str()?.to_owned();
    let request = format!("/api/system/logs?field=request_id={id}");
    let page = until(client, &request, |page| total(page) > 0).await?;
    let of_api = page["logs"][0]["process"].as_str().unwrap_or_default();
    ensure!(of_api.starts_with("api-"), "{page:#}");
    // A level is the least that is shown: what only a look for faults needs is not among the rest.
    let rest = is(client.get(&format!("{request}&level=info")).await?, 200)?;
    ensure!(total(&rest) < total(&page), "{rest:#}");
    is(
        client
            .put("/api/system/log-level", &json!({ "level": null }))
            .await?,
        200,
    )?;
    let wrong = client.put("/api/system/log-level", &json!({})).await?;
    refused(wrong, 400, "INVALID_REQUEST")?;

    // One that was stopped says so; one that was killed is missed.
    worker.process_mut().kill()?;
    until(client, "/api/system/status", |status| {
        status["services"]["worker"] == "down"
    })
    .await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_tell_where_they_came_from_and_no_secret() -> anyhow::Result<()> {
    let hidden = "ab".repeat(32);
    let stack = Stack::builder()
        .set("API__DRAIN_SECS", 2)
        .set("SECURITY__STATE_KEY", &hidden)
        .start()
        .await?;
    let page = is(stack.client.get("/api/system/config").await?, 200)?;
    let setting = |key: &str| {
        let all = page["config"].as_array().into_iter().flatten();
        all.into_iter().find(|one| one["key"] == key).cloned()
    };
    let secret = setting("proxmox.token_secret").context("the token")?;
    ensure!(
        secret["value"] == "set" && secret["secret"] == true,
        "{secret:#}"
    );
    let drain = setting("api.drain_secs").context("drain")?;
    ensure!(
        drain["value"] == "2" && drain["source"] == "environment",
        "{drain:#}"
    );
    let days = setting("log.stored_days").context("days")?;
    ensure!(
        days["value"] == "7" && days["source"] == "default",
        "{days:#}"
    );
    ensure!(!page.to_string().contains(&hidden), "a secret");

    // Looking at the state is for all, logs for who operates, settings for admins.
    let (_, viewer) = person(&stack, "viewer", json!(["viewer"])).await?;
    let (_, operator) = person(&stack, "operator", json!(["operator"])).await?;
    is(viewer.get("/api/system/status").await?, 200)?;
    refused(viewer.get("/api/system/logs").await?, 403, "FORBIDDEN")?;
    is(operator.get("/api/system/logs").await?, 200)?;
    refused(operator.get("/api/system/config").await?, 403, "FORBIDDEN")?;
    let level = json!({ "level": "debug" });
    refused(
        operator.put("/api/system/log-level", &level).await?,
        403,
        "FORBIDDEN",
    )?;
    let (_, text) = key(&stack.client, json!({ "scopes": ["config:read"] })).await?;
    let base = stack.client.base();
    is(
        by_key(base, &text, Method::GET, "/api/system/config", None).await?,
        200,
    )?;
    refused(
        by_key(base, &text, Method::GET, "/api/system/logs", None).await?,
        403,
        "FORBIDDEN",
    )?;
    stack.stop().await
}

/// Everybody has notifications separately; they are read in the language that the person chose.
#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_each_persons_own() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let none = is(stack.client.get("/api/notifications/latest").await?, 200)?;
    ensure!(none["notification"].is_null(), "{none:#}");
    for name in ["one", "two"] {
        let (task, _) = stack.client.create(name, json!({})).await?;
        stack.client.ended(&task).await?;
    }
    let (_, viewer) = person(&stack, "viewer", json!(["viewer"])).await?;
    let mine = is(
        stack
            .client
            .get("/api/notifications?unread=true&type=success")
            .await?,
        200,
    )?;
    ensure!(total(&mine) == 2, "{mine:#}");
    let newest = mine["notifications"][0]["id"].as_i64().context("an id")?;
    let path = format!("/api/notifications/{newest}");
    is(
        stack.client.patch(&path, &json!({ "read": true })).await?,
        200,
    )?;
    let left = is(
        stack.client.get("/api/notifications?unread=true").await?,
        200,
    )?;
    ensure!(
        total(&left) == 1 && left["notifications"][0]["id"] != newest,
        "{left:#}"
    );
    let latest = is(stack.client.get("/api/notifications/latest").await?, 200)?;
    ensure!(
        latest["notification"]["read"] == true && latest["notification"]["read_at"].is_string()
    );
    is(stack.client.delete(&path).await?, 200)?;
    refused(stack.client.delete(&path).await?, 404, "NOT_FOUND")?;
    let latest = is(stack.client.get("/api/notifications/latest").await?, 200)?;
    ensure!(latest["notification"]["id"] != newest, "{latest:#}");
    let read = is(
        stack
            .client
            .post("/api/notifications/read", &json!({}))
            .await?,
        200,
    )?;
    ensure!(read["count"] == 1, "{read:#}");
    ensure!(
        total(&is(
            stack.client.get("/api/notifications?unread=true").await?,
            200
        )?) == 0
    );
    // Who only looks has all of them still, and may mark them too; a key that only reads may not.
    ensure!(
        total(&is(
            viewer.get("/api/notifications?unread=true").await?,
            200
        )?) == 2
    );
    let (_, text) = key(&viewer, json!({ "scopes": ["notifications:read"] })).await?;
    let body = Some(json!({ "read": true }));
    let by = by_key(stack.client.base(), &text, Method::PATCH, &path, body).await?;
    refused(by, 403, "FORBIDDEN")?;
    is(viewer.patch(&path, &json!({ "read": true })).await?, 200)?;
    let wrong = viewer.patch(&path, &json!({ "read": "yes" })).await?;
    refused(wrong, 400, "INVALID_REQUEST")?;

    let message = async |client: &Client| -> anyhow::Result<String> {
        let latest = is(client.get("/api/notifications/latest").await?, 200)?;
        Ok(latest["notification"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    ensure!(!message(&viewer).await?.is_ascii(), "Korean by default");
    is(
        viewer
            .patch("/api/auth/me", &json!({ "language": "en" }))
            .await?,
        200,
    )?;
    ensure!(
        message(&viewer).await?.is_ascii(),
        "{}",
        message(&viewer).await?
    );
    let wrong = viewer.patch(&path, &json!({})).await?;
    let told = wrong.body["error"]["message"]
        .as_str()
        .context("a message")?;
    ensure!(told.is_ascii(), "{told}");
    let asked = viewer
        .http()
        .get(format!("{}/api/notifications/latest", viewer.base()));
    let asked = Client::read(asked.header("Accept-Language", "ko").send().await?).await?;
    ensure!(
        !asked.body.to_string().is_ascii(),
        "what is asked for comes first"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_stays_one_line_and_says_what_broke() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let api = Api::start(&stack, "api")?;
    let level = json!({ "level": "debug" });
    is(client.put("/api/system/log-level", &level).await?, 200)?;
    let both = "/api/system/logs?text=log%20level&field=level=debug";
    until(client, both, |page| total(page) > 0).await?;

    // Line breaks and control characters of people, wherever they may say something.
    let other = Client::new(api.url())?;
    let name = "root\nINJECTED level=error\r\u{1b}[31m\u{2028}INJECTED";
    let login = json!({ "username": name, "password": name });
    for answer in [
        other.post("/api/auth/login", &login).await?,
        other.get("/api/%0AINJECTED%1b%5b31m").await?,
        other.get("/api/servers?name=%0AINJECTED%0D%1b").await?,
    ] {
        ensure!(answer.status >= 400, "{} {}", answer.status, answer.body);
    }
    // What breaks inside is told in the log, and there alone.
    other.login(PASSWORD).await?;
    let url = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    let db = Database::connect(url).await?;
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    db.execute_unprepared(&rename("networks", "hidden")).await?;
    let broken = other.get("/api/networks").await?;
    db.execute_unprepared(&rename("hidden", "networks")).await?;
    ensure!(broken.status >= 500, "{} {}", broken.status, broken.body);
    let id = broken.headers["x-request-id"].to_str()?.to_owned();
    let errors = format!("/api/system/logs?field=request_id={id}&level=error");
    let page = until(client, &errors, |page| {
        page["logs"].to_string().contains("no such table")
    })
    .await?;
    let at = page["logs"][0]["timestamp"].as_str().context("a time")?;
    let age = chrono::Utc::now() - chrono::DateTime::parse_from_rfc3339(at)?.to_utc();
    ensure!(at.ends_with('Z') && age.num_seconds().abs() < 600, "{at}");

    let said = std::fs::read_to_string(stack.dir.path().join("api.log"))?;
    ensure!(said.contains("no such table"), "{said}");
    let lines = said.split(['\n', '\r', '\u{2028}']).map(str::trim_start);
    let injected = lines.filter(|line| line.starts_with("INJECTED"));
    ensure!(injected.count() == 0 && !said.contains('\u{1b}'), "{said}");
    stack.stop().await
}
