//! Everything that is secret bears a mark; whatever is written, said and logged at the loudest is searched for it.

use crate::fleet::is;
use crate::several::fleet::{Api, Worker};
use crate::system::until;
use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tpm_pve_simulator::DEFAULT_SECRET;
use tpm_test_support::{Client, PASSWORD, Reply, Stack};

const VALUE: &str = "marked-value-of-a-secret-5f1c";
const PERSON: &str = "marked-Person-Pa55word-8e20";
const WRONG: &str = "marked-wrong-password-77ab";
const HOOK: &str = "marked-path-of-a-hook-3c9d";
const MARK: &str = "6d61726b65642d6b65792d6f662d6d61726b732d323031";
const STATE: &str = "11aa22bb33cc44dd55ee66ff778899001122334455667788a9b8c7d6e5f4a3b2";
const MASTER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1aa";

/// Every file below a folder.
fn files(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            files(&path, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// What a secret looks like where it leaks: itself, and as bytes, hex and base64 of it.
fn looks(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut all = vec![
        bytes.to_vec(),
        hex::encode(bytes).into_bytes(),
        STANDARD_NO_PAD.encode(bytes).into_bytes(),
        URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
    ];
    if let Ok(key) = hex::decode(secret) {
        all.push(STANDARD_NO_PAD.encode(&key).into_bytes());
        all.push(key);
    }
    all
}

fn holds(bytes: &[u8], look: &[u8]) -> bool {
    memchr::memmem::find(bytes, look).is_some()
}

/// Does all that has to do with secrets, well and badly; what the answers say, and what is secret by now.
async fn everything(client: &Client) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut said, mut secrets) = (Vec::new(), Vec::new());
    let (task, id) = client.create("web-1", json!({})).await?;
    ensure!(client.ended(&task).await?["status"] == "completed");

    let path = "/api/vault/secrets/secret/marked";
    is(client.post(path, &json!({ "value": VALUE })).await?, 201)?;
    ensure!(
        is(client.get(path).await?, 200)?
            .to_string()
            .contains(VALUE)
    );
    let key = json!({ "name": "ci", "scopes": ["servers:read"] });
    let key = is(client.post("/api/auth/keys", &key).await?, 201)?;
    let key = key["key"].as_str().context("a key")?.to_owned();
    let hook = json!({
        "name": "ops", "types": ["error", "success"], "url": format!("https://receiver.invalid/in/{HOOK}"),
    });
    let hook = is(
        client.post("/api/notifications/channels", &hook).await?,
        201,
    )?;
    let signing = hook["signing_key"]
        .as_str()
        .context("a signing key")?
        .to_owned();
    let channel = format!("/api/notifications/channels/{}", hook["channel_id"]);
    is(
        client.post(&format!("{channel}/test"), &json!({})).await?,
        202,
    )?;
    let person = json!({ "username": "kim", "password": PERSON, "roles": [{ "role": "viewer" }] });
    is(client.post("/api/users", &person).await?, 201)?;

    // What is refused is told without what was sent.
    let wrong = Client::new(client.base().to_owned())?;
    let by_key = client.http().get(format!("{}/api/servers", client.base()));
    let by_key = by_key.bearer_auth(format!("{key}x"));
    let refused: Vec<Reply> = vec![
        wrong
            .post(
                "/api/auth/login",
                &json!({ "username": "admin", "password": WRONG }),
            )
            .await?,
        wrong
            .post(
                "/api/auth/login",
                &json!({ "username": "admin", "password": [WRONG] }),
            )
            .await?,
        wrong
            .post(
                "/api/auth/login",
                &json!({ "username": WRONG, "password": WRONG, "more": WRONG }),
            )
            .await?,
        client
            .post(
                "/api/users",
                &json!({ "username": "lee", "password": PERSON, "roles": 1 }),
            )
            .await?,
        client
            .post(
                "/api/users",
                &json!({ "username": "kim", "password": PERSON, "roles": [] }),
            )
            .await?,
        client
            .post("/api/vault/secrets/secret/..", &json!({ "value": VALUE }))
            .await?,
        client
            .post(
                path,
                &json!({ "value": VALUE, "options": { "cas": VALUE } }),
            )
            .await?,
        client
            .post(
                "/api/notifications/channels",
                &json!({ "url": format!("ftp://x/{HOOK}"), "name": 1 }),
            )
            .await?,
        client
            .post(
                "/api/auth/password",
                &json!({ "current_password": WRONG, "new_password": PERSON }),
            )
            .await?,
        Client::read(by_key.send().await?).await?,
    ];
    said.extend(refused.into_iter().map(|reply| reply.body.to_string()));

    let (task, id) = (
        client.delete(&format!("/api/servers/{id}")).await?.body["task_id"].clone(),
        id,
    );
    client.ended(task.as_str().context("a task")?).await?;
    until(client, &format!("{channel}/deliveries"), |page| {
        page["deliveries"].as_array().is_some_and(|all| {
            all.iter()
                .any(|one| one["attempts"].as_u64().unwrap_or_default() > 0)
        })
    })
    .await?;
    for path in [
        "/api/tasks?limit=500".to_owned(),
        format!("/api/tasks/{}/log", task.as_str().unwrap_or_default()),
        "/api/audit?limit=500".into(),
        "/api/notifications?limit=500".into(),
        "/api/notifications/channels".into(),
        format!("{channel}/deliveries"),
        "/api/system/config".into(),
        "/api/system/status".into(),
        "/api/system/logs?limit=500".into(),
        "/api/users".into(),
        "/api/auth/keys".into(),
        "/api/auth/sessions".into(),
        "/api/vault/status".into(),
        "/api/vault/secrets/secret?list=true".into(),
        format!("/api/servers/{id}"),
    ] {
        said.push(client.get(&path).await?.body.to_string());
    }
    secrets.extend([key, signing]);
    Ok((said, secrets))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_written_said_or_logged() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("LOG__FILTER", "trace")
        .set("SECURITY__MARK_KEY", MARK)
        .set("SECURITY__STATE_KEY", STATE)
        .set("SECRETS__MASTER_KEY", MASTER)
        .set("WORKER__LOOK_MS", 500)
        .start()
        .await?;
    let api = Api::start(&stack, "api")?;
    let worker = Worker::start(&stack, "worker")?;
    let client = Client::new(api.url())?;
    let login = json!({ "username": "admin", "password": PASSWORD });
    let login = client.post("/api/auth/login", &login).await?;
    let cookie = login
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|cookie| {
            let pair = cookie.to_str().ok()?.split(';').next()?;
            Some(pair.strip_prefix("tpm_session=")?.to_owned())
        });
    let (said, made) = everything(&client).await?;
    client.send(Method::POST, "/api/auth/logout", None).await?;
    drop((api, worker));

    let mut secrets = [
        DEFAULT_SECRET,
        PASSWORD,
        VALUE,
        PERSON,
        WRONG,
        HOOK,
        MARK,
        STATE,
        MASTER,
    ]
    .map(str::to_owned)
    .to_vec();
    secrets.extend(made);
    secrets.push(cookie.context("a session")?);
    let mut places: Vec<(String, Vec<u8>)> = said
        .into_iter()
        .enumerate()
        .map(|(n, text)| (format!("answer {n}: {text}"), text.into_bytes()))
        .collect();
    let mut written = Vec::new();
    files(stack.dir.path(), &mut written)?;
    for path in written {
        places.push((path.display().to_string(), fs::read(&path)?));
    }
    // The search finds what is there, and the log is as loud as it can be.
    let log = |name: &str| {
        let of = places.iter().filter(|(place, _)| place.contains(name));
        of.map(|(_, bytes)| bytes.as_slice())
            .collect::<Vec<_>>()
            .concat()
    };
    ensure!(holds(&log("manager.db"), b"web-1"));
    for name in ["api.log", "worker.log"] {
        ensure!(holds(&log(name), b"TRACE"), "{name} is not loud");
    }
    let mut leaks = Vec::new();
    for (n, secret) in secrets.iter().enumerate() {
        for (place, bytes) in &places {
            for look in looks(secret) {
                if let Some(at) = memchr::memmem::find(bytes, &look) {
                    let around = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
                    let around = String::from_utf8_lossy(around).into_owned();
                    let place: String = place.chars().take(200).collect();
                    leaks.push(format!("secret {n} in {place}: …{around}…"));
                    break;
                }
            }
        }
    }
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
    let kept = is(
        stack.client.get("/api/vault/secrets/secret/marked").await?,
        200,
    )?;
    ensure!(kept.to_string().contains(VALUE), "{kept}");
    stack.stop().await
}
