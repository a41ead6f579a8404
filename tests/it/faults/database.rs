//! The database cut off, locked or full: nothing is lost or half done, and things go on by themselves.

use super::world::{as_asked, ask, ask_create, is_whole, kind, operations, prepare_alone, quick};
use super::{ACTS, Act};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tpm_jobs::{Point, PointHook, PointKind, Verdict};
use tpm_provisioner::Operation;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_store::Store;
use tpm_test_support::{Client, Database, PASSWORD, Postgres, Stack};

/// Cuts every connection to the database, once, at a moment of a step.
struct CutAt {
    place: (&'static str, &'static str, PointKind),
    postgres: Arc<Postgres>,
    cut: AtomicBool,
}

#[async_trait]
impl PointHook for CutAt {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        let here = (point.task_kind, point.step, point.kind) == self.place;
        if here && !self.cut.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| self.postgres.cut_connections()).expect("cutting");
        }
        Verdict::Continue
    }
}

async fn cut_off(
    postgres: &Arc<Postgres>,
    operation: Operation,
    step: &'static str,
    at: PointKind,
) -> anyhow::Result<()> {
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let mut stack = quick().database(Database::Url(url)).start().await?;
    let (task, subject) = if operation == Operation::Create {
        ask_create(&stack).await?
    } else {
        let subject = prepare_alone(&stack, operation).await?;
        (ask(&stack, operation, &subject).await?, subject)
    };
    let place = (kind(operation), step, at);
    let hook = Arc::new(CutAt {
        place,
        postgres: Arc::clone(postgres),
        cut: AtomicBool::new(false),
    });
    stack.start_worker_with(hook.clone())?;
    let ended = ended_through_cuts(&stack, &task).await?;
    ensure!(hook.cut.load(Ordering::SeqCst), "never came to {place:?}");
    ensure!(ended["status"] == "completed", "{ended:#}");
    as_asked(&stack, operation, &subject).await?;
    stack.stop().await
}

/// Waits for a task's end, through answers that say that the database is away.
async fn ended_through_cuts(stack: &Stack, task: &str) -> anyhow::Result<serde_json::Value> {
    loop {
        let reply = stack.client.get(&format!("/api/tasks/{task}")).await?;
        if reply.status == 503 {
            ensure!(reply.headers.contains_key("retry-after"), "{}", reply.body);
            continue;
        }
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        if !matches!(reply.body["status"].as_str(), Some("pending" | "running")) {
            return Ok(reply.body);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// PostgreSQL drops all connections between any two parts of any step.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_cut_off_at_any_step_costs_nothing() -> anyhow::Result<()> {
    let postgres = match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => Arc::new(postgres),
        Err(missing) => {
            tpm_test_support::say(&format!("skipped: {missing}"));
            return Ok(());
        }
    };
    for Act {
        operation, step, ..
    } in ACTS
    {
        for at in [PointKind::BeforeAct, PointKind::AfterAct] {
            cut_off(&postgres, operation, step, at)
                .await
                .with_context(|| format!("{operation:?}/{step}/{}", at.as_str()))?;
        }
    }
    for operation in operations() {
        cut_off(&postgres, operation, "finish", PointKind::BeforeFinish)
            .await
            .with_context(|| format!("{operation:?}/finish"))?;
    }
    Ok(())
}

/// A database that goes away between a worker's start and its first look for work is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_database_that_went_away() -> anyhow::Result<()> {
    let mut postgres = match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => postgres,
        Err(missing) => {
            tpm_test_support::say(&format!("skipped: {missing}"));
            return Ok(());
        }
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let stack = quick().database(Database::Url(url)).start().await?;
    let (task, subject) = ask_create(&stack).await?;
    let worker = stack.worker_with(Arc::new(tpm_jobs::NoFaults))?;
    tokio::task::block_in_place(|| postgres.kill())?;
    let stop = tokio_util::sync::CancellationToken::new();
    let mut running = tokio::spawn(worker.run(stop.clone()));
    // Away for longer than anybody waits for a connection.
    let ended = tokio::time::timeout(Duration::from_secs(4), &mut running).await;
    ensure!(ended.is_err(), "the worker ended: {ended:?}");
    tokio::task::block_in_place(|| postgres.start_again())?;
    let ended = ended_through_cuts(&stack, &task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    is_whole(&stack, &subject, "running").await?;
    stop.cancel();
    running.await??;
    stack.stop().await
}

/// The whole matrix of kills and takeovers stands on SQLite; here the main job, a takeover and a bulk on
/// PostgreSQL with several workers.
#[tokio::test(flavor = "multi_thread")]
async fn several_workers_on_postgresql() -> anyhow::Result<()> {
    let postgres = match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => postgres,
        Err(missing) => {
            tpm_test_support::say(&format!("skipped: {missing}"));
            return Ok(());
        }
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let mut stack = quick()
        .database(Database::Url(url))
        .set("PROXMOX__MAX_CLONES", 4)
        .start()
        .await?;
    for _ in 0..3 {
        stack.start_worker()?;
    }
    let servers: Vec<_> = (1..=30)
        .map(|n| json!({ "name": format!("p{n}"), "role": "db", "cpu": 1, "memory": 512, "disk_size": 10 }))
        .collect();
    let reply = stack
        .client
        .post("/api/servers/bulk-create", &json!({ "servers": servers }))
        .await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let task = stack
        .client
        .ended(reply.body["task_id"].as_str().context("task")?)
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let clones = super::world::effects(&stack, "clone");
    let distinct: std::collections::BTreeSet<_> = clones.iter().collect();
    ensure!(clones.len() == 30 && distinct.len() == 30, "{clones:?}");
    ensure!(stack.simulator.counters().highest_clones <= 4);
    stack.stop().await
}

/// Another process holds SQLite's write lock: writes are told to come back, reads go on, and nothing is
/// half there.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_waited_for_then_told() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let other = tpm_store_seaorm::SeaStore::open(&format!(
        "sqlite://{}",
        stack.dir.path().join("manager.db").display()
    ))
    .await?;
    let holding = other.begin().await?;
    let body = json!({ "name": "x1", "role": "web", "cpu": 2, "memory": 2048, "disk_size": 20 });
    let reply = stack.client.post("/api/servers/create", &body).await?;
    ensure!(reply.status == 503, "{} {}", reply.status, reply.body);
    ensure!(reply.headers.contains_key("retry-after"));
    let list = stack.client.get("/api/servers").await?;
    ensure!(
        list.status == 200 && list.body["total"] == 0,
        "{} {}",
        list.status,
        list.body
    );
    drop(holding);
    stack.start_worker()?;
    let (task, subject) = ask_create(&stack).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    is_whole(&stack, &subject, "running").await?;
    stack.stop().await
}

