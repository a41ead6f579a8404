//! Channels: notifications arrive where they are sent to, signed, at least once and never as something else.

mod urls;

use crate::access::{by_key, key};
use crate::fleet::keys::send;
use crate::fleet::{hand, is, refused};
use anyhow::{Context, ensure};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tpm_domain::{Delivery, EventKind, Outcome};
use tpm_store::Store;
use tpm_test_support::Stack;

/// What a receiver got.
#[derive(Clone, Debug)]
struct Got {
    id: String,
    timestamp: String,
    signatures: Vec<String>,
    body: String,
}

impl Got {
    /// Whether one of the signatures is by this key.
    fn is_signed_by(&self, key: &str) -> anyhow::Result<bool> {
        let key = key.strip_prefix("whsec_").context("the prefix")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(key)?)?;
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let signed = STANDARD.encode(mac.finalize().into_bytes());
        Ok(self.signatures.contains(&format!("v1,{signed}")))
    }
}

/// Takes messages; answers as told, then 204.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    async fn start(&self) -> anyhow::Result<u16> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let this = self.clone();
        let take = move |headers: HeaderMap, body: String| async move {
            let header = |name: &str| {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let signatures = header("webhook-signature");
            let got = Got {
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp"),
                signatures: signatures.split(' ').map(str::to_owned).collect(),
                body,
            };
            let mut all = this.got.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(got);
            let mut answers = this.answers.lock().unwrap_or_else(PoisonError::into_inner);
            StatusCode::from_u16(answers.pop_front().unwrap_or(204)).unwrap_or_default()
        };
        let app = axum::Router::new().route("/in/{token}", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(port)
    }

    fn got(&self) -> Vec<Got> {
        let all = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    fn answers(&self, statuses: &[u16]) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.extend(statuses);
    }
}

/// A stack that may call this machine, a receiver, and the URL of it.
async fn set() -> anyhow::Result<(Stack, Receiver, String)> {
    let receiver = Receiver::default();
    let port = receiver.start().await?;
    let stack = Stack::builder()
        .set("notify.http", true)
        .set("notify.ports", port)
        .set("notify.networks", "127.0.0.0/8")
        .start()
        .await?;
    let url = format!("http://127.0.0.1:{port}/in/s3cr3t");
    Ok((stack, receiver, url))
}

const LIST: &str = "/api/notifications/channels";

async fn deliveries(stack: &Stack, id: &Value) -> anyhow::Result<Vec<Value>> {
    let page = is(
        stack.client.get(&format!("{LIST}/{id}/deliveries")).await?,
        200,
    )?;
    Ok(page["deliveries"].as_array().cloned().unwrap_or_default())
}

