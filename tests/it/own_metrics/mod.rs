//! The service's own metrics, of processes as shipped: a process counts for itself, so that what moves is what the
//! test did.

mod rules;
mod text;

use crate::access::{by_key, key};
use crate::fleet::{is, refused};
use crate::several::fleet::{Api, Worker};
use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};
use text::Told;
use tpm_test_support::{Stack, free_port};

/// What Prometheus sends.
const OPEN: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                    text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Asks for metrics.
async fn ask(base: &str, token: Option<&str>, accept: &str) -> reqwest::Result<reqwest::Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http.get(format!("{base}/metrics")).header("Accept", accept);
    match token {
        Some(token) => request.bearer_auth(token).send().await,
        None => request.send().await,
    }
}

async fn told_as(base: &str, token: &str, accept: &str) -> anyhow::Result<Told> {
    let answer = ask(base, Some(token), accept).await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let media = answer.headers().get("content-type");
    Ok(Told {
        media: media.context("a media type")?.to_str()?.to_owned(),
        text: answer.text().await?,
    })
}

async fn told(base: &str, token: &str) -> anyhow::Result<Told> {
    told_as(base, token, "*/*").await
}

/// Asks until it is so: figures of the database are a few seconds old.
async fn until(
    base: &str,
    token: &str,
    wanted: impl Fn(&Told) -> anyhow::Result<bool>,
) -> anyhow::Result<Told> {
    let begun = Instant::now();
    loop {
        let told = told(base, token).await?;
        if wanted(&told)? {
            return Ok(told);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "{}", told.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_the_template_of_their_route() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (_, id) = stack.client.create("one", json!({})).await?;
    let (_, scrape) = key(&stack.client, json!({ "scopes": ["monitoring:read"] })).await?;
    let (_, reader) = key(&stack.client, json!({ "scopes": ["servers:read"] })).await?;
    let api = Api::start(&stack, "api")?;
    let url = api.url();
    let count = |told: &Told, method: &str, route: &str, status: &str| {
        let labels = [("method", method), ("route", route), ("status", status)];
        told.sum("tpm_http_requests_total", &labels)
    };
    let get = async |path: &str| by_key(&url, &reader, Method::GET, path, None).await;

    let one = "/api/servers/{server_id}";
    is(get(&format!("/api/servers/{id}")).await?, 200)?;
    let before = told(&url, &scrape).await?;
    ensure!(count(&before, "GET", one, "200")? == 1.0, "{}", before.text);
    is(get(&format!("/api/servers/{id}")).await?, 200)?;
    is(get("/api/servers/471147").await?, 404)?;
    is(get("/api/nothing-like-471147").await?, 404)?;
    let wrong = format!("/api/servers/{id}");
    is(
        by_key(&url, &reader, Method::from_bytes(b"BREW")?, &wrong, None).await?,
        405,
    )?;
    let after = told(&url, &scrape).await?;
    for (method, route, status, more) in [
        ("GET", one, "200", 1.0),
        ("GET", one, "404", 1.0),
        ("other", one, "405", 1.0),
        ("GET", "unmatched", "404", 1.0),
        ("GET", "/metrics", "200", 1.0),
        ("GET", "/api/servers", "200", 0.0),
    ] {
        let moved = count(&after, method, route, status)? - count(&before, method, route, status)?;
        ensure!(moved == more, "{method} {route} {status}: {moved}");
    }
    let timed = [("method", "GET"), ("route", one)];
    ensure!(after.sum("tpm_http_request_duration_seconds_count", &timed)? == 3.0);
    // The one that is being answered.
    ensure!(after.sum("tpm_http_requests_in_flight", &[])? == 1.0);
    for word in ["471147", "BREW", "tpm_Z"] {
        ensure!(!after.text.contains(word), "{word}");
    }
    ensure!(!after.text.contains(&scrape[..16]) && !after.text.contains(&reader[..16]));
    after.check()?;
    told_as(&url, &scrape, OPEN).await?.check_open()?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_is_told() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base();
    let none = ask(base, None, "*/*").await?;
    ensure!(none.status() == StatusCode::UNAUTHORIZED);
    let all_others =
        json!({ "scopes": ["servers:*", "system:*", "logs:read", "monitoring:write"] });
    let (_, other) = key(&stack.client, all_others).await?;
    let by = by_key(base, &other, Method::GET, "/metrics", None).await?;
    refused(by, 403, "FORBIDDEN")?;
    let (_, fits) = key(&stack.client, json!({ "scopes": ["monitoring:read"] })).await?;
    ensure!(told(base, &fits).await?.text.contains("tpm_build_info{"));
    stack.stop().await
}

/// What a worker did is told by it, and what came of it by an api.
#[tokio::test(flavor = "multi_thread")]
async fn work_is_counted_where_it_is_done() -> anyhow::Result<()> {
    let at = format!("127.0.0.1:{}", free_port()?);
    let token = "a token of the worker's own";
    let stack = Stack::builder()
        .set("WORKER__METRICS_LISTEN", &at)
        .set("WORKER__METRICS_TOKEN", token)
        .start()
        .await?;
    let (_, scrape) = key(&stack.client, json!({ "scopes": ["monitoring:read"] })).await?;
    let api = Api::start(&stack, "api")?;
    let (api, worker) = (api.url(), format!("http://{at}"));
    let pending = [("kind", "create_server"), ("state", "pending")];
    let (task, id) = stack.client.create("one", json!({})).await?;
    let waiting = until(&api, &scrape, |told| {
        Ok(told.sum("tpm_tasks", &pending)? == 1.0)
    })
    .await?;
    ensure!(waiting.sum("tpm_processes_alive", &[("kind", "worker")])? == 0.0);
    let oldest = "tpm_task_oldest_age_seconds";
    until(&api, &scrape, |told| {
        Ok(told.sum(oldest, &[("state", "pending")])? > 0.0)
    })
    .await?;

    let mut first = Worker::start(&stack, "first")?;
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    for wrong in [None, Some("another token"), Some("")] {
        let answer = ask(&worker, wrong, "*/*").await?;
        ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{wrong:?}");
        ensure!(answer.headers()["www-authenticate"] == "Bearer");
    }
    let done = [("engine", "direct"), ("outcome", "done")];
    let steps = "tpm_step_duration_seconds_count";
    let names: Vec<&str> = ended["steps"]
        .as_array()
        .context("steps")?
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect();
    ensure!(names.len() > 3, "{ended:#}");
    let by_worker = told(&worker, token).await?;
    for name in &names {
        let labels = [done[0], ("step", name), done[1]];
        ensure!(
            by_worker.sum(steps, &labels)? == 1.0,
            "{name}: {}",
            by_worker.text
        );
    }
    ensure!(by_worker.sum(steps, &[])? == names.len() as f64);
    ensure!(by_worker.sum("tpm_claims_total", &[("kind", "create_server")])? >= 1.0);
    ensure!(by_worker.sum("tpm_stale_leases_total", &[])? == 0.0);
    let writes = [("access", "write"), ("outcome", "ok")];
    ensure!(by_worker.sum("tpm_pve_requests_total", &writes)? >= 3.0);
    let requests = by_worker.sum("tpm_pve_requests_total", &[])?;
    ensure!(requests == by_worker.sum("tpm_pve_request_duration_seconds_count", &[])?);
    ensure!(by_worker.sum("tpm_pve_cluster_looks_total", &[])? >= 1.0);
    ensure!(by_worker.sum("tpm_database_connections", &[("state", "open")])? >= 1.0);
    ensure!(by_worker.sum("process_resident_memory_bytes", &[])? > 1_000_000.0);
    ensure!(by_worker.sum("process_open_fds", &[])? > 3.0);
    ensure!(!by_worker.text.contains(token) && !by_worker.text.contains("\"one\""));
    by_worker.check()?;
    told_as(&worker, token, OPEN).await?.check_open()?;

    let completed = [("kind", "create_server"), ("state", "completed")];
    let by_api = until(&api, &scrape, |told| {
        Ok(told.sum("tpm_tasks", &completed)? == 1.0
            && told.sum("tpm_processes_alive", &[("kind", "worker")])? == 1.0)
    })
    .await?;
    ensure!(by_api.sum(oldest, &[])? == 0.0);
    ensure!(by_api.sum("tpm_vmids_free", &[])? == 89_999.0);
    let network = is(stack.client.get("/api/networks/1").await?, 200)?;
    let free = by_api.sum("tpm_network_addresses_free", &[("network", "default")])?;
    ensure!(network["free"].as_f64() == Some(free), "{network:#} {free}");
    ensure!(by_api.values("network") == ["default"].into());
    ensure!(by_api.sum("tpm_cluster_picture_age_seconds", &[])? < 60.0);
    ensure!(by_api.text.contains("tpm_event_followers 0\n"));
    let following = stack
        .client
        .http()
        .get(format!("{api}/api/events"))
        .bearer_auth(key(&stack.client, json!({})).await?.1);
    let following = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .execute(following.build()?)
        .await?;
    ensure!(following.status() == StatusCode::OK);
    let by_api = told(&api, &scrape).await?;
    ensure!(
        by_api.text.contains("tpm_event_followers 1\n"),
        "{}",
        by_api.text
    );
    drop(following);
    by_api.check()?;
    told_as(&api, &scrape, OPEN).await?.check_open()?;

    // Another worker of the machine finds the port taken, says so once, and works.
    let second = Worker::start(&stack, "second")?;
    let said = || -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(stack.dir.path().join("second.log"))?;
        Ok(log.matches("metrics are told nowhere").count())
    };
    let begun = Instant::now();
    while said()? == 0 {
        ensure!(begun.elapsed() < Duration::from_secs(60), "not a word");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.process_mut().kill()?;
    let path = format!("/api/servers/{id}");
    let deleted = is(stack.client.delete(&path).await?, 200)?;
    let deletes = deleted["task_id"].as_str().context("a task")?;
    let ended = stack.client.ended(deletes).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    ensure!(said()? == 1);
    drop(second);
    stack.stop().await
}
