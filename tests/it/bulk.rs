//! Several servers at once.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

fn servers(count: usize, prefix: &str) -> Vec<Value> {
    let server = |n: usize| json!({ "name": format!("{prefix}{n}"), "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    (1..=count).map(server).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_servers_run_and_nothing_is_done_twice() -> anyhow::Result<()> {
    const COUNT: usize = 200;
    let mut stack = Stack::builder()
        .set("PROXMOX__MAX_CLONES", 5)
        .set("PROXMOX__CPU_OVERCOMMIT_PERCENT", 1000)
        .start()
        .await?;
    stack.start_worker()?;
    let body = json!({ "servers": servers(COUNT, "n") });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let task = reply.body["task_id"]
        .as_str()
        .context("task_id")?
        .to_owned();
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    ensure!(
        ended["summary"]["completed"] == COUNT,
        "{}",
        ended["summary"]
    );

    let list = stack
        .client
        .get("/api/servers?limit=500&status=running")
        .await?;
    ensure!(list.body["total"] == COUNT, "{}", list.body["total"]);
    let column = |name: &str| -> BTreeSet<String> {
        let rows = list.body["servers"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row[name].to_string()).collect()
    };
    ensure!(column("vmid").len() == COUNT && column("ip_address").len() == COUNT);
    let counters = stack.simulator.counters();
    ensure!(
        counters.highest_clones <= 5,
        "{} clones at once",
        counters.highest_clones
    );
    for kind in ["clone", "start", "resize"] {
        let effects = stack.simulator.effects();
        let all: Vec<_> = effects
            .iter()
            .filter(|e| e.kind == kind)
            .map(|e| e.vmid)
            .collect();
        let distinct: BTreeSet<_> = all.iter().collect();
        ensure!(
            all.len() == COUNT && distinct.len() == COUNT,
            "{kind}: {} of {}",
            distinct.len(),
            all.len()
        );
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_does_not_stop_the_others() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    let refusal = FaultKind::TaskFails {
        text: "unable to create image: not enough space".into(),
    };
    let clone = Fault::once("POST", "/nodes/*/qemu/*/clone", refusal).on_vm(10_001);
    stack.simulator.faults().inject(clone);
    stack.start_worker()?;
    let body = json!({ "servers": servers(4, "n") });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    let task = stack
        .client
        .ended(reply.body["task_id"].as_str().context("task")?)
        .await?;
    ensure!(
        task["status"] == "partial" && task["progress"] == 100,
        "{task:#}"
    );
    let outcome = |n: usize| {
        task["children"][n]["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let outcomes: Vec<_> = (0..4).map(outcome).collect();
    ensure!(
        outcomes == ["completed", "failed", "completed", "completed"],
        "{outcomes:?}"
    );
    let error = task["children"][1]["error"]["message"]
        .as_str()
        .unwrap_or_default();
    ensure!(error.contains("not enough space"), "{error}");
    stack.stop().await
}

/// Too small a range: how many are missing is told, and nothing is created or held.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_too_small_refuses_all() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    // .21 to .30 are ten; the gateway is one of them.
    let network =
        json!({ "ip_range": "192.168.0.21-192.168.0.30", "subnet": 24, "gateway": "192.168.0.25" });
    let body = json!({ "servers": servers(12, "n"), "network_config": network });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 409, "{} {}", reply.status, reply.body);
    let error = &reply.body["error"];
    ensure!(error["code"] == "ADDRESSES_EXHAUSTED", "{error}");
    ensure!(
        error["details"] == json!({ "missing": 3, "pool": "192.168.0.21-192.168.0.30" }),
        "{error}"
    );
    let list = stack.client.get("/api/servers").await?;
    ensure!(list.body["total"] == 0, "{}", list.body);
    let body = json!({ "servers": servers(9, "n"), "network_config": network });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.body);
    stack.stop().await
}

/// A bulk that is cancelled stops what has not begun, undoes what has, and leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_bulk_leaves_nothing() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("PROXMOX__MAX_CLONES", 2)
        .start()
        .await?;
    let hold = FaultKind::Hold {
        at: tpm_pve_simulator::HoldAt::TaskEffect,
    };
    let clone = Fault::once("POST", "/nodes/*/qemu/*/clone", hold).times(2);
    let held = stack.simulator.faults().inject(clone);
    stack.start_worker()?;
    let body = json!({ "servers": servers(6, "n") });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    let task = reply.body["task_id"].as_str().context("task")?.to_owned();
    stack.simulator.faults().wait_until_held(held).await;
    let reply = stack
        .client
        .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
        .await?;
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    stack.simulator.faults().release(held);
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "cancelled", "{ended:#}");
    let list = stack.client.get("/api/servers").await?;
    ensure!(list.body["total"] == 0, "{}", list.body);
    let ours = |guest: &tpm_pve_simulator::GuestView| guest.description.contains("tpm:v1 ");
    ensure!(
        !stack.simulator.guests().iter().any(ours),
        "{:#?}",
        stack.simulator.guests()
    );
    let again = stack
        .client
        .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
        .await?;
    ensure!(
        again.status == 409 && again.body["error"]["code"] == "TASK_ENDED",
        "{}",
        again.body
    );
    let body = json!({ "servers": servers(6, "n") });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 201, "names are still held: {}", reply.body);
    stack.stop().await
}

/// Progress is seen while it is made, and never goes back.
#[tokio::test(flavor = "multi_thread")]
async fn progress_never_goes_back() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    let refusal = FaultKind::Status {
        code: 400,
        reason: "no".into(),
        body: None,
        applied: false,
    };
    stack
        .simulator
        .faults()
        .inject(Fault::once("PUT", "/nodes/*/qemu/*/resize", refusal).on_vm(10_002));
    stack.start_worker()?;
    let body = json!({ "servers": servers(8, "n") });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    let path = format!(
        "/api/tasks/{}",
        reply.body["task_id"].as_str().context("task")?
    );
    let mut seen: Vec<Vec<u64>> = Vec::new();
    loop {
        let task = stack.client.get(&path).await?.body;
        let mut row = vec![task["progress"].as_u64().context("progress")?];
        for child in task["children"].as_array().context("children")? {
            row.push(child["progress"].as_u64().context("progress")?);
        }
        if let Some(before) = seen.last() {
            let back = before.iter().zip(&row).any(|(before, now)| now < before);
            ensure!(!back, "{before:?} then {row:?}");
        }
        seen.push(row);
        if !matches!(task["status"].as_str(), Some("pending" | "running")) {
            ensure!(task["status"] == "partial", "{task:#}");
            break;
        }
    }
    let between = seen.iter().any(|row| row[0] > 0 && row[0] < 100);
    ensure!(between, "no progress was ever seen between 0 and 100");
    stack.stop().await
}
