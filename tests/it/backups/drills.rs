//! Restore drills: a backup tried in a guest that nobody can reach, with what was seen kept, and nothing left.

use super::{backed_up, done, make_drill_network, one, quick, refused, server, with_server};
use crate::faults::world::{effects, marked};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tpm_jobs::NoFaults;
use tpm_pve_simulator::{Fault, FaultKind, GuestScript};
use tpm_test_support::{Reply, Stack, StackBuilder};

/// A stack whose token may run commands in guests.
fn trusted(builder: StackBuilder) -> StackBuilder {
    builder.simulator(|config| {
        for role in &mut config.roles {
            role.privs.push_str(",VM.GuestAgent.Unrestricted");
        }
    })
}

/// An installation with a server, a backup of it, and the network for drills.
async fn with_backup() -> anyhow::Result<(Stack, i64, u32, Value)> {
    let (stack, id, vmid) = with_server(trusted(quick())).await?;
    make_drill_network(&stack).await?;
    let backup = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    Ok((stack, id, vmid, backup))
}

/// The same with short leases and, by now, without a worker.
pub(super) async fn alone_with_backup() -> anyhow::Result<(Stack, u32, Value)> {
    let stack = trusted(crate::faults::world::quick()).start().await?;
    make_drill_network(&stack).await?;
    let stop = CancellationToken::new();
    let worker = stack.worker_with(Arc::new(NoFaults))?;
    let running = tokio::spawn(worker.run(stop.clone()));
    let (id, vmid) = server(&stack, "web-server-01").await?;
    let backup = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    stop.cancel();
    running.await??;
    Ok((stack, vmid, backup))
}

pub(super) async fn ask(stack: &Stack, backup: &Value, body: Value) -> anyhow::Result<Reply> {
    let backup = backup["backup_id"].as_str().context("backup_id")?;
    let path = format!("/api/backups/{backup}/drill");
    stack.client.post(&path, &body).await
}

/// A drill that has ended: its task, and itself.
async fn drilled(stack: &Stack, backup: &Value, body: Value) -> anyhow::Result<(Value, Value)> {
    let reply = ask(stack, backup, body).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    let drill = reply.body["drill_id"].as_str().context("drill_id")?;
    let path = format!("/api/backups/drills/{drill}");
    let drill = stack.client.get(&path).await?;
    ensure!(drill.status == 200, "{} {}", drill.status, drill.body);
    Ok((task, drill.body))
}

async fn task_now(stack: &Stack, task: &str) -> anyhow::Result<Value> {
    Ok(stack.client.get(&format!("/api/tasks/{task}")).await?.body)
}

fn is_over(task: &Value) -> bool {
    !matches!(task["status"].as_str(), Some("pending" | "running"))
}

