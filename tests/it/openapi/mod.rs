//! The OpenAPI document against the running service: every answer of a walk through the api has the
//! documented status, media type, error code and exactly the documented fields, and every example is one.

mod document;
mod factors;
mod fuzz;
mod page;
mod walk;

use crate::fleet::hand;
use anyhow::{Context, ensure};
use document::Document;
use reqwest::Method;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tpm_test_support::{Client, Stack};

/// A client whose every request and answer is held against the document.
struct Checked<'s> {
    document: Document,
    client: &'s Client,
    /// Operations that were answered with success.
    seen: RefCell<BTreeSet<String>>,
}

impl<'s> Checked<'s> {
    async fn new(client: &'s Client) -> anyhow::Result<Self> {
        Ok(Self {
            document: Document::fetch(client).await?,
            client,
            seen: RefCell::default(),
        })
    }

    /// Sends a request and reads the answer, which must be as documented.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let here = format!("{method} {path}");
        let mut request = self
            .client
            .http()
            .request(method.clone(), format!("{}{path}", self.client.base()));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        let operation = self
            .document
            .operation(&method, path)
            .with_context(|| format!("{here} is not documented"))?;
        let media = headers.get("content-type").context("a content-type")?;
        let read = operation
            .check_answer(status, media.to_str()?, &bytes)
            .with_context(|| format!("{here}: {status} {}", String::from_utf8_lossy(&bytes)))?;
        if status < 300 {
            // What was taken is what may be asked for.
            if let Some(body) = body {
                operation
                    .check_body(body)
                    .with_context(|| format!("{here} took {body}"))?;
            }
            self.seen.borrow_mut().insert(operation.id().to_owned());
        }
        Ok(read)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends the document's own example.
    async fn example(&self, method: Method, path: &str) -> anyhow::Result<Value> {
        let operation = self.document.operation(&method, path);
        let body = operation
            .and_then(|it| it.example())
            .context("an example")?;
        self.send(method, path, Some(&body)).await
    }
}

/// Of the answer that a request was accepted with.
fn task_of(answer: &Value) -> anyhow::Result<String> {
    let task = answer["task_id"].as_str();
    Ok(task
        .with_context(|| format!("a task: {answer:#}"))?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_one() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let document = Document::fetch(&stack.client).await?;
    let checked = document.check_examples()?;
    ensure!(checked > 150, "only {checked} examples");
    stack.stop().await
}

/// Terraform's part of the api, when Terraform is there.
#[tokio::test(flavor = "multi_thread")]
async fn answers_about_code_are_as_documented() -> anyhow::Result<()> {
    let Some(builder) = crate::terraform::with_terraform()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let checked = Checked::new(&stack.client).await?;
    let body = json!({ "name": "coded", "role": "web", "cpu": 1, "memory": 1024, "disk_size": 20,
        "engine": "terraform" });
    let made = checked.post("/api/servers/create", &body).await?;
    hand(&stack)?.drain().await?;
    let (task, id) = (task_of(&made)?, &made["server_id"]);
    for path in [
        format!("/api/tasks/{task}"),
        format!("/api/tasks/{task}/plan"),
        format!("/api/tasks/{task}/log"),
        format!("/api/servers/{id}"),
        format!("/api/servers/{id}/terraform"),
    ] {
        checked.get(&path).await?;
    }
    let states = checked.get(&format!("/api/servers/{id}/state")).await?;
    let serial = states["versions"][0]["serial"].as_u64().context("serial")?;
    let state = format!("/api/servers/{id}/state/{serial}");
    checked.get(&state).await?;
    checked.get(&format!("{state}/diff")).await?;
    checked.get(&format!("{state}/diff?from=x")).await?;
    checked
        .post(&format!("{state}/restore"), &json!({}))
        .await?;
    let change = json!({ "memory": 2048 });
    let path = format!("/api/servers/{id}");
    let changed = checked.send(Method::PATCH, &path, Some(&change)).await?;
    hand(&stack)?.drain().await?;
    checked
        .get(&format!("/api/tasks/{}/plan", task_of(&changed)?))
        .await?;
    for gone in ["state/99", "state/x", "state/99/diff", "state/99/restore"] {
        let path = format!("/api/servers/{id}/{gone}");
        let method = if gone.ends_with("restore") {
            Method::POST
        } else {
            Method::GET
        };
        checked.send(method, &path, None).await?;
    }
    for id in [
        "ejectServer",
        "listStates",
        "getState",
        "diffState",
        "restoreState",
        "getTaskPlan",
    ] {
        ensure!(checked.seen.borrow().contains(id), "{id} was not seen");
    }
    stack.stop().await
}

/// The same wrong requests that are told what is wrong with them: each answer is a documented one.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_as_documented() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let (task, _) = stack.client.create("good", json!({})).await?;
    stack.client.ended(&task).await?;
    let checked = Checked::new(&stack.client).await?;
    let mut held = 0;
    for (name, method, path, body, status, ..) in crate::bad_inputs::cases() {
        // No operation has these: they are told in the document's introduction.
        if status == 405 || checked.document.operation(&method, path).is_none() {
            continue;
        }
        let body = (!body.is_null()).then_some(&body);
        checked.send(method, path, body).await.context(name)?;
        held += 1;
    }
    ensure!(held >= 60, "only {held}");
    stack.stop().await
}
