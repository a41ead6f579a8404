//! The public reference's examples, sent as they stand there, and their documented answers.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_test_support::{Client, PASSWORD, Stack};

/// Every documented field is there with the documented type; more may stand beside it.
pub(crate) fn has_shape(path: &str, documented: &Value, real: &Value) -> anyhow::Result<()> {
    match (documented, real) {
        (Value::Object(documented), Value::Object(real)) => {
            for (name, value) in documented {
                let here = format!("{path}.{name}");
                has_shape(
                    &here,
                    value,
                    real.get(name)
                        .with_context(|| format!("{here} is missing"))?,
                )?;
            }
            Ok(())
        }
        (Value::Array(documented), Value::Array(real)) => {
            ensure!(!real.is_empty() || documented.is_empty(), "{path} is empty");
            match documented.first() {
                Some(first) => real
                    .iter()
                    .try_for_each(|item| has_shape(&format!("{path}[]"), first, item)),
                None => Ok(()),
            }
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, _) => Ok(()),
        _ => anyhow::bail!("{path}: documented {documented}, answered {real}"),
    }
}

/// A time as the reference writes them.
fn is_time(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() == 20 && text.ends_with('Z') && text.contains('T'))
}

async fn send(client: &Client, line: &str, body: &str) -> anyhow::Result<tpm_test_support::Reply> {
    let (method, path) = line.split_once(' ').context("METHOD path")?;
    let url = format!("{}{path}", client.base());
    let mut request = client.http().request(method.parse()?, url);
    if !body.is_empty() {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    Client::read(request.send().await?).await
}

const LOGIN: &str = r#"{"username": "admin", "password": "password"}"#;
const CREATE: &str = r#"{
    "name": "web-server-02",
    "role": "web",
    "cpu": 2,
    "memory": 4096,
    "disk_size": 50,
    "network_config": {
      "ip_address": "192.168.0.22",
      "subnet": "24",
      "gateway": "192.168.0.1"
    }
  }"#;
const BULK_CREATE: &str = r#"{
    "servers": [
      {
        "name": "web-server-01",
        "role": "web",
        "cpu": 2,
        "memory": 4096,
        "disk_size": 50
      },
      {
        "name": "was-server-01",
        "role": "was",
        "cpu": 4,
        "memory": 8192,
        "disk_size": 100
      }
    ],
    "network_config": {
      "ip_range": "192.168.0.21-192.168.0.30",
      "subnet": "24",
      "gateway": "192.168.0.1"
    }
  }"#;
