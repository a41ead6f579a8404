//! Requests made of the document and then bent, sent to the routes in process: whatever comes, the answer is a
//! documented one and none of ours to be ashamed of. `TPM_FUZZ_REQUESTS` and `TPM_FUZZ_SEED` make it longer and
//! other.

use crate::fleet::hand;
use anyhow::{Context, bail, ensure};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tower::ServiceExt;
use tpm_test_support::Stack;

/// Requests of an ordinary run.
const USUAL: usize = 3_000;
/// Most bytes of an answer that are looked at.
const LOOKED_AT: usize = 1 << 22;

const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "web",
    "admin",
    "default",
    "1",
    "0",
    "-1",
    "1.5",
    "1e309",
    "99999999999999999999",
    "null",
    "true",
    "가나다",
    "\u{0}",
    "\u{202e}x",
    "../../etc/passwd",
    "%2e%2e",
    "'; DROP TABLE servers; --",
    "${file(\"/etc/passwd\")}",
    "a,b=c\nd",
    "2024-01-15T10:30:00Z",
    "😀",
];

struct Operation {
    method: String,
    path: String,
    query: Vec<(String, Value)>,
    example: Option<Value>,
    statuses: Vec<u16>,
    endless: bool,
}

fn number(name: &str, default: usize) -> usize {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn operations(document: &Value) -> anyhow::Result<Vec<Operation>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("a path")? {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|one| one["in"] == "query").map(|one| {
                let name = one["name"].as_str().unwrap_or_default().to_owned();
                (name, one["example"].clone())
            });
            let content = &operation["requestBody"]["content"]["application/json"];
            let responses = operation["responses"].as_object().context("responses")?;
            let id = operation["operationId"].as_str().unwrap_or_default();
            // It would end the session of all the others.
            if id == "logout" {
                continue;
            }
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: query.collect(),
                example: content.get("example").cloned(),
                statuses: responses.keys().filter_map(|it| it.parse().ok()).collect(),
                endless: id == "followEvents",
            });
        }
    }
    Ok(all)
}

struct Dice(StdRng);

impl Dice {
    fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn text(&mut self) -> String {
        match self.0.random_range(0..20) {
            0 => "x".repeat(self.0.random_range(1..6000)),
            1 => (0..self.0.random_range(1..40))
                .map(|_| self.0.random::<char>())
                .collect(),
            _ => (*TEXTS.choose(&mut self.0).unwrap_or(&"")).to_owned(),
        }
    }

    fn json(&mut self, depth: u32) -> Value {
        match self.0.random_range(0..9) {
            0 => Value::Null,
            1 => json!(self.0.random::<bool>()),
            2 => json!(self.0.random::<i64>()),
            3 => json!(self.0.random_range(-3..130)),
            4 => json!(self.0.random::<f64>() * 1e300),
            5 if depth < 4 => (0..self.0.random_range(0..4))
                .map(|_| self.json(depth + 1))
                .collect(),
            6 if depth < 4 => {
                let pairs =
                    (0..self.0.random_range(0..4)).map(|_| (self.text(), self.json(depth + 1)));
                Value::Object(pairs.collect())
            }
            7 => json!("[".repeat(300)),
            _ => json!(self.text()),
        }
    }

