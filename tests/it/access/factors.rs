//! The second factor: asked for, used up, lost, and required.

use super::{GOOD, log_in, person};
use crate::fleet::{is, refused};
use anyhow::{Context, ensure};
use futures::future::join_all;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};
use tpm_test_support::{Client, PASSWORD, Reply, Stack};

async fn database(stack: &Stack) -> anyhow::Result<DatabaseConnection> {
    let url = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    Ok(Database::connect(url).await?)
}

/// The code that an app shows now. Where it would end while it is used, that of a moment later.
pub(crate) async fn shown(secret: &str) -> anyhow::Result<String> {
    let mut now = UNIX_EPOCH.elapsed()?.as_secs();
    if now % 30 > 15 {
        let rest = 30 - now % 30;
        tokio::time::sleep(Duration::from_secs(rest)).await;
        now += rest;
    }
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(secret)?);
    Ok(totp.build()?.generate(now).to_string())
}

/// As if no code of the app had been used so far.
async fn unused(db: &DatabaseConnection) -> anyhow::Result<()> {
    let sql = "UPDATE users SET factor = json_set(factor, '$.used', 0) WHERE factor IS NOT NULL";
    db.execute_unprepared(sql).await?;
    Ok(())
}

async fn with_code(base: &str, name: &str, password: &str, code: &str) -> anyhow::Result<Reply> {
    let body = json!({ "username": name, "password": password, "code": code });
    Client::new(base)?.post("/api/auth/login", &body).await
}