/// A small file system that is not the machine's; unmounted when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, for a user that may not mount; an error on CI.
    pub(crate) fn mount() -> anyhow::Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Ok(Some(Self(dir)));
        }
        ensure!(
            !std::env::var("CI").is_ok_and(|ci| ci == "true"),
            "CI may not skip it: cannot mount a tmpfs"
        );
        tpm_test_support::say("skipped: this user cannot mount a tmpfs");
        Ok(None)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let fill = Command::new("dd")
            .args(["if=/dev/zero", "bs=4096"])
            .arg(format!("of={}", self.path().join("filler").display()))
            .output()?;
        ensure!(!fill.status.success(), "the disk did not fill up");
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.path().join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .output()
            .ok();
    }
}

/// The disk under the database is full: 507, reads go on, a task in the middle waits; when there is
/// room again everything goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_heals() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount()? else {
        return Ok(());
    };
    let url = format!("sqlite://{}", disk.path().join("m.db").display());
    let mut stack = quick().database(Database::Url(url.clone())).start().await?;
    stack.start_worker()?;
    // Who was here two minutes ago: that it is here again would be written down with the next request.
    let reader = Client::new(stack.client.base())?;
    reader.login(PASSWORD).await?;
    let db = sea_orm::Database::connect(&url).await?;
    let sql = "UPDATE sessions SET last_seen_ms = last_seen_ms - 120000
               WHERE last_seen_ms = (SELECT MAX(last_seen_ms) FROM sessions)";
    db.execute_unprepared(sql).await?;
    db.close().await?;
    // In the middle of its clone when the disk fills up.
    let hold = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let held = Fault::once("POST", "/nodes/*/qemu/*/clone", hold);
    let held = stack.simulator.faults().inject(held);
    let (first, subject) = ask_create(&stack).await?;
    stack.simulator.faults().wait_until_held(held).await;
    disk.fill()?;
    stack.simulator.faults().release(held);
    let mut refused = 0;
    for n in 0..40 {
        let body = json!({ "name": format!("f{n}"), "role": "web", "cpu": 2, "memory": 2048, "disk_size": 20 });
        let reply = stack.client.post("/api/servers/create", &body).await?;
        ensure!(
            matches!(reply.status, 201 | 507),
            "{} {}",
            reply.status,
            reply.body
        );
        if reply.status == 507 {
            ensure!(reply.headers.contains_key("retry-after"), "{}", reply.body);
            refused += 1;
        }
        ensure!(
            stack.client.get("/api/servers").await?.status == 200,
            "reads stopped"
        );
    }
    ensure!(refused > 0, "the disk never filled up");
    let read = reader.get("/api/servers").await?;
    ensure!(read.status == 200, "{} {}", read.status, read.body);
    disk.clear()?;
    let task = stack.client.ended(&first).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.client.server(subject.id).await?["status"] == "running");
    let (task, _) = stack.client.create("after", json!({})).await?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    stack.stop().await
}
