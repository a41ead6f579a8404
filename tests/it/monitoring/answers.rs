//! What Prometheus and Grafana answer may be of no use: what is known is told, what is not is `null` with its reason,
//! and the answer comes in time.

use super::FIGURES;
use crate::fleet::{hand, is, running};
use anyhow::ensure;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tpm_test_support::Stack;

/// A Prometheus that answers as it is told, by what stands in the question; everything else with nothing.
#[derive(Clone, Default)]
pub(super) struct Fake {
    answers: Arc<Mutex<Vec<(&'static str, String)>>>,
    /// How it fails, whatever is asked.
    fails: Arc<Mutex<Option<Fail>>>,
    /// How often each path was asked.
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

#[derive(Clone, Copy, Debug)]
enum Fail {
    Html,
    ServerError,
    Truncated,
    Null,
    Redirect,
    Silence,
}

impl Fake {
    pub(super) async fn start() -> anyhow::Result<(Self, SocketAddr)> {
        let fake = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((fake, address))
    }

    fn set(&self, answers: Vec<(&'static str, String)>) {
        *self.answers.lock().expect("the answers") = answers;
    }

    fn fail(&self, fail: Option<Fail>) {
        *self.fails.lock().expect("the failure") = fail;
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    *fake
        .asked
        .lock()
        .expect("counts")
        .entry(path.clone())
        .or_default() += 1;
    let fail = *fake.fails.lock().expect("the failure");
    let json = |text: String| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    match fail {
        Some(Fail::Html) => {
            return ([(header::CONTENT_TYPE, "text/html")], "<h1>hello</h1>").into_response();
        }
        Some(Fail::ServerError) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, "odd").into_response();
        }
        Some(Fail::Truncated) => {
            return json(r#"{"status":"success","data":{"resultType":"vec"#.into());
        }
        Some(Fail::Null) => return json("null".into()),
        Some(Fail::Redirect) => {
            let to = Uri::from_static("http://127.0.0.1:1/elsewhere").to_string();
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        // Longer than anybody waits.
        Some(Fail::Silence) => std::future::pending::<()>().await,
        None => {}
    }
    match path.as_str() {
        "/api/health" => {
            return json(r#"{"database":"ok","version":"11.0.0","commit":"x"}"#.into());
        }
        "/api/search" => return json(r#"[{"uid":"a"},{"uid":"b"}]"#.into()),
        _ => {}
    }
    if path.ends_with("/targets") {
        return json(
            json!({ "status": "success", "data": { "activeTargets": [], "droppedTargets": [] } })
                .to_string(),
        );
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
    let question = url_decoded(&body.unwrap_or_default());
    let answers = fake.answers.lock().expect("the answers").clone();
    let found = answers
        .into_iter()
        .find(|(part, _)| question.contains(part));
    json(found.map_or_else(|| vector(&[]), |(_, text)| text))
}

fn url_decoded(body: &[u8]) -> String {
    let plain = String::from_utf8_lossy(body).replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = plain.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: Vec<u8> = rest.by_ref().take(2).collect();
            let hex = String::from_utf8_lossy(&hex).into_owned();
            bytes.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Series of these servers with these values.
fn vector(series: &[(i64, &str, Value)]) -> String {
    let result: Vec<Value> = series
        .iter()
        .map(|(id, instance, value)| {
            let labels = json!({ "server_id": id.to_string(), "job": "j", "instance": instance });
            json!({ "metric": labels, "value": [1_705_314_600.0, value] })
        })
        .collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_no_use_is_null_with_its_reason() -> anyhow::Result<()> {
    let (fake, address) = Fake::start().await?;
    let stack = Stack::builder()
        .set("MONITORING__PROMETHEUS_URL", format!("http://{address}"))
        .set("MONITORING__TIMEOUT_MS", 300)
        .start()
        .await?;
    let client = &stack.client;
    let (id, _) = running(&stack, "web-1").await?;
    hand(&stack)?.look().await?;
    let path = format!("/api/monitoring/metrics/{id}");
    let up = || ("(up{", vector(&[(id, "a:9100", json!("1"))]));
    let cpu = |answer: String| vec![up(), ("node_cpu", answer)];
    let one = |value: Value| vector(&[(id, "a:9100", value)]);
    let memory = || ("node_memory", one(json!("50.04")));

    // Figure by figure: the one that is well is told.
    for (what, answer, reason) in [
        ("NaN", one(json!("NaN")), "not_a_number"),
        ("infinite", one(json!("+Inf")), "not_a_number"),
        ("a text", one(json!("abc")), "bad_answer"),
        ("a bare number", one(json!(7.5)), "bad_answer"),
        ("no series", vector(&[]), "no_sample"),
        (
            "another's series",
            vector(&[(id + 1, "b:9100", json!("7"))]),
            "no_sample",
        ),
        (
            "two series",
            vector(&[(id, "a:9100", json!("7")), (id, "b:9100", json!("8"))]),
            "ambiguous",
        ),
        (
            "half an answer",
            r#"{"status":"success","data":{"resultType":"vector""#.into(),
            "bad_answer",
        ),
        (
            "an error",
            r#"{"status":"error","errorType":"execution","error":"x"}"#.into(),
            "bad_answer",
        ),
        ("a list", "[]".into(), "bad_answer"),
    ] {
        let mut answers = cpu(answer);
        answers.push(memory());
        fake.set(answers);
        let told = is(client.get(&path).await?, 200)?;
        let metrics = &told["metrics"];
        ensure!(metrics["cpu_usage"].is_null(), "{what}: {told:#}");
        ensure!(
            metrics["reasons"]["cpu_usage"] == reason,
            "{what}: {told:#}"
        );
        ensure!(metrics["memory_usage"] == 50.0, "{what}: {told:#}");
        ensure!(
            metrics["source"] == "node_exporter" && metrics["reason"].is_null(),
            "{what}: {told:#}"
        );
    }
    // The exporter is down, or unknown: the second source.
    for (what, up, reason) in [
        (
            "down",
            vector(&[(id, "a:9100", json!("0"))]),
            "exporter_unreachable",
        ),
        ("never scraped", vector(&[]), "not_scraped_yet"),
        (
            "two",
            vector(&[(id, "a:9100", json!("1")), (id, "b:9100", json!("1"))]),
            "ambiguous",
        ),
    ] {
        fake.set(vec![("(up{", up), memory()]);
        let told = is(client.get(&path).await?, 200)?;
        ensure!(told["metrics"]["source"] == "proxmox", "{what}: {told:#}");
        ensure!(told["metrics"]["reason"] == reason, "{what}: {told:#}");
        ensure!(told["metrics"]["memory_usage"] == 33.3, "{what}: {told:#}");
    }
    // All of it fails.
    for (fail, reason) in [
        (Fail::Html, "bad_answer"),
        (Fail::ServerError, "bad_answer"),
        (Fail::Truncated, "bad_answer"),
        (Fail::Null, "bad_answer"),
        (Fail::Redirect, "bad_answer"),
        (Fail::Silence, "prometheus_unreachable"),
    ] {
        fake.fail(Some(fail));
        let told = is(client.get(&path).await?, 200)?;
        ensure!(told["metrics"]["source"] == "proxmox", "{fail:?}: {told:#}");
        ensure!(told["metrics"]["reason"] == reason, "{fail:?}: {told:#}");
        let past = is(client.get(&format!("{path}?step=60")).await?, 200)?;
        ensure!(
            past["source"] == "proxmox" && past["reason"] == reason,
            "{fail:?}: {past:#}"
        );
    }
    let status = is(client.get("/api/monitoring/status").await?, 200)?;
    ensure!(status["prometheus"]["status"] == "down", "{status:#}");
    ensure!(
        status["prometheus"]["healthy_targets"].is_null(),
        "{status:#}"
    );
    ensure!(status["node_exporters"]["total"] == 1, "{status:#}");
    ensure!(status["node_exporters"]["active"].is_null(), "{status:#}");
    stack.stop().await
}

/// Grafana in the same way: down is told, and the answer is 200.
#[tokio::test(flavor = "multi_thread")]
async fn grafana_is_told_as_it_is() -> anyhow::Result<()> {
    let (fake, address) = Fake::start().await?;
    let stack = Stack::builder()
        .set("MONITORING__GRAFANA_URL", format!("http://{address}"))
        .set("MONITORING__GRAFANA_TOKEN", "glsa_0123456789abcdef")
        .set("MONITORING__TIMEOUT_MS", 300)
        .start()
        .await?;
    let grafana = async || {
        // An answer is good for two seconds.
        tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
        let status = is(stack.client.get("/api/monitoring/status").await?, 200)?;
        anyhow::Ok(status["grafana"].clone())
    };
    let told = grafana().await?;
    ensure!(
        told["status"] == "running" && told["dashboards"] == 2,
        "{told:#}"
    );
    ensure!(
        told["url"] == format!("http://{address}") && told["reason"].is_null(),
        "{told:#}"
    );
    for (fail, reason) in [(Fail::Html, "bad_answer"), (Fail::Silence, "timeout")] {
        fake.fail(Some(fail));
        let told = grafana().await?;
        ensure!(
            told["status"] == "down" && told["dashboards"].is_null(),
            "{fail:?}: {told:#}"
        );
        ensure!(told["reason"] == reason, "{fail:?}: {told:#}");
    }
    stack.stop().await
}

/// Each figure is one question, and the cluster is asked nothing.
#[tokio::test(flavor = "multi_thread")]
async fn many_servers_are_one_question_for_each_figure() -> anyhow::Result<()> {
    let (fake, address) = Fake::start().await?;
    let stack = Stack::builder()
        .set("MONITORING__PROMETHEUS_URL", format!("http://{address}"))
        .start()
        .await?;
    let store = stack.service.store();
    let tx = tpm_store::Store::begin(&*store).await?;
    for n in 0..1000_u32 {
        tx.insert_server(&crate::store::new_server(&format!("s{n}"), 20_000 + n))
            .await?;
    }
    tx.commit().await?;
    stack.simulator.reset_counters();
    fake.asked.lock().expect("counts").clear();
    let page = is(
        stack
            .client
            .get("/api/monitoring/metrics?limit=500&offset=500")
            .await?,
        200,
    )?;
    ensure!(page["total"] == 1000, "{}", page["total"]);
    ensure!(
        page["servers"]
            .as_array()
            .is_some_and(|all| all.len() == 500)
    );
    let asked = fake.asked.lock().expect("counts").clone();
    // The figures, whether the exporter is up, and when it was asked.
    let questions = FIGURES.len() + 2;
    ensure!(
        asked == [("/api/v1/query".to_owned(), questions)].into(),
        "{asked:?}"
    );
    ensure!(stack.simulator.counters().requests.is_empty());
    // A round of the worker is one list, whatever the number of servers.
    hand(&stack)?.look().await?;
    let requests = stack.simulator.counters().requests;
    let lists = requests
        .iter()
        .filter(|(path, _)| path.ends_with("/cluster/resources"));
    ensure!(
        lists.map(|(_, times)| times).sum::<u64>() == 1,
        "{requests:?}"
    );
    stack.stop().await
}
