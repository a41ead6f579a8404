//! What is done is written down once, and what is written down stays.

use super::{GOOD, log_in, person};
use crate::fleet::{is, refused, server};
use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};
use tpm_test_support::{Client, Stack};

async fn rows(stack: &Stack) -> anyhow::Result<Vec<Value>> {
    let list = is(stack.client.get("/api/audit?limit=500").await?, 200)?;
    Ok(list["audit"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_written_down_once_also_when_refused() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (_, viewer) = person(&stack, "viewer", json!(["viewer"])).await?;
    let before = rows(&stack).await?;
    ensure!(
        before
            .iter()
            .filter(|row| row["action"] == "POST /api/auth/login")
            .count()
            == 2,
        "{before:#?}"
    );
    let made = is(
        stack
            .client
            .post("/api/servers/create", &server("one"))
            .await?,
        201,
    )?;
    let id = made["server_id"].as_i64().context("id")?;
    refused(
        viewer.post("/api/servers/create", &server("two")).await?,
        403,
        "FORBIDDEN",
    )?;
    refused(
        stack.client.post("/api/servers/create", &json!({})).await?,
        400,
        "INVALID_REQUEST",
    )?;
    refused(viewer.get("/api/users").await?, 403, "FORBIDDEN")?;
    let nobody = Client::new(stack.client.base())?;
    refused(
        log_in(&nobody, "viewer", "wrong").await?,
        401,
        "INVALID_CREDENTIALS",
    )?;
    // Asking is no change.
    is(stack.client.get("/api/servers").await?, 200)?;
    let after = rows(&stack).await?;
    let new: Vec<_> = after[..after.len() - before.len()]
        .iter()
        .rev()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
            (text("actor"), text("action"), text("code"))
        })
        .collect();
    let expected = [
        ("admin", "POST /api/servers/create", "-"),
        ("viewer", "POST /api/servers/create", "FORBIDDEN"),
        ("admin", "POST /api/servers/create", "INVALID_REQUEST"),
        ("viewer", "GET /api/users", "FORBIDDEN"),
        ("viewer", "POST /api/auth/login", "INVALID_CREDENTIALS"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    ensure!(new == expected, "{new:#?}");
    let row = &after[after.len() - before.len() - 1];
    ensure!(
        row["target"] == json!({ "kind": "server", "id": id.to_string() })
            && row["address"] == "127.0.0.1"
            && row["via"] == "session"
            && row["request_id"].as_str().is_some_and(|id| !id.is_empty()),
        "{row:#}"
    );
    let found = is(
        stack
            .client
            .get("/api/audit?result=refused&action=servers/create")
            .await?,
        200,
    )?;
    ensure!(found["total"] == 2, "{found:#}");
    refused(viewer.get("/api/audit").await?, 403, "FORBIDDEN")?;
    let lines = stack
        .client
        .http()
        .get(format!("{}/api/audit?format=jsonl", stack.client.base()))
        .send()
        .await?
        .text()
        .await?;
    let all: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(
        all.len() == after.len() + 1,
        "{} {}",
        all.len(),
        after.len()
    );
    ensure!(!lines.contains(GOOD), "a password");
    stack.stop().await
}

/// The rows as they are, to be put back.
const COPY: [&str; 2] = [
    "CREATE TABLE copy AS SELECT * FROM audit",
    "CREATE TABLE copy_head AS SELECT * FROM audit_head",
];
const BACK: [&str; 4] = [
    "DELETE FROM audit",
    "INSERT INTO audit SELECT * FROM copy",
    "DELETE FROM audit_head",
    "INSERT INTO audit_head SELECT * FROM copy_head",
];

async fn run(db: &DatabaseConnection, sql: &str) -> anyhow::Result<()> {
    let done = db.execute_unprepared(sql).await;
    done.map(|_| ()).with_context(|| sql.to_owned())
}

/// A thousand ways to tamper with it, each found. The schema refuses them; here its guards are gone.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_tampers_is_found() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    for n in 0..30 {
        let body = json!({ "name": format!("p{n}") });
        is(stack.client.post("/api/projects", &body).await?, 201)?;
    }
    let check = async || is(stack.client.get("/api/audit/verify").await?, 200);
    let found = check().await?;
    ensure!(found["valid"] == true && found["rows"] == 31, "{found:#}");
    let file = stack.dir.path().join("manager.db");
    let mut options = sea_orm::ConnectOptions::new(format!("sqlite://{}", file.display()));
    // One connection, so that what is set on it is set for all.
    options.max_connections(1).sqlx_logging(false);
    let db = sea_orm::Database::connect(options).await?;
    for sql in [
        "UPDATE audit SET entry = '{}' WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 1",
    ] {
        ensure!(run(&db, sql).await.is_err(), "taken: {sql}");
    }
    for sql in [
        "DROP TRIGGER audit_no_update",
        "DROP TRIGGER audit_no_delete",
    ] {
        run(&db, sql).await?;
    }
    for sql in COPY {
        run(&db, sql).await?;
    }
    let mut missed = Vec::new();
    for n in 0..1000_i64 {
        // A place, and another one.
        let (a, b) = (n * 7 % 31 + 1, (n * 7 + n / 31 % 29 + 1) % 31 + 1);
        let tampering = match n % 10 {
            0 => vec![format!(
                "UPDATE audit SET entry = replace(entry, 'admin', 'nobody{n}') WHERE seq = {a}"
            )],
            1 => vec![format!(
                "UPDATE audit SET at_ms = at_ms + {} WHERE seq = {a}",
                n + 1
            )],
            2 => vec![format!("DELETE FROM audit WHERE seq = {a}")],
            3 => vec![
                format!("UPDATE audit SET seq = -seq WHERE seq IN ({a}, {b})"),
                format!(
                    "UPDATE audit SET seq = CASE seq WHEN -{a} THEN {b} ELSE {a} END WHERE seq < 0"
                ),
            ],
            4 => vec![format!("DELETE FROM audit WHERE seq >= {a}")],
            5 => vec![
                format!("DELETE FROM audit WHERE seq > {a}"),
                format!(
                    "UPDATE audit_head SET seq = {a}, link = (SELECT link FROM audit WHERE seq = {a})"
                ),
            ],
            6 => vec![format!(
                "UPDATE audit SET action = 'GET /{n}' WHERE seq = {a}"
            )],
            7 => vec![format!(
                "UPDATE audit SET link = '{n:064x}' WHERE seq = {a}"
            )],
            8 => vec![format!(
                "UPDATE audit SET target = '{n}', refused = 'FORBIDDEN' WHERE seq = {a}"
            )],
            _ => vec![
                format!("DELETE FROM audit WHERE seq = {a}"),
                format!("UPDATE audit SET seq = seq - 1 WHERE seq > {a}"),
            ],
        };
        // Checks of the schema are no obstacle to whoever has the file.
        run(&db, "PRAGMA ignore_check_constraints = ON").await?;
        for sql in &tampering {
            run(&db, sql).await?;
        }
        if a == b || check().await?["valid"] == true {
            let unchanged = a == b && n % 10 == 3;
            let nothing_cut = n % 10 == 5 && a == 31;
            if !unchanged && !nothing_cut && check().await?["valid"] == true {
                missed.push(tampering.clone());
            }
        }
        for sql in BACK {
            run(&db, sql).await?;
        }
    }
    ensure!(missed.is_empty(), "not found: {missed:#?}");
    let found = check().await?;
    ensure!(found["valid"] == true, "{found:#}");
    stack.stop().await
}