/// What waits is due now.
async fn due_now(stack: &Stack) -> anyhow::Result<()> {
    let store = stack.service.store();
    let tx = store.begin().await?;
    for channel in tx.channels().await? {
        let query = tpm_store::DeliveryQuery {
            channel: channel.id,
            state: Some(tpm_domain::DeliveryState::Pending),
            limit: None,
            offset: 0,
        };
        for Delivery { id, claim, .. } in tx.deliveries(&query).await?.items {
            let outcome = Outcome {
                state: tpm_domain::DeliveryState::Pending,
                status: None,
                error: None,
                due_at: tx.now(),
            };
            tx.end_attempt(id, claim, &outcome).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_arrives_signed_and_in_the_channels_words() -> anyhow::Result<()> {
    let (stack, receiver, url) = set().await?;
    let client = &stack.client;
    let asked = json!({ "name": "ops", "url": url, "types": ["success"], "language": "en" });
    let made = is(client.post(LIST, &asked).await?, 201)?;
    let key = made["signing_key"].as_str().context("a key")?.to_owned();
    let text = json!({ "name": "chat", "url": url, "types": ["success"], "format": "text" });
    is(client.post(LIST, &text).await?, 201)?;

    let (_, id) = client.create("web-1", json!({})).await?;
    let worker = hand(&stack)?;
    worker.drain().await?;
    ensure!(worker.deliver().await? == 2);
    ensure!(worker.deliver().await? == 0, "once");
    let got = receiver.got();
    ensure!(got.len() == 2, "{got:?}");
    let event = got
        .iter()
        .find(|one| one.body.contains("\"event\""))
        .context("an event")?;
    ensure!(event.is_signed_by(&key)?);
    let body: Value = serde_json::from_str(&event.body)?;
    ensure!(
        body["event"] == "created" && body["type"] == "success",
        "{body}"
    );
    ensure!(
        body["server_id"] == id && body["server_name"] == "web-1",
        "{body}"
    );
    ensure!(body["message"] == "server web-1 was created", "{body}");
    ensure!(body["id"] == event.id.as_str(), "{body}");
    let chat = got
        .iter()
        .find(|one| one.id != event.id)
        .context("a text")?;
    ensure!(
        !chat.is_signed_by(&key)?,
        "each channel has a key of its own"
    );
    let told: Value = serde_json::from_str(&chat.body)?;
    ensure!(
        told == json!({ "text": "서버 web-1이 성공적으로 생성되었습니다" }),
        "{told}"
    );

    // What may be a secret is not told again.
    let one = is(
        client
            .get(&format!("{LIST}/{}", made["channel_id"]))
            .await?,
        200,
    )?;
    ensure!(
        one["delivered_at"].is_string() && one["pending"] == 0,
        "{one}"
    );
    let all = client.get(LIST).await?;
    let shown = all.body.to_string();
    ensure!(
        !shown.contains("s3cr3t") && !shown.contains(&key),
        "{shown}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_the_same_and_given_up_when_refused() -> anyhow::Result<()>
{
    let (stack, receiver, url) = set().await?;
    let client = &stack.client;
    let made = is(
        client
            .post(LIST, &json!({ "name": "ops", "url": url }))
            .await?,
        201,
    )?;
    let id = &made["channel_id"];
    let worker = hand(&stack)?;
    receiver.answers(&[503, 429, 200]);
    is(
        client
            .post(&format!("{LIST}/{id}/test"), &json!({}))
            .await?,
        202,
    )?;
    ensure!(worker.deliver().await? == 1);
    ensure!(worker.deliver().await? == 0, "not at once");
    let waits = deliveries(&stack, id).await?;
    ensure!(
        waits[0]["status"] == "pending" && waits[0]["error"] == "HTTP 503",
        "{waits:?}"
    );
    ensure!(waits[0]["next_attempt_at"].is_string() && waits[0]["attempts"] == 1);
    for _ in 0..2 {
        due_now(&stack).await?;
        ensure!(worker.deliver().await? == 1);
    }
    let got = receiver.got();
    ensure!(got.len() == 3);
    ensure!(
        got.iter()
            .all(|one| (&one.id, &one.body) == (&got[0].id, &got[0].body))
    );
    let ended = deliveries(&stack, id).await?;
    ensure!(
        ended[0]["status"] == "delivered" && ended[0]["error"].is_null(),
        "{ended:?}"
    );
    ensure!(ended[0]["http_status"] == 200 && ended[0]["ended_at"].is_string());

    receiver.answers(&[410]);
    is(
        client
            .post(&format!("{LIST}/{id}/test"), &json!({}))
            .await?,
        202,
    )?;
    worker.deliver().await?;
    let dead = deliveries(&stack, id).await?;
    ensure!(
        dead[0]["status"] == "dead" && dead[0]["error"] == "HTTP 410",
        "{dead:?}"
    );
    let one = is(client.get(&format!("{LIST}/{id}")).await?, 200)?;
    ensure!(one["dead"] == 1 && one["pending"] == 0, "{one}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_signs_beside_the_old_one() -> anyhow::Result<()> {
    let (stack, receiver, url) = set().await?;
    let client = &stack.client;
    let made = is(
        client
            .post(LIST, &json!({ "name": "ops", "url": url }))
            .await?,
        201,
    )?;
    let id = &made["channel_id"];
    let rotated = client
        .post(&format!("{LIST}/{id}/rotate"), &json!({}))
        .await?;
    let rotated = is(rotated, 200)?;
    let (old, new) = (&made["signing_key"], &rotated["signing_key"]);
    ensure!(old != new);
    is(
        client
            .post(&format!("{LIST}/{id}/test"), &json!({}))
            .await?,
        202,
    )?;
    hand(&stack)?.deliver().await?;
    let got = receiver.got();
    ensure!(got[0].signatures.len() == 2, "{got:?}");
    for key in [old, new] {
        ensure!(got[0].is_signed_by(key.as_str().context("a key")?)?);
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_channels_are_refused_whole_and_only_admins_have_them() -> anyhow::Result<()> {
    let (stack, _, url) = set().await?;
    let client = &stack.client;
    let wrong = json!({
        "name": "Ops!",
        "url": "https://[fd00::1]:99/x",
        "types": ["success", "loud"],
        "format": "xml",
        "enabled": "yes",
        "secret": 1,
    });
    let fields = refused(client.post(LIST, &wrong).await?, 400, "INVALID_REQUEST")?;
    let mut named: Vec<String> = fields["fields"]
        .as_array()
        .context("fields")?
        .iter()
        .map(|one| format!("{} {}", one["field"], one["code"]).replace('"', ""))
        .collect();
    named.sort();
    ensure!(
        named
            == [
                "enabled WRONG_TYPE",
                "format NOT_ALLOWED",
                "name INVALID_NAME",
                "secret UNKNOWN_FIELD",
                "types[1] NOT_ALLOWED",
                "url FORBIDDEN_URL",
            ],
        "{named:?}"
    );
    is(
        client
            .post(LIST, &json!({ "name": "ops", "url": url }))
            .await?,
        201,
    )?;
    let again = client
        .post(LIST, &json!({ "name": "ops", "url": url }))
        .await?;
    refused(again, 409, "NAME_TAKEN")?;
    let (_, operator) = key(
        client,
        json!({ "scopes": ["servers:*", "notifications:*"] }),
    )
    .await?;
    let asked = by_key(client.base(), &operator, Method::GET, LIST, None).await?;
    refused(asked, 403, "FORBIDDEN")?;
    // Removed, with what waits.
    is(
        client.post(&format!("{LIST}/1/test"), &json!({})).await?,
        202,
    )?;
    is(client.delete(&format!("{LIST}/1")).await?, 200)?;
    ensure!(hand(&stack)?.deliver().await? == 0);
    refused(client.get(&format!("{LIST}/1")).await?, 404, "NOT_FOUND")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_told_people_goes_nowhere() -> anyhow::Result<()> {
    let (stack, receiver, url) = set().await?;
    is(
        stack
            .client
            .post(LIST, &json!({ "name": "ops", "url": url }))
            .await?,
        201,
    )?;
    let tx = stack.service.store().begin().await?;
    for kind in [EventKind::CreateRequested, EventKind::DeleteRequested] {
        let event = tpm_domain::Event {
            kind,
            server: None,
            server_name: "web-1".into(),
            task: None,
        };
        tx.add_event(&event).await?;
    }
    tx.commit().await?;
    ensure!(hand(&stack)?.deliver().await? == 0);
    ensure!(receiver.got().is_empty());
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_asked_for_twice_is_made_once_and_gone_when_it_was_deleted() -> anyhow::Result<()>
{
    let (stack, _, url) = set().await?;
    let client = &stack.client;
    let make = async || {
        let body = json!({ "name": "ops", "url": url, "types": ["error"] });
        send(client, LIST, "once", &body).await
    };
    let made = is(make().await?, 201)?;
    ensure!(is(make().await?, 201)? == made);
    let one = format!("{LIST}/{}", made["channel_id"]);
    is(client.delete(&one).await?, 200)?;
    refused(make().await?, 404, "NOT_FOUND")?;
    let left = is(client.get(LIST).await?, 200)?;
    ensure!(left["total"] == 0, "{left:#}");
    stack.stop().await
}
