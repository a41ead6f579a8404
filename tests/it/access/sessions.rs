//! Sessions and passwords: how long they hold, and what they look like.

use super::{GOOD, key, log_in, person};
use crate::fleet::{is, refused};
use anyhow::{Context, ensure};
use reqwest::Method;
use reqwest::header::SET_COOKIE;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use tpm_test_support::{Client, PASSWORD, Reply, Stack};

async fn database(stack: &Stack) -> anyhow::Result<DatabaseConnection> {
    let url = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    Ok(Database::connect(url).await?)
}

/// The cookies of an answer, each with all that is said of it.
fn cookies(reply: &Reply) -> Vec<String> {
    let all = reply.headers.get_all(SET_COOKIE).iter();
    all.filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_unused_and_in_any_case() -> anyhow::Result<()> {
    const MINUTE_MS: i64 = 60_000;
    let stack = Stack::builder().start().await?;
    let db = database(&stack).await?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_millis();
    let now = i64::try_from(now)?;
    // When it was begun and used last, in minutes before now, and whether it holds.
    for (begun, used, holds) in [
        (29, 29, true),
        (31, 31, false),
        (479, 1, true),
        (481, 1, false),
    ] {
        stack.client.login(PASSWORD).await?;
        let sql = format!(
            "UPDATE sessions SET created_ms = {}, last_seen_ms = {}",
            now - begun * MINUTE_MS,
            now - used * MINUTE_MS
        );
        db.execute_unprepared(&sql).await?;
        let reply = stack.client.get("/api/auth/me").await?;
        let expected = if holds { 200 } else { 401 };
        ensure!(reply.status == expected, "{begun} {used}: {}", reply.body);
    }
    db.close().await?;
    stack.stop().await
}

/// A login begins a session of its own, whose secret nobody can guess, and ends the one before.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_begins_a_new_session_and_ends_the_one_before() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = Client::new(stack.client.base())?;
    let mut seen = BTreeSet::new();
    let mut before = None;
    for _ in 0..20 {
        let reply = log_in(&client, "admin", PASSWORD).await?;
        let all = cookies(&reply);
        let [session, device] = &all[..] else {
            anyhow::bail!("{all:?}");
        };
        for cookie in [session, device] {
            ensure!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
                "{cookie}"
            );
        }
        let pair = session.split(';').next().context("a cookie")?;
        let secret = pair.strip_prefix("tpm_session=").context("a session")?;
        // 256 bits in hex, and never the same.
        ensure!(
            secret.len() == 64 && hex::decode(secret).is_ok(),
            "{secret}"
        );
        ensure!(seen.insert(secret.to_owned()), "{secret} twice");
        if let Some(before) = before.replace(pair.to_owned()) {
            let http = reqwest::Client::builder().no_proxy().build()?;
            let url = format!("{}/api/auth/me", client.base());
            let answer = http.get(url).header("cookie", before).send().await?;
            ensure!(answer.status() == 401, "the one before goes on: {answer:?}");
        }
    }
    stack.stop().await
}

/// Whoever took a session over does not empty the house at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_one_person_have_a_pace() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("LIMITS__SESSION_REQUESTS_PER_SECOND", 1)
        .start()
        .await?;
    let (_, other) = person(&stack, "other", json!(["viewer"])).await?;
    let again = Client::new(stack.client.base())?;
    is(log_in(&again, "admin", PASSWORD).await?, 200)?;
    let mut told = Vec::new();
    for client in [&stack.client, &again].into_iter().cycle().take(40) {
        told.push(client.get("/api/servers").await?);
    }
    let slowed: Vec<_> = told.into_iter().filter(|it| it.status == 429).collect();
    ensure!(slowed.len() > 10, "{}", slowed.len());
    let one = slowed.into_iter().next().context("one")?;
    ensure!(one.headers.contains_key("retry-after"), "{one:?}");
    refused(one, 429, "RATE_LIMITED")?;
    is(other.get("/api/servers").await?, 200)?;
    stack.stop().await
}

/// Passwords are what was sent, to the letter, and are kept as slow hashes.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_as_it_is() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let add = async |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password, "roles": ["viewer"] });
        stack.client.post("/api/users", &body).await
    };
    let short = refused(add("short", "xQ7#vL2").await?, 400, "INVALID_REQUEST")?;
    ensure!(short["fields"][0]["code"] == "WRONG_COUNT", "{short}");
    let odd = "  Four Grüne 자전거 & one red Lantern — shorter than 72 bytes it is not  ";
    ensure!(odd.chars().count() >= 64 && odd.len() > 72, "{}", odd.len());
    is(add("odd", odd).await?, 201)?;
    for (password, status) in [
        (odd, 200),
        (odd.trim(), 401),
        (&*odd.to_lowercase(), 401),
        (&odd[..odd.len() - 1], 401),
    ] {
        let client = Client::new(stack.client.base())?;
        let reply = log_in(&client, "odd", password).await?;
        ensure!(reply.status == status, "{password:?}: {}", reply.body);
    }
    let db = database(&stack).await?;
    let sql = "SELECT password_hash FROM users";
    let rows = db.query_all_raw(sea_orm::Statement::from_string(
        db.get_database_backend(),
        sql,
    ));
    for row in rows.await? {
        let hash: String = row.try_get("", "password_hash")?;
        ensure!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
    }
    db.close().await?;
    for file in ["mark.key", "state.key"] {
        let path = stack.dir.path().join(file);
        let mode = std::fs::metadata(&path).context(file)?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{file}: {mode:o}");
    }
    stack.stop().await
}

/// What lets somebody in counts where it is not written down by everybody on the way.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_by_a_query() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    person(&stack, "somebody", json!(["viewer"])).await?;
    let (_, key) = key(&stack.client, json!({})).await?;
    let client = Client::new(stack.client.base())?;
    let session = cookies(&log_in(&client, "somebody", GOOD).await?);
    let session = session[0].split(';').next().context("a cookie")?.to_owned();
    let nobody = Client::new(stack.client.base())?;
    for query in [
        format!("authorization=Bearer%20{key}"),
        format!("key={key}"),
        format!("api_key={key}"),
        format!("access_token={key}"),
        session,
    ] {
        let reply = nobody.get(&format!("/api/auth/me?{query}")).await?;
        ensure!(reply.status == 401, "{query}: {}", reply.body);
    }
    let url = format!("{}/api/servers", stack.client.base());
    let trace = stack.client.http().request(Method::TRACE, url);
    let answer = trace.send().await?;
    ensure!(answer.status() == 405, "{answer:?}");
    stack.stop().await
}
