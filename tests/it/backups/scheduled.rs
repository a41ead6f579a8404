//! Schedules as people have them, and a whole fleet that is due at once.

use super::{done, quick, refused, with_server};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tpm_domain::{ScheduleId, Timestamp};
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_store::Store as _;
use tpm_test_support::Stack;

const LIST: &str = "/api/backups/schedules";

fn nightly() -> Value {
    json!({
        "name": "nightly",
        "calendar": "0 2 * * *",
        "time_zone": "Asia/Seoul",
        "target": { "all": true },
    })
}

/// A schedule; the path of it.
pub(super) async fn made(stack: &Stack, more: Value) -> anyhow::Result<String> {
    let mut body = nightly();
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    let reply = stack.client.post(LIST, &body).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    Ok(format!("{LIST}/{}", reply.body["schedule_id"]))
}

/// Its last run, once that is over.
pub(super) async fn run_over(stack: &Stack, path: &str) -> anyhow::Result<Value> {
    loop {
        let run = stack.client.get(path).await?.body["last_run"].clone();
        if run["status"] == "done" || run["status"] == "missed" {
            return Ok(run);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs it now, to its end.
pub(super) async fn run_now(stack: &Stack, path: &str) -> anyhow::Result<Value> {
    let reply = stack
        .client
        .post(&format!("{path}/run"), &json!({}))
        .await?;
    ensure!(reply.status == 202, "{} {}", reply.status, reply.body);
    let run = run_over(stack, path).await?;
    ensure!(run["id"] == reply.body["run_id"], "{run:#}");
    Ok(run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_seen_changed_run_and_removed() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick().set("WORKER__LOOK_MS", 200)).await?;
    let path = made(
        &stack,
        json!({ "max_per_node": 2, "retention": { "keep_last": 2 } }),
    )
    .await?;
    let seen = stack.client.get(&path).await?.body;
    ensure!(
        seen["target"] == json!({ "all": true }) && seen["last_run"].is_null(),
        "{seen:#}"
    );
    ensure!(seen["retention"]["keep_last"] == 2 && seen["retention"]["keep_daily"] == 0);
    let next: Vec<&str> = seen["next_runs"]
        .as_array()
        .context("next_runs")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    ensure!(
        next.len() == 5 && next.iter().all(|at| at.ends_with("T17:00:00Z")),
        "{next:?}"
    );
    ensure!(next.windows(2).all(|pair| pair[0] < pair[1]), "{next:?}");
    let twice = stack.client.post(LIST, &nightly()).await?;
    refused(&twice, 409, "NAME_TAKEN")?;

    let run = run_now(&stack, &path).await?;
    ensure!(
        run["servers"]["completed"] == 1 && run["asked_for"] == true,
        "{run:#}"
    );
    let list = stack.client.get("/api/backups").await?.body;
    let backup = &list["backups"][0];
    ensure!(
        backup["origin"] == "schedule" && backup["schedule_id"] == seen["id"],
        "{backup:#}"
    );
    ensure!(backup["server_id"] == id && stack.simulator.archives(vmid).len() == 1);

    // Not followed, it is not due; it can be run all the same.
    let off = json!({ "enabled": false, "target": { "tag": "nowhere" }, "window_minutes": 5 });
    let reply = stack.client.patch(&path, &off).await?;
    ensure!(reply.status == 200, "{}", reply.body);
    let seen = stack.client.get(&path).await?.body;
    ensure!(
        seen["next_runs"] == json!([]) && seen["window_minutes"] == 5,
        "{seen:#}"
    );
    ensure!(
        seen["max_per_node"] == 2,
        "what is not said stays: {seen:#}"
    );
    let run = run_now(&stack, &path).await?;
    ensure!(run["servers"]["completed"] == 0, "{run:#}");
    let reply = stack
        .client
        .patch(&path, &json!({ "window_minutes": null }))
        .await?;
    ensure!(reply.status == 200, "{}", reply.body);
    ensure!(stack.client.get(&path).await?.body["window_minutes"].is_null());

    let gone = stack.client.delete(&path).await?;
    ensure!(gone.status == 200, "{}", gone.body);
    refused(&stack.client.get(&path).await?, 404, "NOT_FOUND")?;
    let list = stack.client.get("/api/backups").await?.body;
    ensure!(
        list["total"] == 1 && list["backups"][0]["schedule_id"].is_null(),
        "{list:#}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_a_schedule_is_told_at_once() -> anyhow::Result<()> {
    let stack = quick().start().await?;
    let body = json!({
        "name": "No Name", "calendar": "0 0 30 2 *", "time_zone": "Asia/Nowhere", "mode": "nap",
        "storage": "../etc", "jitter_seconds": -1, "window_minutes": 0, "max_per_node": 101, "project_id": 999,
        "target": { "role": "nobody", "tag": "x" }, "retention": { "keep_last": -1, "keep_soon": 1 },
    });
    let reply = stack.client.post(LIST, &body).await?;
    refused(&reply, 400, "INVALID_REQUEST")?;
    let fields = reply.body["error"]["details"]["fields"]
        .as_array()
        .context("fields")?;
    let told: BTreeMap<&str, &str> = fields
        .iter()
        .filter_map(|one| Some((one["field"].as_str()?, one["code"].as_str()?)))
        .collect();
    let wanted: BTreeMap<&str, &str> = [
        ("name", "INVALID_NAME"),
        ("calendar", "INVALID_CALENDAR"),
        ("time_zone", "NO_SUCH"),
        ("mode", "NOT_ALLOWED"),
        ("storage", "NO_SUCH"),
        ("jitter_seconds", "OUT_OF_RANGE"),
        ("window_minutes", "OUT_OF_RANGE"),
        ("max_per_node", "OUT_OF_RANGE"),
        ("project_id", "NO_SUCH"),
        ("target.role", "NOT_ALLOWED"),
        ("target.tag", "EXCLUDES"),
        ("retention.keep_last", "OUT_OF_RANGE"),
        ("retention.keep_soon", "UNKNOWN_FIELD"),
    ]
    .into();
    ensure!(told == wanted, "{told:#?}");
    for (target, field) in [
        (json!({}), "target"),
        (json!({ "server_ids": [] }), "target.server_ids"),
        (json!({ "server_ids": [7] }), "target.server_ids[0]"),
    ] {
        let mut body = nightly();
        body["target"] = target;
        let reply = stack.client.post(LIST, &body).await?;
        refused(&reply, 400, "INVALID_REQUEST")?;
        ensure!(
            reply.body["error"]["details"]["field"] == field,
            "{}",
            reply.body
        );
    }
    stack.stop().await
}

/// As if it had been due for so long.
async fn due_since(stack: &Stack, path: &str, ago: Duration) -> anyhow::Result<()> {
    let id: i64 = path.rsplit('/').next().unwrap_or_default().parse()?;
    let tx = stack.service.store().begin().await?;
    let mut schedule = tx.schedule(ScheduleId(id)).await?.context("schedule")?;
    let ago = i64::try_from(ago.as_millis())?;
    schedule.next_at = Some(Timestamp(tx.now().0 - ago));
    tx.save_schedule(&schedule).await?;
    tx.commit().await.map_err(Into::into)
}

/// Three hundred servers on three nodes: no limit is passed, all are done, and none overtakes what is far before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_is_due_at_once_is_backed_up_within_the_limits() -> anyhow::Result<()> {
    const COUNT: usize = 300;
    const PER_NODE: usize = 2;
    const PER_STORAGE: usize = 5;
    let mut stack = quick()
        .set("PROXMOX__CPU_OVERCOMMIT_PERCENT", 1000)
        .set("NETWORK__POOL", "10.0.0.10-10.0.3.250")
        .set("NETWORK__PREFIX", 22)
        .set("NETWORK__GATEWAY", "10.0.0.1")
        .set("BACKUPS__MAX_PER_NODE", 4)
        .set("BACKUPS__MAX_PER_STORAGE", 20)
        .start()
        .await?;
    stack.start_worker()?;
    let server = |n: usize| json!({ "name": format!("n{n}"), "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    for part in 0..COUNT / 100 {
        let servers: Vec<Value> = (part * 100..(part + 1) * 100).map(server).collect();
        let body = json!({ "servers": servers });
        let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
        let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
        ensure!(task["status"] == "completed", "{}", task["summary"]);
    }
    stack.simulator.reset_counters();
    let bounds =
        json!({ "max_per_node": PER_NODE, "max_per_storage": PER_STORAGE, "storage": "backup" });
    let path = made(&stack, bounds).await?;
    // None ends until as many run as may.
    let kind = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let fault = Fault {
        times: 0,
        ..Fault::once("POST", "/nodes/*/vzdump", kind)
    };
    let gate = stack.simulator.faults().inject(fault);
    due_since(&stack, &path, Duration::from_secs(1)).await?;
    loop {
        let run = stack.client.get(&path).await?.body["last_run"].clone();
        let highest = stack.simulator.counters().highest_backups;
        let running = highest.get("backup").copied().unwrap_or_default();
        if run["servers"]["started"] == PER_STORAGE && running == PER_STORAGE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stack.simulator.faults().release(gate);
    let run = run_over(&stack, &path).await?;
    ensure!(run["servers"]["completed"] == COUNT, "{run:#}");

    let counters = stack.simulator.counters();
    ensure!(counters.tasks["vzdump"] == COUNT as u64, "{counters:?}");
    let highest = &counters.highest_backups;
    for node in ["pve1", "pve2", "pve3"] {
        let most = highest.get(node).copied().unwrap_or_default();
        ensure!(most <= PER_NODE, "{node}: {highest:?}");
    }
    ensure!(highest["backup"] == PER_STORAGE, "{highest:?}");
    // On each node in the order of the queue, but for those that run together.
    let mut order: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for effect in stack.simulator.effects() {
        if effect.kind == "backup" {
            order.entry(effect.node).or_default().push(effect.vmid);
        }
    }
    ensure!(order.len() == 3, "{order:?}");
    for (node, begun) in &order {
        let mut queue = begun.clone();
        queue.sort_unstable();
        queue.dedup();
        ensure!(
            queue.len() == begun.len(),
            "{node}: one was backed up twice"
        );
        for (at, vmid) in begun.iter().enumerate() {
            let place = queue.iter().position(|one| one == vmid).context("place")?;
            ensure!(
                at.abs_diff(place) <= 2 * PER_NODE,
                "{node}: {vmid} is at {at}, was {place}"
            );
        }
    }
    stack.stop().await
}

/// A server that somebody works on is not backed up meanwhile, and is once it is free.
#[tokio::test(flavor = "multi_thread")]
async fn never_two_tasks_of_one_server() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick().set("WORKER__LOOK_MS", 200)).await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.set_option(vmid, "lock", Some("snapshot")))?;
    let reply = super::ask(&stack, id, json!({})).await?;
    let task = stack.client.task_of(&reply)?;
    let path = made(&stack, json!({})).await?;
    let other = made(&stack, json!({ "name": "other" })).await?;
    for path in [&path, &other] {
        due_since(&stack, path, Duration::from_secs(1)).await?;
    }
    loop {
        let run = stack.client.get(&path).await?.body["last_run"].clone();
        if !run.is_null() {
            ensure!(run["servers"]["waiting"] == 1, "{run:#}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done(behind.set_option(vmid, "lock", None))?;
    stack.client.ended(&task).await?;
    for path in [&path, &other] {
        let run = run_over(&stack, path).await?;
        ensure!(run["servers"]["completed"] == 1, "{run:#}");
    }
    ensure!(stack.simulator.archives(vmid).len() == 3);
    ensure!(stack.simulator.counters().highest_backups["pve1"] == 1);
    stack.stop().await
}

/// One that fails is told with its run, and the others are made.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_what_failed() -> anyhow::Result<()> {
    let (stack, _, _) = with_server(quick().set("WORKER__LOOK_MS", 200)).await?;
    super::server(&stack, "web-server-02").await?;
    let kind = FaultKind::TaskFails {
        text: "no room".into(),
    };
    let fault = Fault::once("POST", "/nodes/*/vzdump", kind);
    stack.simulator.faults().inject(fault);
    let path = made(&stack, json!({})).await?;
    let run = run_now(&stack, &path).await?;
    ensure!(
        run["servers"]["failed"] == 1 && run["servers"]["completed"] == 1,
        "{run:#}"
    );
    stack.stop().await
}
