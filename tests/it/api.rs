//! Lists, logs, languages, health: what is read.

use anyhow::{Context, ensure};
use serde_json::json;
use tpm_test_support::{Client, Stack};

fn names(reply: &tpm_test_support::Reply) -> Vec<String> {
    let rows = reply.body["servers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    rows.iter()
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect()
}

/// Answers are data: browsers are told not to run, frame, guess or keep them. Refusals too.
#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_what_answers_are() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    for path in ["/api/servers", "/api/none", "/healthz"] {
        let reply = stack.client.get(path).await?;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            let found = reply.headers.get(name).map(|value| value.to_str());
            ensure!(
                found.transpose()? == Some(value),
                "{path}: {name}: {reply:?}"
            );
        }
        // On loopback there is no HTTPS to hold browsers to.
        ensure!(!reply.headers.contains_key("strict-transport-security"));
    }
    let page = stack
        .client
        .http()
        .get(format!("{}/api/docs", stack.client.base()));
    let page = page.send().await?;
    let policy = page.headers().get("content-security-policy");
    let policy = policy.map(|value| value.to_str()).transpose()?;
    ensure!(
        policy.is_some_and(|text| text.contains("frame-ancestors 'none'")
            && text.contains("base-uri 'none'")
            && text.contains("default-src 'none'")),
        "{policy:?}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_filtered_sorted_and_paged() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    for (name, role) in [
        ("beta", "web"),
        ("alpha", "db"),
        ("gamma", "web"),
        ("delta", "was"),
    ] {
        stack.client.create(name, json!({ "role": role })).await?;
    }
    let check = async |query: &str, expected: &[&str], total: u64| {
        let reply = stack.client.get(&format!("/api/servers?{query}")).await?;
        ensure!(reply.status == 200, "{query}: {}", reply.body);
        ensure!(names(&reply) == expected, "{query}: {:?}", names(&reply));
        ensure!(
            reply.body["total"] == total,
            "{query}: {}",
            reply.body["total"]
        );
        anyhow::Ok(())
    };
    check("", &["beta", "alpha", "gamma", "delta"], 4).await?;
    check("sort=name", &["alpha", "beta", "delta", "gamma"], 4).await?;
    check("sort=name&order=desc&limit=2", &["gamma", "delta"], 4).await?;
    check("sort=name&limit=2&offset=3", &["gamma"], 4).await?;
    check("role=web", &["beta", "gamma"], 2).await?;
    check("role=mail", &[], 0).await?;
    check("name=lt", &["delta"], 1).await?;
    check("name=%25", &[], 0).await?;
    check("status=creating&role=db", &["alpha"], 1).await?;
    check("status=running", &[], 0).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_and_their_log_read() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let (task, id) = stack.client.create("one", json!({})).await?;
    stack.client.ended(&task).await?;
    let bulk = json!({ "servers": [
        { "name": "two", "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 },
        { "name": "three", "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 } ] });
    let reply = stack.client.post("/api/servers/bulk-create", &bulk).await?;
    let bulk = reply.body["task_id"].as_str().context("task")?.to_owned();
    stack.client.ended(&bulk).await?;

    let list = stack.client.get("/api/tasks").await?;
    ensure!(
        list.body["total"] == 2,
        "a bulk's tasks stand beneath it: {}",
        list.body
    );
    ensure!(
        list.body["tasks"][0]["task_id"] == bulk,
        "newest first: {}",
        list.body
    );
    let list = stack
        .client
        .get(&format!("/api/tasks?server_id={id}&kind=create_server"))
        .await?;
    ensure!(
        list.body["total"] == 1 && list.body["tasks"][0]["task_id"] == task,
        "{}",
        list.body
    );
    let list = stack.client.get("/api/tasks?status=failed").await?;
    ensure!(list.body["total"] == 0, "{}", list.body);

    let log = stack.client.get(&format!("/api/tasks/{task}/log")).await?;
    let lines = log.body["lines"].as_array().context("lines")?;
    // Begun and ended, for each of the six steps.
    ensure!(log.body["total"] == 12 && lines.len() == 12, "{}", log.body);
    let first = lines[0]["text"].as_str().unwrap_or_default();
    ensure!(first.contains("UPID:") && lines[0]["n"] == 1, "{first}");
    let page = stack
        .client
        .get(&format!("/api/tasks/{task}/log?limit=1&offset=3"))
        .await?;
    ensure!(
        page.body["lines"][0] == lines[3] && page.body["total"] == 12,
        "{}",
        page.body
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_follow_the_readers_language() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    stack.client.ended(&task).await?;
    let read = async |path: &str, lang: &str| {
        let request = stack
            .client
            .http()
            .get(format!("{}{path}", stack.client.base()));
        Client::read(request.header("accept-language", lang).send().await?).await
    };
    let task = format!("/api/tasks/{task}");
    for (path, pointer, ko, en) in [
        (
            task.as_str(),
            "/message",
            "서버 생성 완료",
            "creating the server: done",
        ),
        (
            task.as_str(),
            "/steps/0/title",
            "템플릿 복제",
            "cloning the template",
        ),
        (
            "/api/notifications/latest",
            "/notification/message",
            "서버 one이 성공적으로 생성되었습니다",
            "server one was created",
        ),
        (
            "/api/servers/9",
            "/error/message",
            "서버 9을(를) 찾을 수 없습니다",
            "there is no server 9",
        ),
    ] {
        for (lang, expected) in [("ko", ko), ("en-GB,en;q=0.8", en), ("fr", ko)] {
            let said = read(path, lang).await?.body.pointer(pointer).cloned();
            ensure!(said == Some(json!(expected)), "{path} {lang}: {said:?}");
        }
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_session_and_everything_else_does() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let nobody = Client::new(stack.client.base())?;
    for path in ["/healthz", "/readyz"] {
        ensure!(nobody.get(path).await?.status == 200, "{path}");
    }
    for path in [
        "/api/servers",
        "/api/servers/1",
        "/api/tasks",
        "/api/tasks/task_x",
        "/api/tasks/task_x/log",
        "/api/notifications",
        "/api/notifications/latest",
        "/api/system/status",
    ] {
        let reply = nobody.get(path).await?;
        ensure!(
            reply.status == 401 && reply.body["error"]["code"] == "UNAUTHENTICATED",
            "{path}: {}",
            reply.body
        );
        ensure!(reply.headers.contains_key("x-request-id"), "{path}");
    }
    for path in [
        "/api/servers/create",
        "/api/servers/bulk-create",
        "/api/servers/bulk-delete",
    ] {
        let reply = nobody.post(path, &json!({})).await?;
        ensure!(reply.status == 401, "{path}: {}", reply.body);
    }
    stack.stop().await
}
