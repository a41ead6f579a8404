//! Who may do what: keys, roles, sessions, and what is written down of it.

mod audit;
pub(crate) mod factors;
mod first;
mod keys;
mod matrix;
mod people;
mod sessions;
mod timing;

use super::fleet::is;
use anyhow::Context;
use serde_json::{Value, json};
use tpm_test_support::{Client, Reply, Stack};

/// A password that is not easily guessed.
const GOOD: &str = "seven green bicycles";

/// Adds a person with these roles, and logs in as them.
pub(crate) async fn person(
    stack: &Stack,
    name: &str,
    roles: Value,
) -> anyhow::Result<(i64, Client)> {
    let body = json!({ "username": name, "password": GOOD, "roles": roles });
    let made = is(stack.client.post("/api/users", &body).await?, 201)?;
    let id = made["user_id"].as_i64().context("user_id")?;
    let client = Client::new(stack.client.base())?;
    is(log_in(&client, name, GOOD).await?, 200)?;
    Ok((id, client))
}

async fn log_in(client: &Client, name: &str, password: &str) -> anyhow::Result<Reply> {
    let body = json!({ "username": name, "password": password });
    client.post("/api/auth/login", &body).await
}

/// Makes a key; its number and its text.
pub(crate) async fn key(client: &Client, more: Value) -> anyhow::Result<(i64, String)> {
    let mut body = json!({ "name": "ci", "scopes": ["*"] });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    let made = is(client.post("/api/auth/keys", &body).await?, 201)?;
    let text = made["key"].as_str().context("key")?.to_owned();
    Ok((made["key_id"].as_i64().context("key_id")?, text))
}

/// A request by a key.
pub(crate) async fn by_key(
    base: &str,
    key: &str,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Reply> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http
        .request(method, format!("{base}{path}"))
        .bearer_auth(key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    Client::read(request.send().await?).await
}

/// A project; its number.
pub(crate) async fn project(stack: &Stack, name: &str) -> anyhow::Result<i64> {
    let made = is(
        stack
            .client
            .post("/api/projects", &json!({ "name": name }))
            .await?,
        201,
    )?;
    made["project_id"].as_i64().context("project_id")
}
