//! Asking an installation whose apis die under one's hands, as a careful person does: somebody else is
//! asked when one does not answer, and a request whose answer was lost is sent again under its key until
//! there is a definite answer.

use super::random::Random;
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tpm_test_support::PASSWORD;

/// After this long without a definite answer something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A definite answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The request was sent more than once: an earlier one may have been carried out.
    pub(crate) repeated: bool,
}

impl Answer {
    /// The error's code, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

/// What came back over all callers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) broken: AtomicU64,
}

/// Somebody with a session.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    http: reqwest::Client,
    urls: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
    pub(crate) tally: Arc<Tally>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    pub(crate) key: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            key: None,
        }
    }

    pub(crate) fn post(path: &'a str, body: &'a Value, key: &'a str) -> Self {
        Self {
            method: Method::POST,
            path,
            body: Some(body),
            key: Some(key),
        }
    }

    pub(crate) fn of(method: Method, path: &'a str, body: Option<&'a Value>) -> Self {
        Self {
            method,
            path,
            body,
            key: None,
        }
    }
}

impl Caller {
    pub(crate) async fn login(urls: Vec<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .no_proxy()
            .timeout(Duration::from_secs(8))
            .build()?;
        let caller = Self {
            http,
            urls: Arc::new(urls),
            next: Arc::default(),
            tally: Arc::default(),
        };
        let body = json!({ "username": "admin", "password": PASSWORD });
        let ask = Ask::of(Method::POST, "/api/auth/login", Some(&body));
        let answer = caller.definite(ask).await?;
        if answer.status != 200 {
            bail!("login: {} {}", answer.status, answer.body);
        }
        Ok(caller)
    }

    async fn once(
        &self,
        ask: &Ask<'_>,
        patience: Option<Duration>,
    ) -> anyhow::Result<(u16, Value)> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        let url = format!("{}{}", self.urls[at], ask.path);
        let mut request = self.http.request(ask.method.clone(), url);
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        if let Some(key) = ask.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        self.tally.sent.fetch_add(1, Ordering::Relaxed);
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Asks until there is a definite answer.
    ///
    /// # Errors
    /// When there is none for a minute.
    pub(crate) async fn definite(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        self.definite_from(ask, None).await
    }

    /// The same by somebody who hangs up the first time if the answer takes longer than `hasty`.
    ///
    /// # Errors
    /// When there is no definite answer for a minute.
    pub(crate) async fn definite_from(
        &self,
        ask: Ask<'_>,
        hasty: Option<Duration>,
    ) -> anyhow::Result<Answer> {
        let began = Instant::now();
        let mut random = Random::new(self.tally.sent.load(Ordering::Relaxed), 9, 0);
        let mut times = 0_u32;
        let mut last = String::new();
        while began.elapsed() < PATIENCE {
            times += 1;
            let patience = hasty.filter(|_| times == 1);
            match self.once(&ask, patience).await {
                // Told to come back: what became of it, only the next answer tells.
                Ok((status @ (429 | 503 | 507), body)) => {
                    self.tally.unavailable.fetch_add(1, Ordering::Relaxed);
                    last = format!("{status} {body}");
                }
                Ok((status, body)) if status >= 500 => {
                    self.tally.broken.fetch_add(1, Ordering::Relaxed);
                    last = format!("{status} {body}");
                }
                // The first one with this key is still at work.
                Ok((409, body)) if is_in_flight(&body) => last = body.to_string(),
                Ok((status, body)) => {
                    return Ok(Answer {
                        status,
                        body,
                        repeated: times > 1,
                    });
                }
                Err(error) => {
                    self.tally.lost.fetch_add(1, Ordering::Relaxed);
                    last = format!("{error:#}");
                }
            }
            tokio::time::sleep(Duration::from_millis(10 + random.below(30))).await;
        }
        bail!(
            "no definite answer to {} {} in {times} times: {last}",
            ask.method,
            ask.path
        )
    }

    /// `GET`, of something that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.definite(Ask::get(path)).await?;
        if answer.status != 200 {
            bail!("{path}: {} {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Every item of a list, page by page, newest or oldest first as the list has it.
    ///
    /// # Errors
    /// When a page does not come.
    pub(crate) async fn all(&self, path: &str, field: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut seen, mut known) = (Vec::new(), 0, BTreeSet::new());
        // Tasks have a token, everything else a number.
        let name = |one: &Value| match &one["task_id"] {
            Value::String(token) if one["id"].is_null() => token.clone(),
            _ => one["id"].to_string(),
        };
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{join}limit=500&offset={seen}");
            let body = self.get(&page).await?;
            let found = body[field].as_array().context("no list")?.clone();
            let total = body["total"].as_u64().context("no total")?;
            let last = found.is_empty();
            seen += found.len();
            // What is new pushes what was seen already onto the next page.
            items.extend(found.into_iter().filter(|one| known.insert(name(one))));
            if last || seen as u64 >= total {
                return Ok(items);
            }
        }
    }
}

fn is_in_flight(body: &Value) -> bool {
    let code = body["error"]["code"].as_str().unwrap_or_default();
    code.contains("IN_PROGRESS") || code.contains("IN_FLIGHT")
}
