//! First passwords, passwords for the beginning, and what takes a fresh login.

use super::{GOOD, key, log_in, person};
use crate::fleet::{is, refused};
use anyhow::{Context, ensure};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::path::Path;
use std::time::UNIX_EPOCH;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_bootstrap::embed::settings;
use tpm_test_support::{Client, PASSWORD, Reply, Stack};

/// A password that somebody thinks of.
const OWN: &str = "eleven purple tractors";

async fn database(folder: &Path) -> anyhow::Result<DatabaseConnection> {
    let url = format!("sqlite://{}", folder.join("manager.db").display());
    Ok(Database::connect(url).await?)
}

fn now_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(UNIX_EPOCH.elapsed()?.as_millis())?)
}

/// An api on a folder of its own that is given no password: what it printed, and what is done with it.
async fn started(
    stack: &Stack,
    folder: &Path,
    name: &str,
    then: impl AsyncFnOnce(Option<String>, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut environment = stack.environment.clone();
    environment.insert("TPM__DATA_DIR".into(), folder.display().to_string());
    environment.insert("TPM__AUTH__ADMIN_PASSWORD".into(), String::new());
    environment.insert("TPM__AUTH__ADMIN_NAME".into(), name.into());
    let empty = tempfile::Builder::new().suffix(".toml").tempfile()?;
    let settings = settings::load_from(Some(empty.path()), environment)?;
    let mut api = Service::open(settings).await?.api().await?;
    let printed = api.take_made_up_password();
    let printed = printed.map(|text| text.expose_secret().to_owned());
    let (base, stop) = (api.url(), CancellationToken::new());
    let serving = tokio::spawn(api.serve(stop.clone()));
    let done = then(printed, &base).await;
    stop.cancel();
    serving.await??;
    done
}

async fn let_in(base: &str, name: &str, password: &str) -> anyhow::Result<Reply> {
    log_in(&Client::new(base)?, name, password).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_password_is_random_ends_and_is_made_anew() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let folder = one.path();
    let mut first = String::new();
    started(&stack, folder, "admin", async |printed, base| {
        first = printed.context("a password")?;
        // 128 bits in hex.
        ensure!(first.len() == 32 && hex::decode(&first).is_ok(), "{first}");
        let begun = is(let_in(base, "admin", &first).await?, 200)?;
        let end = begun["user"]["password_ends_at"]
            .as_str()
            .context("an end")?;
        let end = chrono::DateTime::parse_from_rfc3339(end)?.timestamp_millis();
        let left = end - now_ms()?;
        ensure!((0..=24 * 60 * 60 * 1000).contains(&left), "{left}");
        Ok(())
    })
    .await?;
    started(&stack, two.path(), "admin", async |printed, _| {
        ensure!(printed.context("a password")? != first, "{first} twice");
        Ok(())
    })
    .await?;
    // A start before it has ended prints nothing.
    started(&stack, folder, "admin", async |printed, _| {
        ensure!(printed.is_none());
        Ok(())
    })
    .await?;
    let db = database(folder).await?;
    let over = format!("UPDATE users SET password_ends_ms = {}", now_ms()? - 1);
    db.execute_unprepared(&over).await?;
    started(&stack, folder, "admin", async |printed, base| {
        let second = printed.context("another password")?;
        ensure!(second != first);
        refused(
            let_in(base, "admin", &first).await?,
            401,
            "INVALID_CREDENTIALS",
        )?;
        let client = Client::new(base)?;
        is(log_in(&client, "admin", &second).await?, 200)?;
        // Changed, it stays.
        let change = json!({ "current_password": second, "new_password": OWN });
        is(client.post("/api/auth/password", &change).await?, 200)?;
        let me = is(client.get("/api/auth/me").await?, 200)?;
        ensure!(me["password_ends_at"] == Value::Null, "{me}");
        // Where it ends while the service runs, it lets nobody in.
        db.execute_unprepared(&over).await?;
        refused(
            let_in(base, "admin", OWN).await?,
            401,
            "INVALID_CREDENTIALS",
        )?;
        let never = "UPDATE users SET password_ends_ms = NULL";
        db.execute_unprepared(never).await?;
        is(let_in(base, "admin", OWN).await?, 200)?;
        Ok(())
    })
    .await?;
    started(&stack, folder, "admin", async |printed, _| {
        ensure!(printed.is_none());
        Ok(())
    })
    .await?;
    db.close().await?;
    stack.stop().await
}

/// No account has a name that everybody knows, unless it is wanted.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_has_the_name_it_is_given() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let folder = tempfile::tempdir()?;
    started(&stack, folder.path(), "hana.kim", async |printed, base| {
        let password = printed.context("a password")?;
        for known in ["admin", "root", "administrator", "sa"] {
            refused(
                let_in(base, known, &password).await?,
                401,
                "INVALID_CREDENTIALS",
            )?;
        }
        let client = Client::new(base)?;
        is(log_in(&client, "hana.kim", &password).await?, 200)?;
        let users = is(client.get("/api/users").await?, 200)?;
        ensure!(users["total"] == 1, "{users:#}");
        is(client.get("/api/servers").await?, 200)?;
        Ok(())
    })
    .await?;
    stack.stop().await
}