const CREATE_PLAIN: &str = r#"{
    "name": "test-server",
    "role": "web",
    "cpu": 2,
    "memory": 4096,
    "disk_size": 50
  }"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_references_examples_work_as_they_stand() -> anyhow::Result<()> {
    // The reference's password is `password`.
    let mut stack = Stack::builder()
        .set("AUTH__ADMIN_PASSWORD", "password")
        .start_as("password")
        .await?;
    stack.start_worker()?;
    let client = Client::new(stack.client.base())?;

    let reply = send(&client, "POST /api/auth/login", LOGIN).await?;
    ensure!(
        reply.status == 200 && reply.body["success"] == true,
        "{}",
        reply.body
    );
    let cookie = reply.headers["set-cookie"].to_str()?.to_owned();
    ensure!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    ensure!(!cookie.contains("Secure"), "loopback: {cookie}");

    let accepted = json!({ "success": true, "message": "서버 생성이 시작되었습니다", "task_id": "task_12345" });
    let reply = send(&client, "POST /api/servers/create", CREATE).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    has_shape("create", &accepted, &reply.body)?;
    ensure!(
        reply.body["message"] == "서버 생성이 시작되었습니다",
        "{}",
        reply.body
    );
    let task = reply.body["task_id"]
        .as_str()
        .context("task_id")?
        .to_owned();
    ensure!(task.starts_with("task_"), "{task}");

    let documented_task = json!({
        "task_id": "task_12345", "status": "running", "progress": 75, "message": "서버 생성 중...",
        "created_at": "2024-01-15T10:30:00Z", "updated_at": "2024-01-15T10:35:00Z" });
    let reply = send(&client, &format!("GET /api/tasks/{task}"), "").await?;
    has_shape("task", &documented_task, &reply.body)?;
    ensure!(is_time(&reply.body["created_at"]), "{}", reply.body);
    let first = client.ended(&task).await?;
    ensure!(
        first["status"] == "completed" && first["progress"] == 100,
        "{first:#}"
    );

    let reply = send(&client, "POST /api/servers/bulk-create", BULK_CREATE).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    has_shape("bulk", &accepted, &reply.body)?;
    let bulk = client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await?;
    ensure!(bulk["status"] == "completed", "{bulk:#}");
    ensure!(
        bulk["children"].as_array().is_some_and(|c| c.len() == 2),
        "{bulk:#}"
    );

    let reply = send(&client, "POST /api/servers/create", CREATE_PLAIN).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await?;

    let documented_list = json!({ "servers": [{
        "id": 1, "name": "web-server-01", "ip_address": "192.168.0.21", "role": "web",
        "status": "running", "cpu": 2, "memory": 4096, "disk_size": 50,
        "created_at": "2024-01-15T10:30:00Z", "updated_at": "2024-01-15T10:30:00Z" }], "total": 1 });
    let reply = send(&client, "GET /api/servers", "").await?;
    has_shape("list", &documented_list, &reply.body)?;
    let addresses: Vec<_> = reply.body["servers"]
        .as_array()
        .context("servers")?
        .iter()
        .map(|server| {
            (
                server["name"].as_str().unwrap_or(""),
                server["ip_address"].as_str().unwrap_or(""),
            )
        })
        .collect();
    // 22 was taken; the range is used in the order asked for, the pool after it.
    ensure!(
        addresses
            == [
                ("web-server-02", "192.168.0.22"),
                ("web-server-01", "192.168.0.21"),
                ("was-server-01", "192.168.0.23"),
                ("test-server", "192.168.0.24"),
            ],
        "{addresses:?}"
    );

    let reply = send(
        &client,
        "PUT /api/servers/1/status",
        r#"{"status": "stopped"}"#,
    )
    .await?;
    ensure!(
        reply.status == 200 && reply.body["success"] == true,
        "{}",
        reply.body
    );
    client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await?;
    ensure!(client.server(1).await?["status"] == "stopped");
    let again = send(
        &client,
        "PUT /api/servers/1/status",
        r#"{"status": "stopped"}"#,
    )
    .await?;
    ensure!(
        again.status == 200 && again.body["task_id"].is_null(),
        "{}",
        again.body
    );

    let documented = json!({ "success": true, "message": "서버가 성공적으로 삭제되었습니다" });
    let reply = send(&client, "DELETE /api/servers/1", "").await?;
    has_shape("delete", &documented, &reply.body)?;
    client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await?;
    ensure!(send(&client, "GET /api/servers/1", "").await?.status == 404);

    let reply = send(
        &client,
        "POST /api/servers/bulk-delete",
        r#"{"server_ids": [2, 3]}"#,
    )
    .await?;
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    let bulk = client
        .ended(reply.body["task_id"].as_str().context("task_id")?)
        .await?;
    ensure!(bulk["status"] == "completed", "{bulk:#}");
    let reply = send(&client, "GET /api/servers", "").await?;
    ensure!(reply.body["total"] == 1, "{}", reply.body);

    notifications(&client).await?;
    system_status(&client).await?;

    let reply = send(&client, "POST /api/auth/logout", "").await?;
    ensure!(reply.status == 200, "{}", reply.body);
    let reply = send(&client, "GET /api/servers", "").await?;
    ensure!(
        reply.status == 401 && reply.body["error"]["code"] == "UNAUTHENTICATED",
        "{}",
        reply.body
    );
    stack.stop().await
}

async fn notifications(client: &Client) -> anyhow::Result<()> {
    let one = json!({ "id": 1, "message": "서버 web-server-01이 성공적으로 생성되었습니다",
        "type": "success", "created_at": "2024-01-15T10:30:00Z" });
    let documented = json!({ "notifications": [one], "total": 1 });
    let reply = send(client, "GET /api/notifications", "").await?;
    has_shape("notifications", &documented, &reply.body)?;
    let said: Vec<_> = reply.body["notifications"]
        .as_array()
        .context("list")?
        .iter()
        .filter_map(|item| item["message"].as_str())
        .collect();
    ensure!(
        said.contains(&"서버 web-server-01이 성공적으로 생성되었습니다"),
        "{said:?}"
    );
    let total = reply.body["total"].as_u64().context("total")?;

    let reply = send(client, "GET /api/notifications/latest", "").await?;
    has_shape("latest", &json!({ "notification": one }), &reply.body)?;

    let reply = send(client, "DELETE /api/notifications/1", "").await?;
    ensure!(
        reply.status == 200 && reply.body["success"] == true,
        "{}",
        reply.body
    );
    let reply = send(client, "GET /api/notifications?limit=1", "").await?;
    ensure!(reply.body["total"] == total - 1, "{}", reply.body);
    Ok(())
}