/// Sets one up for who is logged in; the app's key and the recovery codes.
async fn set_up(client: &Client) -> anyhow::Result<(String, Vec<String>)> {
    let begun = is(client.post("/api/auth/factor", &json!({})).await?, 201)?;
    let secret = begun["secret"].as_str().context("secret")?.to_owned();
    let code = json!({ "code": shown(&secret).await? });
    let set = is(client.post("/api/auth/factor/confirm", &code).await?, 200)?;
    let codes = set["recovery_codes"].as_array().context("codes")?;
    let codes = codes.iter().filter_map(Value::as_str).map(str::to_owned);
    Ok((secret, codes.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_set_up_asked_for_and_taken_away() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base();
    let db = database(&stack).await?;
    let (_, phone) = person(&stack, "eve", json!(["viewer"])).await?;
    let eve = Client::new(base)?;
    is(log_in(&eve, "eve", GOOD).await?, 200)?;
    let confirm = json!({ "code": "000000" });
    refused(
        eve.post("/api/auth/factor/confirm", &confirm).await?,
        409,
        "NO_SECOND_FACTOR",
    )?;
    let begun = is(eve.post("/api/auth/factor", &json!({})).await?, 201)?;
    let first = begun["secret"].as_str().context("secret")?;
    let uri = begun["uri"].as_str().context("uri")?;
    ensure!(
        uri.starts_with("otpauth://totp/") && uri.contains(first),
        "{uri}"
    );
    // It counts once a code was shown, and not by a wrong one.
    is(log_in(&Client::new(base)?, "eve", GOOD).await?, 200)?;
    let wrong = refused(
        eve.post("/api/auth/factor/confirm", &json!({ "code": "no code" }))
            .await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(wrong["fields"][0]["code"] == "WRONG_CODE", "{wrong}");
    let (secret, recovery) = set_up(&eve).await?;
    ensure!(secret != first && secret.len() == 32, "{secret}");
    ensure!(recovery.len() == 10 && recovery.iter().all(|code| code.len() == 35));
    ensure!(is(eve.get("/api/auth/me").await?, 200)?["second_factor"] == true);
    refused(phone.get("/api/auth/me").await?, 401, "UNAUTHENTICATED")?;
    refused(
        eve.post("/api/auth/factor", &json!({})).await?,
        409,
        "SECOND_FACTOR_EXISTS",
    )?;

    refused(
        log_in(&Client::new(base)?, "eve", GOOD).await?,
        401,
        "SECOND_FACTOR_NEEDED",
    )?;
    // Whoever does not know the password does not learn that there is one.
    refused(
        log_in(&Client::new(base)?, "eve", "another one").await?,
        401,
        "INVALID_CREDENTIALS",
    )?;
    // The code that was shown to confirm is used up.
    let code = shown(&secret).await?;
    let replayed = with_code(base, "eve", GOOD, &code).await?;
    refused(replayed, 401, "INVALID_CREDENTIALS")?;
    unused(&db).await?;
    let code = shown(&secret).await?;
    let at_once = join_all((0..4).map(|_| with_code(base, "eve", GOOD, &code))).await;
    let mut let_in = 0;
    for reply in at_once {
        let_in += usize::from(reply?.status == 200);
    }
    ensure!(let_in == 1, "one code let {let_in} in");
    db.execute_unprepared("DELETE FROM login_throttle").await?;
    is(
        with_code(base, "eve", GOOD, &recovery[0].to_uppercase()).await?,
        200,
    )?;
    for code in [&recovery[0], &recovery[1][..30], ""] {
        let reply = with_code(base, "eve", GOOD, code).await?;
        refused(reply, 401, "INVALID_CREDENTIALS")?;
    }
    // Codes are not guessed at will.
    let mut slowed = false;
    for n in 0..10 {
        slowed |= with_code(base, "eve", GOOD, &format!("{n:06}"))
            .await?
            .status
            == 429;
    }
    ensure!(slowed, "codes may be guessed for ever");
    db.execute_unprepared("DELETE FROM login_throttle").await?;

    // Nothing that lets anybody in lies in the database.
    let sql = "SELECT factor FROM users WHERE factor IS NOT NULL";
    let row = db
        .query_one_raw(sea_orm::Statement::from_string(
            db.get_database_backend(),
            sql,
        ))
        .await?
        .context("a row")?;
    let kept: String = row.try_get("", "factor")?;
    let plain = hex::encode(totp_rs::Secret::try_from_base32(&secret)?.as_ref());
    let code = recovery[1].replace('-', "");
    ensure!(!kept.contains(&plain) && !kept.contains(&secret) && !kept.contains(&code));

    let remove = |code: &str| json!({ "code": code });
    refused(
        eve.post("/api/auth/factor/remove", &remove("1")).await?,
        400,
        "INVALID_REQUEST",
    )?;
    is(
        eve.post("/api/auth/factor/remove", &remove(&recovery[2]))
            .await?,
        200,
    )?;
    is(log_in(&Client::new(base)?, "eve", GOOD).await?, 200)?;
    db.close().await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_have_one_can_do_nothing_else_without() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("AUTH__SECOND_FACTOR", "required")
        .start()
        .await?;
    let admin = &stack.client;
    let key = json!({ "name": "ci", "scopes": ["*"] });
    for reply in [
        admin.get("/api/servers").await?,
        admin.get("/api/auth/keys").await?,
        admin.post("/api/auth/keys", &key).await?,
        admin.get("/api/events").await?,
        admin.post("/api/projects", &json!({ "name": "a" })).await?,
    ] {
        refused(reply, 403, "SECOND_FACTOR_MISSING")?;
    }
    ensure!(is(admin.get("/api/auth/me").await?, 200)?["second_factor"] == false);
    let (_, recovery) = set_up(admin).await?;
    is(admin.get("/api/servers").await?, 200)?;
    let again = with_code(admin.base(), "admin", PASSWORD, &recovery[0]).await?;
    is(again, 200)?;
    // Without it, all is as before.
    is(
        admin
            .post("/api/auth/factor/remove", &json!({ "code": recovery[1] }))
            .await?,
        200,
    )?;
    refused(
        admin.get("/api/servers").await?,
        403,
        "SECOND_FACTOR_MISSING",
    )?;
    stack.stop().await
}

/// Who has lost the app and the codes is helped by somebody who may change people, and by nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_factor_is_taken_away_by_who_may_change_people() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base();
    let (id, eve) = person(&stack, "eve", json!(["viewer"])).await?;
    set_up(&eve).await?;
    let path = format!("/api/users/{id}");
    let body = json!({ "second_factor": false });
    refused(eve.patch(&path, &body).await?, 403, "FORBIDDEN")?;
    let on = json!({ "second_factor": true });
    refused(
        stack.client.patch(&path, &on).await?,
        400,
        "INVALID_REQUEST",
    )?;
    // A new password alone does not get around it.
    let other = json!({ "password": "eleven purple tractors" });
    is(stack.client.patch(&path, &other).await?, 200)?;
    refused(
        log_in(&Client::new(base)?, "eve", "eleven purple tractors").await?,
        401,
        "SECOND_FACTOR_NEEDED",
    )?;
    is(stack.client.patch(&path, &body).await?, 200)?;
    is(
        log_in(&Client::new(base)?, "eve", "eleven purple tractors").await?,
        200,
    )?;
    stack.stop().await
}
