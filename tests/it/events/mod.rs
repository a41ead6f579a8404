//! Live events, over a real connection.

mod reader;

use crate::access::{by_key, key, person, project};
use crate::fleet::{is, refused, server};
use anyhow::{Context, ensure};
use reader::{Told, follow, follow_by};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tpm_app::{App, Ctx, LiveThing};
use tpm_domain::{Actor, Assignment, Event, EventKind, Role, UserId};
use tpm_test_support::{Client, Stack};

/// Creates a server and waits for its end.
async fn made(stack: &Stack, name: &str, more: Value) -> anyhow::Result<()> {
    let (task, _) = stack.client.create(name, more).await?;
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    Ok(())
}

fn is_created(told: &Told, name: &str) -> bool {
    told.kind == "notification"
        && told.data["event"] == "created"
        && told.data["message"]
            .as_str()
            .is_some_and(|text| text.contains(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_told_as_it_changes() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let mut events = follow(&stack.client, None).await?;
    let open = events.next().await?;
    ensure!(open.kind == "open", "{open:?}");
    made(&stack, "one", json!({})).await?;
    let all = events.until(|told| is_created(told, "one")).await?;
    let last = |kind: &str| all.iter().rfind(|told| told.kind == kind);
    let (task, server) = (
        last("task").context("a task")?,
        last("server").context("a server")?,
    );
    // What is told is what the lists say.
    let listed = is(stack.client.get("/api/servers").await?, 200)?;
    ensure!(server.data == listed["servers"][0], "{server:?} {listed:#}");
    let listed = is(stack.client.get("/api/tasks").await?, 200)?;
    ensure!(task.data == listed["tasks"][0], "{task:?} {listed:#}");
    let states: Vec<&Value> = all
        .iter()
        .filter(|told| told.kind == "task")
        .map(|told| &told.data["status"])
        .collect();
    ensure!(
        states.last().is_some_and(|it| **it == "completed"),
        "{states:?}"
    );
    // In the language of whoever reads.
    let english = stack.client.clone();
    let mut events = follow_by(english.http(), english.base(), None, Some("en")).await?;
    events.next().await?;
    stack.client.delete("/api/servers/1").await?;
    let told = events.until(|told| told.kind == "server_deleted").await?;
    let task = told
        .iter()
        .find(|told| told.kind == "task")
        .context("a task")?;
    let text = task.data["message"].as_str().context("a message")?;
    ensure!(text.is_ascii(), "{text}");
    stack.stop().await
}

/// Of two followers one stays and one goes away again and again, to one api and the other: both are told
/// the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_misses_nothing_and_hears_nothing_twice() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let other = stack.service.api().await?;
    let second = other.url().to_owned();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(other.serve(stop.clone()));
    let http = stack.client.http().clone();
    let bases = [stack.client.base().to_owned(), second];

    let mut steady = follow(&stack.client, None).await?;
    let begin = steady.next().await?;
    let restless = tokio::spawn(async move {
        let (mut at, mut seen) = (begin.id, Vec::new());
        for turn in 0.. {
            let base = &bases[turn % 2];
            let mut events = follow_by(&http, base, Some(&at), None).await?;
            let open = events.next().await?;
            ensure!(open.kind == "open" && open.id == at, "{open:?} at {at}");
            for _ in 0..=turn % 4 {
                let told = events.next().await?;
                at.clone_from(&told.id);
                let over = is_created(&told, "last");
                seen.push((told.id, told.kind));
                if over {
                    return Ok(seen);
                }
            }
        }
        Ok(seen)
    });
    let bulk = json!({ "servers": (1..=6).map(|n| server(&format!("s{n}"))).collect::<Vec<_>>() });
    let bulk = is(
        stack.client.post("/api/servers/bulk-create", &bulk).await?,
        201,
    )?;
    let task = bulk["task_id"].as_str().context("a task")?;
    stack.client.ended(task).await?;
    made(&stack, "last", json!({})).await?;
    let all = steady.until(|told| is_created(told, "last")).await?;
    let all: Vec<_> = all.into_iter().map(|told| (told.id, told.kind)).collect();
    let seen = restless.await??;
    ensure!(seen == all, "{} told, {} heard", all.len(), seen.len());
    let once: BTreeSet<_> = seen.iter().map(|(id, _)| id).collect();
    ensure!(once.len() == seen.len());
    stop.cancel();
    serving.await??;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_what_they_may_see() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    project(&stack, "shop").await?;
    let roles = json!([{ "role": "operator", "project": "shop" }]);
    let (_, theirs) = person(&stack, "shopkeeper", roles).await?;
    let body = json!({ "name": "looker", "permissions": ["servers:read"] });
    is(stack.client.post("/api/roles", &body).await?, 201)?;
    let (_, looker) = person(&stack, "looker", json!(["looker"])).await?;
    let mut shop = follow(&theirs, None).await?;
    let mut looked = follow(&looker, None).await?;
    let mut everything = follow(&stack.client, None).await?;

    made(&stack, "foreign", json!({})).await?;
    made(&stack, "own", json!({ "project": "shop" })).await?;
    let all = everything.until(|told| is_created(told, "own")).await?;
    let own = shop.until(|told| is_created(told, "own")).await?;
    let about = |told: &Told, name: &str| told.data.to_string().contains(name);
    ensure!(all.iter().any(|told| about(told, "foreign")));
    ensure!(!own.iter().any(|told| about(told, "foreign")), "{own:?}");
    for kind in ["server", "task", "notification"] {
        ensure!(
            own.iter().any(|told| told.kind == kind),
            "no {kind}: {own:?}"
        );
    }
    // Who may read servers alone is told of nothing else.
    let running = |told: &Told| told.data["name"] == "own" && told.data["status"] == "running";
    let servers = looked.until(running).await?;
    ensure!(
        servers
            .iter()
            .all(|told| matches!(told.kind.as_str(), "open" | "server")),
        "{servers:?}"
    );

    // Who may read none of it, and nobody.
    let body = json!({ "name": "auditor", "permissions": ["audit:read"] });
    is(stack.client.post("/api/roles", &body).await?, 201)?;
    let (_, auditor) = person(&stack, "auditor", json!(["auditor"])).await?;
    refused(auditor.get("/api/events").await?, 403, "FORBIDDEN")?;
    let nobody = Client::new(stack.client.base())?;
    refused(nobody.get("/api/events").await?, 401, "UNAUTHENTICATED")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_with_the_right_to() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, disabled) = person(&stack, "disabled", json!(["viewer"])).await?;
    let (_, leaver) = person(&stack, "leaver", json!(["viewer"])).await?;
    let (key_id, text) = key(&stack.client, json!({})).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut followers = vec![
        follow(&disabled, None).await?,
        follow(&leaver, None).await?,
        reader::follow_with_key(&http, stack.client.base(), &text).await?,
    ];
    let mut stays = follow(&stack.client, None).await?;
    for follower in followers.iter_mut().chain([&mut stays]) {
        follower.next().await?;
    }
    let path = format!("/api/users/{id}");
    is(
        stack
            .client
            .patch(&path, &json!({ "disabled": true }))
            .await?,
        200,
    )?;
    is(leaver.post("/api/auth/logout", &json!({})).await?, 200)?;
    is(
        stack
            .client
            .delete(&format!("/api/auth/keys/{key_id}"))
            .await?,
        200,
    )?;
    let since = Instant::now();
    for follower in &mut followers {
        follower.end().await?;
    }
    // The product's promise, not the machine's speed: the look at it is every ten seconds.
    ensure!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
    let body = json!({ "name": "still-told" });
    is(stack.client.post("/api/projects", &body).await?, 201)?;
    stays.heartbeat().await?;
    let by = by_key(stack.client.base(), &text, Method::GET, "/api/events", None).await?;
    refused(by, 401, "UNAUTHENTICATED")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_none_are_told() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let wrong = stack
        .client
        .get("/api/events?last_event_id=yesterday")
        .await?;
    let wrong = refused(wrong, 400, "INVALID_REQUEST")?;
    ensure!(wrong["field"] == "last_event_id", "{wrong:#}");
    // Of another database, or from a time that is over: look at everything anew, and go on from now.
    let mut events = follow(&stack.client, Some("0-999999")).await?;
    ensure!(events.next().await?.kind == "open");
    let resync = events.next().await?;
    ensure!(
        resync.kind == "resync" && resync.id != "0-999999",
        "{resync:?}"
    );
    stack.client.create("one", json!({})).await?;
    let told = events.next().await?;
    ensure!(matches!(told.kind.as_str(), "server" | "task"), "{told:?}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaves_ends_them_at_once() -> anyhow::Result<()> {
    let stack = Stack::builder().set("API__DRAIN_SECS", 3).start().await?;
    let api = stack.service.api().await?;
    let base = api.url().to_owned();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    let mut events = follow_by(stack.client.http(), &base, None, None).await?;
    events.next().await?;
    stop.cancel();
    events.end().await?;
    ensure!(!serving.is_finished(), "it ends before the process does");
    serving.await??;
    stack.stop().await
}

fn everything() -> Ctx {
    let role = Assignment {
        role: Role::ADMIN.to_owned(),
        project: None,
    };
    Ctx::new(Actor::new(
        UserId(1),
        "admin".into(),
        &[role],
        &Role::built_in(),
    ))
}

async fn told(app: &App, count: usize) -> anyhow::Result<()> {
    let store = &app.parts().store;
    let tx = store.begin().await?;
    for n in 0..count {
        tx.add_event(&Event {
            kind: EventKind::Created,
            server: None,
            server_name: format!("n{n}"),
            task: None,
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// One that does not read is told to look at everything anew; one that does misses nothing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_follower_holds_up_nobody() -> anyhow::Result<()> {
    const MANY: usize = 6000;
    let stack = Stack::builder().start().await?;
    let app = stack.service.app()?;
    let running = tokio::spawn({
        let app = app.clone();
        async move { app.run_live().await }
    });
    let mut slow = app.follow(&everything(), None).await?;
    let mut quick = app.follow(&everything(), None).await?;
    let reading = tokio::spawn(async move {
        for n in 0..MANY {
            let event = quick.next().await?;
            ensure!(
                matches!(event.thing, LiveThing::Notification(_)),
                "{n}: {event:?}"
            );
        }
        Ok(())
    });
    told(&app, MANY).await?;
    reading.await??;
    let event = slow.next().await?;
    ensure!(matches!(event.thing, LiveThing::Resync), "{event:?}");
    told(&app, 1).await?;
    let event = slow.next().await?;
    ensure!(
        matches!(event.thing, LiveThing::Notification(_)),
        "{event:?}"
    );
    running.abort();
    stack.stop().await
}