async fn system_status(client: &Client) -> anyhow::Result<()> {
    let documented = json!({
        "system": { "status": "healthy", "uptime": "7 days, 12 hours", "version": "1.0.0",
            "last_updated": "2024-01-15T10:30:00Z" },
        "services": { "flask": "running", "prometheus": "running", "grafana": "running", "vault": "running" },
        "resources": { "cpu_usage": null, "memory_usage": 45.6, "disk_usage": 67.8 } });
    let reply = send(client, "GET /api/system/status", "").await?;
    has_shape("system", &documented, &reply.body)?;
    let services = &reply.body["services"];
    ensure!(services["prometheus"] == "not_configured", "{services}");
    ensure!(
        services["proxmox"] == "running" && services["database"] == "running",
        "{services}"
    );
    Ok(())
}

/// Who guesses is slowed down, and is not told whether the name or the password was wrong.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let guess = |name: &'static str| {
        let client = stack.client.clone();
        async move {
            let body = json!({ "username": name, "password": "wrong" });
            client.post("/api/auth/login", &body).await
        }
    };
    let (known, unknown) = (guess("admin").await?, guess("nobody").await?);
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    for _ in 0..5 {
        guess("admin").await?;
    }
    let slowed = guess("admin").await?;
    assert_eq!(slowed.status, 429, "{}", slowed.body);
    assert!(slowed.headers.contains_key("retry-after"));
    // The throttle holds for the right password as well: it cannot be told apart by it.
    let body = json!({ "username": "admin", "password": PASSWORD });
    assert_eq!(
        stack.client.post("/api/auth/login", &body).await?.status,
        429
    );
    stack.stop().await
}

/// A page of another origin cannot change anything with a visitor's session.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_foreign_pages_are_refused() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base().to_owned();
    let own = base.clone();
    let cases = [
        (Some(("origin", own.as_str())), 404),
        (Some(("origin", "https://evil.example")), 403),
        (Some(("origin", "null")), 403),
        (Some(("sec-fetch-site", "cross-site")), 403),
        (Some(("sec-fetch-site", "same-site")), 403),
        (Some(("sec-fetch-site", "same-origin")), 404),
        (None, 404),
    ];
    for (header, expected) in cases {
        let mut request = stack.client.http().delete(format!("{base}/api/servers/1"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let reply = Client::read(request.send().await?).await?;
        assert_eq!(reply.status, expected, "{header:?} {}", reply.body);
    }
    stack.stop().await
}

/// Monitoring in the embedded default: what is not measured is `null`, everything else as it stands there.
#[tokio::test(flavor = "multi_thread")]
async fn monitoring() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let (id, _) = crate::fleet::running(&stack, "web-server-01").await?;
    crate::fleet::hand(&stack)?.look().await?;
    let answer = send(client, "GET /api/monitoring/status", "").await?;
    let documented = json!({
        "prometheus": { "status": "running", "url": null, "targets": null, "healthy_targets": null },
        "grafana": { "status": "running", "url": null, "dashboards": null },
        "node_exporters": { "total": 5, "active": null, "inactive": null },
    });
    ensure!(answer.status == 200, "{:#}", answer.body);
    has_shape("", &documented, &answer.body)?;
    let answer = send(client, &format!("GET /api/monitoring/metrics/{id}"), "").await?;
    let documented = json!({
        "server_id": 1,
        "server_name": "web-server-01",
        "metrics": {
            "cpu_usage": 45.2, "memory_usage": 67.8, "disk_usage": null, "network_in": null, "network_out": null,
            "timestamp": "2024-01-15T10:30:00Z",
        },
    });
    ensure!(answer.status == 200, "{:#}", answer.body);
    has_shape("", &documented, &answer.body)?;
    ensure!(
        is_time(&answer.body["metrics"]["timestamp"]),
        "{:#}",
        answer.body
    );
    // As curl sends it: nothing but the path.
    let answer = send(client, "POST /api/monitoring/prometheus/update", "").await?;
    ensure!(
        answer.status == 200 && answer.body["success"] == true,
        "{:#}",
        answer.body
    );
    stack.stop().await
}