    /// Changes something somewhere.
    fn bend(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) if !map.is_empty() && self.chance(80) => {
                let names: Vec<String> = map.keys().cloned().collect();
                let name = names.choose(&mut self.0).cloned().unwrap_or_default();
                match self.0.random_range(0..6) {
                    0 => {
                        map.remove(&name);
                    }
                    1 => {
                        let (name, value) = (self.text(), self.json(1));
                        map.insert(name, value);
                    }
                    _ => {
                        if let Some(inner) = map.get_mut(&name) {
                            self.bend(inner);
                        }
                    }
                }
            }
            Value::Array(items) if !items.is_empty() && self.chance(80) => {
                let n = self.0.random_range(0..items.len());
                match self.0.random_range(0..4) {
                    0 => {
                        let copies = self.0.random_range(1..700);
                        let copy = items[n].clone();
                        items.extend(std::iter::repeat_n(copy, copies));
                    }
                    _ => self.bend(&mut items[n]),
                }
            }
            // Names that are free, so that some of it goes through.
            Value::String(text) if self.chance(30) => {
                *text = format!("f{}", self.0.random::<u32>())
            }
            other => *other = self.json(0),
        }
    }

    fn path(&mut self, template: &str) -> String {
        let part = |dice: &mut Self, part: &str| {
            let Some(name) = part
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
            else {
                return part.to_owned();
            };
            let known = match name {
                "role" => "deployer".to_owned(),
                "file" => "start.js".to_owned(),
                "task_id" => "task_0af7651916cd43dd8448".to_owned(),
                // Never the admin, whose session this is.
                "user_id" => dice.0.random_range(2..5).to_string(),
                _ => dice.0.random_range(1..6).to_string(),
            };
            if dice.chance(80) {
                return known;
            }
            match dice.text() {
                text if name == "user_id" && text.trim() == "1" => known,
                text => encoded(&text),
            }
        };
        let parts: Vec<String> = template.split('/').map(|it| part(self, it)).collect();
        parts.join("/")
    }

    fn query(&mut self, operation: &Operation) -> String {
        let mut pairs = Vec::new();
        for (name, example) in &operation.query {
            if self.chance(30) {
                let value = match example {
                    Value::String(text) if self.chance(60) => text.clone(),
                    Value::Number(number) if self.chance(60) => number.to_string(),
                    _ => self.text(),
                };
                pairs.push(format!("{name}={}", encoded(&value)));
            }
        }
        if self.chance(3) {
            pairs.push(format!(
                "{}={}",
                encoded(&self.text()),
                encoded(&self.text())
            ));
        }
        if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        }
    }

    fn body(&mut self, operation: &Operation) -> String {
        if self.chance(3) {
            return self.text();
        }
        let mut body = operation.example.clone().unwrap_or_else(|| json!({}));
        for _ in 0..self.0.random_range(0..4) {
            self.bend(&mut body);
        }
        body.to_string()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn request(
    dice: &mut Dice,
    operation: &Operation,
    cookie: &str,
) -> anyhow::Result<(Request<Body>, String)> {
    let uri = format!("{}{}", dice.path(&operation.path), dice.query(operation));
    let mut request = Request::builder()
        .method(operation.method.as_str())
        .uri(&uri);
    if dice.chance(90) {
        request = request.header(header::COOKIE, cookie);
    } else if dice.chance(50) {
        request = request.header(header::AUTHORIZATION, "Bearer tpm_nonsense");
    }
    if dice.chance(50) {
        request = request.header(
            header::ACCEPT_LANGUAGE,
            if dice.chance(50) { "en" } else { "x;q=a" },
        );
    }
    if dice.chance(10) {
        request = request.header(
            "idempotency-key",
            format!("k{}", dice.0.random_range(0..50)),
        );
    }
    if operation.endless && dice.chance(50) {
        request = request.header("last-event-id", "0-1");
    }
    let mut shown = format!("{} {uri}", operation.method);
    let body = if operation.method == "GET" {
        Body::empty()
    } else {
        let media = if dice.chance(95) {
            "application/json"
        } else {
            "text/plain"
        };
        request = request.header(header::CONTENT_TYPE, media);
        let body = dice.body(operation);
        shown = format!("{shown} {}", body.chars().take(2000).collect::<String>());
        Body::from(body)
    };
    Ok((request.body(body)?, shown))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_is_answered_as_documented() -> anyhow::Result<()> {
    let (requests, seed) = (
        number("TPM_FUZZ_REQUESTS", USUAL),
        number("TPM_FUZZ_SEED", 1),
    );
    let stack = Stack::builder().set("LIMITS__MAX_BULK", 20).start().await?;
    let document = stack.client.get("/api/openapi.json").await?.body;
    let operations = operations(&document)?;
    let api = stack.service.api().await?;
    let router = api.router();
    let login = Request::post("/api/auth/login").header(header::CONTENT_TYPE, "application/json");
    let body = json!({ "username": "admin", "password": tpm_test_support::PASSWORD });
    let answer = router
        .clone()
        .oneshot(login.body(Body::from(body.to_string()))?)
        .await?;
    let mut cookies = answer.headers().get_all(header::SET_COOKIE).iter();
    let cookie = cookies.find_map(|it| {
        let pair = it.to_str().ok()?.split(';').next()?;
        pair.starts_with("tpm_session=").then(|| pair.to_owned())
    });
    let cookie = cookie.context("a session")?;
    let mut dice = Dice(StdRng::seed_from_u64(seed as u64));
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for n in 0..requests {
        let operation = operations.choose(&mut dice.0).context("operations")?;
        let (request, shown) = request(&mut dice, operation, &cookie)?;
        let answer = router.clone().oneshot(request).await?;
        let status = answer.status();
        *counts.entry(status.as_u16()).or_default() += 1;
        let here = || format!("request {n} of seed {seed}: {shown}: {status}");
        // A path with an empty part is another path, or none.
        let path = shown.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let another = path.contains("//") || path.ends_with('/');
        let none = matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        ensure!(
            another && none || operation.statuses.contains(&status.as_u16()),
            "{} is not documented",
            here()
        );
        if status.as_u16() >= 500 && status != StatusCode::SERVICE_UNAVAILABLE {
            bail!("{}", here());
        }
        if operation.endless && status == StatusCode::OK {
            continue;
        }
        let bytes = axum::body::to_bytes(answer.into_body(), LOOKED_AT).await?;
        if status.as_u16() >= 400 && status != StatusCode::SERVICE_UNAVAILABLE {
            let body: Map<String, Value> = serde_json::from_slice(&bytes).with_context(here)?;
            let said = body["error"]["message"].as_str().unwrap_or_default();
            ensure!(
                !said.is_empty() && body["error"]["code"].is_string(),
                "{}",
                here()
            );
        }
        // Now and then what was accepted is done, so that there is something to ask about.
        if n % 500 == 499 {
            hand(&stack)?.drain().await?;
        }
    }
    tpm_test_support::say(&format!("{requests} requests of seed {seed}: {counts:?}"));
    let done: usize = counts.range(200..300).map(|(_, count)| count).sum();
    ensure!(done * 10 > requests, "too little goes through: {counts:?}");
    stack.stop().await
}
