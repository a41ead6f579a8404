//! Talks to the api as a person's program would: JSON over plain HTTP on loopback, one cookie.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::Agent;
use ureq::http::header;

/// A logged-in caller.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    cookie: String,
    language: &'static str,
}

impl Client {
    /// Logs in.
    ///
    /// # Errors
    /// When the api does not answer, or refuses.
    pub(crate) fn login(base: &str, username: &str, password: &str) -> anyhow::Result<Self> {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .http_status_as_error(false)
            .build();
        let mut client = Self {
            agent: config.into(),
            base: base.trim_end_matches('/').to_owned(),
            cookie: String::new(),
            language: terminal_language(),
        };
        let url = format!("{}/api/auth/login", client.base);
        let body = json!({ "username": username, "password": password });
        let response = client
            .agent
            .post(&url)
            .send_json(&body)
            .context("cannot log in")?;
        let cookies = response.headers().get_all(header::SET_COOKIE);
        let pairs: Vec<String> = cookies
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next().map(str::to_owned))
            .collect();
        client.cookie = pairs.join("; ");
        parsed("/api/auth/login", response)?;
        Ok(client)
    }

    /// The session's cookie: its name and its value.
    pub(crate) fn session(&self) -> Option<(&str, &str)> {
        self.cookie.split("; ").next()?.split_once('=')
    }

    /// # Errors
    /// When the api does not answer, or answers with an error.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT_LANGUAGE, self.language)
            .call()
            .with_context(|| format!("no answer to GET {path}"))?;
        parsed(path, response)
    }

    /// An answer that is no JSON.
    ///
    /// # Errors
    /// When the api does not answer, or answers with an error.
    pub(crate) fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT_LANGUAGE, self.language)
            .call()
            .with_context(|| format!("no answer to GET {path}"))?;
        if !response.status().is_success() {
            parsed(path, response)?;
            bail!("GET {path} failed");
        }
        Ok(response.into_body().read_to_vec()?)
    }

    /// # Errors
    /// When the api does not answer, or answers with an error.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT_LANGUAGE, self.language)
            .send_json(body)
            .with_context(|| format!("no answer to POST {path}"))?;
        parsed(path, response)
    }
}

fn parsed(path: &str, mut response: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response
        .body_mut()
        .read_to_string()
        .context("the answer broke off")?;
    if !status.is_success() {
        bail!("{path} answered {status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}"))
}

/// The language that the terminal is set to, of the two that there are.
fn terminal_language() -> &'static str {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if set.is_some_and(|value| value.starts_with("ko")) {
        "ko"
    } else {
        "en"
    }
}