/// After a forgotten password: what somebody else sets lets in for a day, and is the person's own only once changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_for_the_beginning_ends_unless_it_is_changed() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base();
    let db = database(stack.dir.path()).await?;
    let (id, _) = person(&stack, "eve", json!(["viewer"])).await?;
    let path = format!("/api/users/{id}");
    let alone = json!({ "temporary": true });
    refused(
        stack.client.patch(&path, &alone).await?,
        400,
        "INVALID_REQUEST",
    )?;
    let reset = json!({ "password": OWN, "temporary": true });
    is(stack.client.patch(&path, &reset).await?, 200)?;
    let eve = Client::new(base)?;
    let begun = is(log_in(&eve, "eve", OWN).await?, 200)?;
    ensure!(begun["user"]["password_ends_at"].is_string(), "{begun}");
    let over = format!(
        "UPDATE users SET password_ends_ms = {} WHERE password_ends_ms IS NOT NULL",
        now_ms()? - 1
    );
    db.execute_unprepared(&over).await?;
    refused(let_in(base, "eve", OWN).await?, 401, "INVALID_CREDENTIALS")?;
    is(stack.client.patch(&path, &reset).await?, 200)?;
    is(log_in(&eve, "eve", OWN).await?, 200)?;
    let change = json!({ "current_password": OWN, "new_password": GOOD });
    is(eve.post("/api/auth/password", &change).await?, 200)?;
    db.execute_unprepared(&over).await?;
    is(let_in(base, "eve", GOOD).await?, 200)?;
    // The same for somebody new.
    let new = json!({ "username": "new", "password": OWN, "roles": ["viewer"], "temporary": true });
    is(stack.client.post("/api/users", &new).await?, 201)?;
    let begun = is(let_in(base, "new", OWN).await?, 200)?;
    ensure!(begun["user"]["password_ends_at"].is_string(), "{begun}");
    db.close().await?;
    stack.stop().await
}

/// A session that was left open, or taken, is not enough to change what lets somebody in.
#[tokio::test(flavor = "multi_thread")]
async fn what_lets_in_is_changed_after_a_fresh_login_alone() -> anyhow::Result<()> {
    const MINUTE_MS: i64 = 60_000;
    let stack = Stack::builder().start().await?;
    let admin = &stack.client;
    let db = database(stack.dir.path()).await?;
    let (id, _) = person(&stack, "eve", json!(["viewer"])).await?;
    let phone = Client::new(admin.base())?;
    is(log_in(&phone, "admin", PASSWORD).await?, 200)?;
    let aged = async |minutes: i64| {
        let begun = now_ms()? - minutes * MINUTE_MS;
        let sql = format!("UPDATE sessions SET created_ms = {begun}");
        db.execute_unprepared(&sql).await?;
        anyhow::Ok(())
    };
    aged(16).await?;
    let me = is(admin.get("/api/auth/me").await?, 200)?;
    let own = format!("/api/users/{}", me["id"]);
    // People see their sessions all the same.
    let list = is(admin.get("/api/auth/sessions").await?, 200)?;
    ensure!(list["total"] == 2, "{list}");
    let sessions = list["sessions"].as_array().context("sessions")?;
    let ends = |n: usize| {
        format!(
            "/api/auth/sessions/{}",
            sessions[n]["id"].as_str().unwrap_or_default()
        )
    };
    let made = json!({ "name": "ci", "scopes": ["*"] });
    let (password, factor) = (
        json!({ "password": OWN }),
        json!({ "second_factor": false }),
    );
    let nothing = json!({});
    for (method, path, body) in [
        (Method::POST, "/api/auth/keys", &made),
        (Method::POST, "/api/auth/factor", &nothing),
        (Method::POST, "/api/auth/factor/confirm", &nothing),
        (Method::POST, "/api/auth/factor/remove", &nothing),
        (Method::DELETE, &*ends(0), &nothing),
        (Method::PATCH, &*own, &password),
        (Method::PATCH, &*format!("/api/users/{id}"), &factor),
    ] {
        let reply = admin.send(method, path, Some(body)).await?;
        refused(reply, 403, "LOGIN_AGAIN").context(path.to_owned())?;
    }
    // What changes nothing of that goes on.
    is(
        admin.post("/api/projects", &json!({ "name": "a" })).await?,
        201,
    )?;
    aged(14).await?;
    key(admin, json!({})).await?;
    aged(16).await?;
    admin.login(PASSWORD).await?;
    key(admin, json!({})).await?;
    let list = is(admin.get("/api/auth/sessions").await?, 200)?;
    let other = list["sessions"][1]["id"].as_str().context("the other")?;
    is(
        admin.delete(&format!("/api/auth/sessions/{other}")).await?,
        200,
    )?;
    refused(phone.get("/api/auth/me").await?, 401, "UNAUTHENTICATED")?;
    db.close().await?;
    stack.stop().await
}

/// When passwords are to be hashed more slowly, those that are there follow as people log in.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_hashed_too_fast_is_hashed_anew() -> anyhow::Result<()> {
    const FAST: &str = "$argon2id$v=19$m=1024,t=1,p=1$/mzouJ4JlVOdK+t7RdRt3A$y05dcyh6xsDgr7SW3nj2g5XNZGC8Tb83YGEhp3HGYB4";
    let stack = Stack::builder().start().await?;
    let db = database(stack.dir.path()).await?;
    let sql = format!("UPDATE users SET password_hash = '{FAST}'");
    db.execute_unprepared(&sql).await?;
    let hash = async || {
        let sql = "SELECT password_hash FROM users";
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await?.context("a row")?;
        anyhow::Ok(row.try_get::<String>("", "password_hash")?)
    };
    let base = stack.client.base();
    refused(
        let_in(base, "admin", OWN).await?,
        401,
        "INVALID_CREDENTIALS",
    )?;
    ensure!(hash().await? == FAST);
    is(let_in(base, "admin", PASSWORD).await?, 200)?;
    let slow = hash().await?;
    ensure!(
        slow.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{slow}"
    );
    is(let_in(base, "admin", PASSWORD).await?, 200)?;
    ensure!(hash().await? == slow, "hashed anew each time");
    db.close().await?;
    stack.stop().await
}
