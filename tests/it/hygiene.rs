//! What holds for every route alike, however dull it is.

use crate::fleet::{is, running};
use anyhow::{Context, ensure};
use reqwest::header::CONTENT_TYPE;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_test_support::Stack;

async fn database(stack: &Stack) -> anyhow::Result<DatabaseConnection> {
    let url = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    Ok(Database::connect(url).await?)
}

async fn texts(db: &DatabaseConnection, sql: String) -> anyhow::Result<Vec<String>> {
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    let rows = rows.iter();
    Ok(rows
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?)
}

/// All that is written down, by table; but what only says that somebody was there, and the audit, which says who asked.
async fn contents(db: &DatabaseConnection) -> anyhow::Result<BTreeMap<String, String>> {
    const NOT: [&str; 5] = ["logs", "audit", "audit_head", "heartbeats", "processes"];
    const NOR: [&str; 2] = ["last_seen_ms", "last_used_ms"];
    let mut all = BTreeMap::new();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    for table in texts(db, tables.into()).await? {
        if NOT.contains(&table.as_str()) {
            continue;
        }
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        let mut columns = texts(db, columns).await?;
        columns.retain(|column| !NOR.contains(&column.as_str()));
        let quoted: Vec<String> = columns.iter().map(|c| format!("quote(\"{c}\")")).collect();
        let row = quoted.join(" || ',' || ");
        let sql = format!("SELECT coalesce(group_concat({row}, ';'), '') FROM \"{table}\"");
        let found = texts(db, sql).await?.into_iter().next();
        all.insert(table, found.unwrap_or_default());
    }
    Ok(all)
}

/// The paths that are read, with the document's examples in them.
fn reads(document: &Value) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        let operation = &item["get"];
        // Answered for as long as somebody reads.
        if operation.is_null() || operation["operationId"] == "followEvents" {
            continue;
        }
        let mut path = path.clone();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "path" {
                let name = parameter["name"].as_str().context("name")?;
                let example = match &parameter["example"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                path = path.replace(&format!("{{{name}}}"), &example);
            }
        }
        all.push(path);
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_read_changes_nothing() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    running(&stack, "web-1").await?;
    let db = database(&stack).await?;
    let document = is(stack.client.get("/api/openapi.json").await?, 200)?;
    let before = contents(&db).await?;
    ensure!(
        before
            .get("servers")
            .is_some_and(|rows| rows.contains("web-1")),
        "nothing is there to be changed"
    );
    let reads = reads(&document)?;
    ensure!(reads.len() > 40, "{reads:?}");
    for path in reads {
        let answer = stack.client.get(&path).await?;
        ensure!(answer.status < 500, "{path}: {}", answer.status);
        let after = contents(&db).await?;
        let changed = before
            .iter()
            .filter(|(table, rows)| after.get(*table) != Some(rows));
        let changed: Vec<_> = changed.map(|(table, _)| table).collect();
        ensure!(changed.is_empty(), "{path} changes {changed:?}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encoded_twice_is_decoded_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    running(&stack, "web-1").await?;
    let client = &stack.client;
    is(client.get("/api/servers/%31").await?, 200)?;
    ensure!(client.get("/api/servers/%2531").await?.status == 404);
    let total = async |name: &str| {
        let page = client.get(&format!("/api/servers?name={name}")).await?;
        is(page, 200).map(|page| page["total"].clone())
    };
    ensure!(total("w%65b").await? == 1);
    ensure!(total("w%2565b").await? == 0);
    // Neither is a separator of paths made of what was encoded.
    ensure!(client.get("/api%2fservers").await?.status == 404);
    ensure!(
        client
            .get("/api/vault/secrets/secret%252f..%252fx")
            .await?
            .status
            == 400
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_says_its_type_and_texts_their_charset() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let document = is(stack.client.get("/api/openapi.json").await?, 200)?;
    let mut seen = Vec::new();
    for path in
        reads(&document)?
            .into_iter()
            .chain(["/".into(), "/servers/1".into(), "/api/none".into()])
    {
        let answer = stack
            .client
            .http()
            .get(format!("{}{path}", stack.client.base()));
        let answer = answer.send().await?;
        let kind = answer.headers().get(CONTENT_TYPE).cloned();
        let kind = kind
            .as_ref()
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        ensure!(
            !kind.is_empty() || answer.bytes().await?.is_empty(),
            "{path}: no type"
        );
        let text = kind.starts_with("text/") || kind.contains("xml");
        ensure!(!text || kind.contains("charset=utf-8"), "{path}: {kind}");
        seen.push(kind.split(';').next().unwrap_or_default().to_owned());
    }
    ensure!(
        seen.iter().any(|kind| kind == "application/json"),
        "{seen:?}"
    );
    ensure!(
        seen.iter().any(|kind| kind.starts_with("text/")),
        "{seen:?}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_inside_is_not_told_outside() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let db = database(&stack).await?;
    db.execute_unprepared("ALTER TABLE networks RENAME TO hidden_networks")
        .await?;
    let asked = json!({ "name": "x", "range": "10.9.0.10-10.9.0.20", "prefix": 24, "gateway": "10.9.0.1", "bridge": "vmbr0" });
    for answer in [
        stack.client.get("/api/networks").await?,
        stack.client.post("/api/networks", &asked).await?,
    ] {
        ensure!(answer.status >= 500, "{} {}", answer.status, answer.body);
        let told = answer.body.to_string().to_lowercase();
        for inside in [
            "sql", "table", "networks", "hidden", "crates/", ".rs", "panick",
        ] {
            ensure!(!told.contains(inside), "{inside}: {told}");
        }
        let message = answer.body["error"]["message"].as_str();
        ensure!(message.is_some_and(|text| !text.is_empty()), "{told}");
    }
    // All else goes on.
    is(stack.client.get("/api/servers").await?, 200)?;
    db.execute_unprepared("ALTER TABLE hidden_networks RENAME TO networks")
        .await?;
    is(stack.client.get("/api/networks").await?, 200)?;
    stack.stop().await
}