/// Only the server itself is there, as it was.
fn nothing_is_left(stack: &Stack, vmid: u32) -> anyhow::Result<()> {
    let all: Vec<u32> = marked(stack).iter().map(|guest| guest.vmid).collect();
    ensure!(all == [vmid], "{all:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_comes_up_is_proved_and_nothing_is_left() -> anyhow::Result<()> {
    let (stack, id, vmid, backup) = with_backup().await?;
    let before = stack.simulator.guest(vmid).context("no guest")?;
    // What a guest has of its host, and what would keep it or start it, is in the archive too.
    let behind = stack.simulator.behind_the_back();
    for (option, value) in [
        ("usb0", "spice"),
        ("onboot", "1"),
        ("net5", "virtio=BC:24:11:00:00:55,bridge=vmbr0"),
    ] {
        done(behind.set_option(vmid, option, Some(value)))?;
    }
    let archive = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    for option in ["usb0", "onboot", "net5"] {
        done(behind.set_option(vmid, option, None))?;
    }
    let body = json!({ "command": ["/usr/bin/systemctl", "is-system-running"] });
    let reply = ask(&stack, &archive, body).await?;
    let guest = reply.body["server_id"].as_i64().context("server_id")?;
    let made = stack.client.server(guest).await?;
    let number = u32::try_from(made["vmid"].as_u64().context("vmid")?)?;
    let mut seen = None;
    let ended = loop {
        if let Some(there) = stack.simulator.guest(number)
            && there.status == "running"
        {
            seen = Some(there);
        }
        let task = task_now(&stack, &stack.client.task_of(&reply)?).await?;
        if is_over(&task) {
            break task;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    ensure!(ended["status"] == "completed", "{ended:#}");
    let there = seen.context("it never ran")?;
    let option = |key: &str| there.config.get(key).cloned().unwrap_or_default();
    ensure!(option("net0").contains("bridge=vmbr1"), "{there:#?}");
    ensure!(option("ipconfig0").contains("ip=198.18."), "{there:#?}");
    ensure!(
        option("net5").is_empty() && option("usb0").is_empty(),
        "{there:#?}"
    );
    ensure!(matches!(&*option("onboot"), "" | "0"), "{there:#?}");
    let mac = |net: &str| net.split(',').next().unwrap_or_default().to_owned();
    ensure!(mac(&option("net0")) != mac(&before.config["net0"]));
    nothing_is_left(&stack, vmid)?;

    let path = format!("/api/backups/drills?server_id={id}");
    let list = stack.client.get(&path).await?;
    ensure!(list.body["total"] == 1, "{}", list.body);
    let drill = &list.body["drills"][0];
    ensure!(
        drill["status"] == "passed" && drill["goal"] == "address",
        "{drill:#}"
    );
    let name = drill["drill_id"].as_str().context("drill_id")?;
    let whole = stack
        .client
        .get(&format!("/api/backups/drills/{name}"))
        .await?;
    let text = whole.body["evidence_text"].as_str().context("evidence")?;
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    ensure!(whole.body["digest"] == *digest, "{}", whole.body);
    let steps = whole.body["evidence"]["steps"]
        .as_array()
        .context("steps")?;
    let names: Vec<_> = steps
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect();
    ensure!(
        names
            == [
                "isolate",
                "restore",
                "configure",
                "start",
                "agent",
                "address",
                "command"
            ],
        "{names:?}"
    );
    let seen = |step: usize| &steps[step]["seen"];
    ensure!(seen(0)["bridges"][0]["bridge"] == "vmbr1", "{}", seen(0));
    ensure!(
        seen(1)["log"].as_array().is_some_and(|log| !log.is_empty()),
        "{}",
        seen(1)
    );
    ensure!(seen(6)["exit_code"] == 0, "{}", seen(6));
    ensure!(
        steps.iter().all(|step| step["finished_at_ms"].is_i64()),
        "{steps:#?}"
    );

    let archive = one(&stack, archive["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(archive["verified_by"] == "drill" && archive["verified_at"].is_string());
    let other = one(&stack, backup["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(other["verified_by"].is_null(), "{other:#}");
    // Neither the number nor the server is there any more, and the origin was not touched.
    let gone = stack.client.get(&format!("/api/servers/{guest}")).await?;
    ensure!(gone.status == 404, "{}", gone.body);
    let shown = stack.client.server(id).await?;
    ensure!(
        shown["status"] == "running" && shown["drift"] == json!([]),
        "{shown:#}"
    );
    let told = stack
        .client
        .get("/api/notifications")
        .await?
        .body
        .to_string();
    ensure!(told.contains("복원 훈련을 통과했습니다"), "{told}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_fails_says_why_and_leaves_nothing() -> anyhow::Result<()> {
    let (stack, id, vmid, backup) = with_backup().await?;
    // The command fails: the guest that is made has the server's scripts.
    let script = GuestScript {
        part: "pg_isready".into(),
        exit_code: 2,
        ..GuestScript::default()
    };
    stack.simulator.behind_the_back().script_all(script);
    let (task, drill) = drilled(&stack, &backup, json!({ "command": ["pg_isready"] })).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    ensure!(
        drill["status"] == "failed" && drill["cleared_at"].is_string(),
        "{drill:#}"
    );
    let why = drill["error"].as_str().unwrap_or_default();
    ensure!(why.contains("ended with 2"), "{why}");
    nothing_is_left(&stack, vmid)?;
    // A restore that Proxmox VE gives up.
    let text = "restore failed: unable to read archive";
    let fault = Fault::once(
        "POST",
        "/nodes/*/qemu",
        FaultKind::TaskFails { text: text.into() },
    );
    stack.simulator.faults().inject(fault);
    let (task, drill) = drilled(&stack, &backup, json!({})).await?;
    ensure!(
        task["status"] == "failed" && drill["status"] == "failed",
        "{task:#}"
    );
    ensure!(
        drill["error"]
            .as_str()
            .is_some_and(|why| why.contains(text)),
        "{drill:#}"
    );
    nothing_is_left(&stack, vmid)?;
    stack.simulator.faults().clear();
    // What only root may take away: it is never started.
    let starts = effects(&stack, "start").len();
    let behind = stack.simulator.behind_the_back();
    let hook = "local:snippets/tell.pl";
    done(behind.set_option(vmid, "hookscript", Some(hook)))?;
    let hooked = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    done(behind.set_option(vmid, "hookscript", None))?;
    let (task, drill) = drilled(&stack, &hooked, json!({})).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    ensure!(
        drill["error"]
            .as_str()
            .is_some_and(|why| why.contains("only root")),
        "{drill:#}"
    );
    ensure!(effects(&stack, "start").len() == starts, "it was started");
    nothing_is_left(&stack, vmid)?;
    // The bridge leads somewhere: nothing is made at all.
    let restores = effects(&stack, "restore").len();
    behind.connect_bridge("vmbr1", "eth1 bond0");
    let (task, drill) = drilled(&stack, &backup, json!({})).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    ensure!(
        drill["error"]
            .as_str()
            .is_some_and(|why| why.contains("eth1, bond0")),
        "{drill:#}"
    );
    ensure!(
        effects(&stack, "restore").len() == restores,
        "something was made"
    );
    let shown = one(&stack, backup["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(shown["verified_by"].is_null(), "{shown:#}");
    ensure!(stack.client.server(id).await?["status"] == "running");
    let told = stack
        .client
        .get("/api/notifications")
        .await?
        .body
        .to_string();
    ensure!(told.contains("복원 훈련을 통과하지 못했습니다"), "{told}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_an_agent_passes_as_far_as_it_can() -> anyhow::Result<()> {
    let (stack, _, vmid, backup) = with_backup().await?;
    let (task, drill) = drilled(&stack, &backup, json!({ "goal": "started" })).await?;
    ensure!(
        task["status"] == "completed" && drill["status"] == "passed",
        "{task:#}"
    );
    let steps = drill["evidence"]["steps"].as_array().context("steps")?;
    for step in &steps[4..] {
        ensure!(step["seen"] == json!({ "looked_at": false }), "{step:#}");
    }
    nothing_is_left(&stack, vmid)?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drill_needs_is_asked_for_before() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let backup = backed_up(&stack, id, json!({})).await?;
    let reply = ask(&stack, &backup, json!({})).await?;
    refused(&reply, 409, "NO_DRILL_NETWORK")?;
    ensure!(
        reply.body["error"]["details"]["network"] == "drill",
        "{}",
        reply.body
    );
    // A network on the bridge of servers is none.
    let body = json!({
        "name": "drill", "range": "198.18.0.10-198.18.0.10", "prefix": 16, "bridge": "vmbr0",
    });
    let made = stack.client.post("/api/networks", &body).await?;
    ensure!(made.status == 201, "{}", made.body);
    refused(
        &ask(&stack, &backup, json!({})).await?,
        409,
        "NO_DRILL_NETWORK",
    )?;
    let bridge = json!({ "bridge": "vmbr1" });
    let network = made.body["network_id"]
        .as_i64()
        .or(made.body["id"].as_i64());
    let path = format!("/api/networks/{}", network.context("no id")?);
    let changed = stack.client.patch(&path, &bridge).await?;
    ensure!(changed.status == 200, "{}", changed.body);
    // All field errors at once.
    let wrong = json!({ "goal": "heaven", "command": [""], "colour": 1 });
    let reply = ask(&stack, &backup, wrong).await?;
    let fields = reply.body["error"]["details"]["fields"].as_array();
    let named: Vec<_> = fields
        .context("fields")?
        .iter()
        .map(|f| &f["field"])
        .collect();
    ensure!(named == ["colour", "goal", "command[0]"], "{}", reply.body);
    // There is one address: two drills at once are one too many, and the archive is not deleted under the first.
    let first = ask(&stack, &backup, json!({})).await?;
    ensure!(first.status == 201, "{} {}", first.status, first.body);
    let task = stack.client.task_of(&first)?;
    let second = ask(&stack, &backup, json!({})).await?;
    if !is_over(&task_now(&stack, &task).await?) {
        refused(&second, 409, "ADDRESSES_EXHAUSTED")?;
        let name = backup["backup_id"].as_str().unwrap_or_default();
        let path = format!("/api/backups/{name}?confirm={name}");
        refused(&stack.client.delete(&path).await?, 409, "SERVER_BUSY")?;
    }
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    nothing_is_left(&stack, vmid)?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_follow_a_calendar() -> anyhow::Result<()> {
    let (stack, id, vmid, backup) = with_backup().await?;
    let (bare, other) = server(&stack, "web-server-02").await?;
    let body = json!({
        "name": "drills", "calendar": "0 3 1 1 *", "time_zone": "Asia/Seoul",
        "target": { "server_ids": [id, bare] }, "drill": { "goal": "agent" },
        "verified_within_days": 30,
    });
    let made = stack.client.post("/api/backups/schedules", &body).await?;
    ensure!(made.status == 201, "{}", made.body);
    let path = format!("/api/backups/schedules/{}", made.body["schedule_id"]);
    let shown = stack.client.get(&path).await?.body;
    ensure!(
        shown["drill"] == json!({ "goal": "agent", "command": [] }),
        "{shown:#}"
    );
    let run = stack
        .client
        .post(&format!("{path}/run"), &json!({}))
        .await?;
    ensure!(run.status == 202, "{}", run.body);
    let worker = stack.service.worker()?;
    let last = loop {
        worker.follow_schedules().await?;
        let last = stack.client.get(&path).await?.body["last_run"].clone();
        if last["status"] == "done" {
            break last;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    // The one without a backup has nothing to try; no backup was made.
    ensure!(
        last["servers"]["completed"] == 1 && last["servers"]["skipped"] == 1,
        "{last:#}"
    );
    let list = stack.client.get("/api/backups").await?.body;
    ensure!(
        list["total"] == 1 && list["backups"][0]["verified_by"] == "drill",
        "{list:#}"
    );
    let drills = stack.client.get("/api/backups/drills").await?.body;
    ensure!(drills["total"] == 1, "{drills:#}");
    ensure!(
        drills["drills"][0]["schedule_id"] == made.body["schedule_id"],
        "{drills:#}"
    );
    ensure!(
        drills["drills"][0]["backup_id"] == backup["backup_id"],
        "{drills:#}"
    );
    let mut there: Vec<u32> = marked(&stack).iter().map(|guest| guest.vmid).collect();
    there.sort_unstable();
    let mut wanted = vec![vmid, other];
    wanted.sort_unstable();
    ensure!(there == wanted, "{there:?}");
    // Without room the drill is one that failed, and its part too.
    let networks = stack.client.get("/api/networks").await?.body;
    let network = networks["networks"].as_array().and_then(|all| {
        let mut all = all.iter();
        all.find(|one| one["name"] == "drill").cloned()
    });
    let network = network.context("no network")?["id"].clone();
    let gone = stack
        .client
        .delete(&format!("/api/networks/{network}"))
        .await?;
    ensure!(gone.status == 200, "{}", gone.body);
    let run = stack
        .client
        .post(&format!("{path}/run"), &json!({}))
        .await?;
    ensure!(run.status == 202, "{}", run.body);
    worker.follow_schedules().await?;
    let last = stack.client.get(&path).await?.body["last_run"].clone();
    ensure!(
        last["servers"]["failed"] == 1 && last["status"] == "done",
        "{last:#}"
    );
    let drills = stack
        .client
        .get("/api/backups/drills?status=failed")
        .await?
        .body;
    ensure!(
        drills["total"] == 1 && drills["drills"][0]["task_id"].is_null(),
        "{drills:#}"
    );
    stack.stop().await
}
