//! An HTTP client that keeps its session, for driving the api as a person would.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; `null` when it is none.
    pub body: Value,
}

/// A client of one api.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// How long something may take in a test before it counts as stuck.
const STUCK: Duration = Duration::from_secs(120);

impl Client {
    /// A client without a session.
    ///
    /// # Errors
    /// When no client can be built.
    pub fn new(base: impl Into<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: base.into(),
        })
    }

    /// The api's URL.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The client below, for requests that are not JSON.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::read(request.send().await?).await
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn read(response: reqwest::Response) -> anyhow::Result<Reply> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Reply {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }

    /// `GET`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `PUT` with a JSON body.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `PATCH` with a JSON body.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(Method::DELETE, path, None).await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn login(&self, password: &str) -> anyhow::Result<()> {
        let body = json!({ "username": "admin", "password": password });
        let reply = self.post("/api/auth/login", &body).await?;
        if reply.status != 200 {
            bail!("login: {} {}", reply.status, reply.body);
        }
        Ok(())
    }

    /// Asks for a server with these fields on top of plain ones; the task's and the server's ids.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&self, name: &str, more: Value) -> anyhow::Result<(String, i64)> {
        let mut body =
            json!({ "name": name, "role": "web", "cpu": 2, "memory": 2048, "disk_size": 20 });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let reply = self.post("/api/servers/create", &body).await?;
        if reply.status != 201 {
            bail!("create {name}: {} {}", reply.status, reply.body);
        }
        let task = reply.body["task_id"]
            .as_str()
            .context("no task_id")?
            .to_owned();
        let id = reply.body["server_id"].as_i64().context("no server_id")?;
        Ok((task, id))
    }

    /// The task of an answer that accepted something.
    ///
    /// # Errors
    /// When it was refused.
    pub fn task_of(&self, reply: &Reply) -> anyhow::Result<String> {
        if !matches!(reply.status, 200 | 201) {
            bail!("{} {}", reply.status, reply.body);
        }
        let task = reply.body["task_id"].as_str().context("no task_id")?;
        Ok(task.to_owned())
    }

    /// Waits until a task has ended and returns it.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&self, task: &str) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let reply = self.get(&format!("/api/tasks/{task}")).await?;
            match reply.body["status"].as_str() {
                Some("pending" | "running") => {}
                Some(_) => return Ok(reply.body),
                None => bail!("task {task}: {} {}", reply.status, reply.body),
            }
            if began.elapsed() > STUCK {
                bail!("task {task} does not end: {}", reply.body);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One server.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn server(&self, id: i64) -> anyhow::Result<Value> {
        let reply = self.get(&format!("/api/servers/{id}")).await?;
        if reply.status != 200 {
            bail!("server {id}: {} {}", reply.status, reply.body);
        }
        Ok(reply.body)
    }
}
