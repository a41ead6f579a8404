//! Bulks: what becomes of the others when one fails, failed ones tried again, power, fairness.

use super::{hand, is, refused, server};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tpm_domain::{GuestView, Server, ServerId};
use tpm_provisioner::{
    Acted, Learned, Observed, OnFailure, Operation, ProvisionError, Provisioner, Slot, SlotWidth,
    StepCall, StepSpec, WhenLate,
};
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

fn no_space() -> FaultKind {
    let text = "unable to create image: not enough space".into();
    FaultKind::TaskFails { text }
}

fn bulk(count: usize, policy: &str) -> Value {
    let servers: Vec<_> = (0..count).map(|n| server(&format!("s{n}"))).collect();
    json!({ "servers": servers, "policy": policy })
}

fn marked(stack: &Stack) -> usize {
    let guests = stack.simulator.guests().into_iter();
    guests
        .filter(|guest| guest.description.contains("tpm:v1 "))
        .count()
}

/// The task of a bulk, drained.
async fn drained(stack: &Stack, body: &Value) -> anyhow::Result<Value> {
    hand(stack)?.drain().await?;
    stack
        .client
        .ended(body["task_id"].as_str().context("task_id")?)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_nothing_leaves_nothing() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    // The fourth fails late: some are made by then.
    let start = Fault::once("PUT", "/nodes/*/qemu/*/resize", no_space()).on_vm(10_003);
    stack.simulator.faults().inject(start);
    let made = is(
        stack
            .client
            .post("/api/servers/bulk-create", &bulk(5, "all_or_nothing"))
            .await?,
        201,
    )?;
    let task = drained(&stack, &made).await?;
    ensure!(
        task["status"] == "failed" && task["policy"] == "all_or_nothing",
        "{task:#}"
    );
    ensure!(
        task["summary"]["completed"] == 0 && task["summary"]["failed"] == 1,
        "{task:#}"
    );
    ensure!(marked(&stack) == 0, "{:#?}", stack.simulator.guests());
    // Nothing is held: the same names and addresses can be had, and all of them work out this time.
    let path = format!(
        "/api/tasks/{}/retry",
        task["task_id"].as_str().unwrap_or_default()
    );
    let again = is(stack.client.post(&path, &json!({})).await?, 201)?;
    ensure!(
        again["servers"].as_array().map(Vec::len) == Some(5),
        "{again:#}"
    );
    let task = drained(&stack, &again).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let list = is(stack.client.get("/api/servers?status=running").await?, 200)?;
    ensure!(list["total"] == 5 && marked(&stack) == 5, "{list:#}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_ones_are_tried_again() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let clone = Fault::once("POST", "/nodes/*/qemu/*/clone", no_space()).times(2);
    stack.simulator.faults().inject(clone);
    let made = is(
        stack
            .client
            .post("/api/servers/bulk-create", &bulk(5, "keep"))
            .await?,
        201,
    )?;
    let task = drained(&stack, &made).await?;
    ensure!(task["status"] == "partial", "{task:#}");
    ensure!(task["summary"]["failed"] == 2, "{task:#}");
    let path = format!(
        "/api/tasks/{}/retry",
        task["task_id"].as_str().unwrap_or_default()
    );
    let again = is(stack.client.post(&path, &json!({})).await?, 201)?;
    ensure!(
        again["servers"].as_array().map(Vec::len) == Some(2),
        "{again:#}"
    );
    refused(
        stack.client.post(&path, &json!({})).await?,
        409,
        "WRONG_STATE",
    )?;
    let task = drained(&stack, &again).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let list = is(stack.client.get("/api/servers?status=running").await?, 200)?;
    ensure!(list["total"] == 5 && marked(&stack) == 5, "{list:#}");
    let path = format!(
        "/api/tasks/{}/retry",
        task["task_id"].as_str().unwrap_or_default()
    );
    refused(
        stack.client.post(&path, &json!({})).await?,
        409,
        "NOTHING_TO_RETRY",
    )?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_switched_at_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let made = is(
        stack
            .client
            .post("/api/servers/bulk-create", &bulk(3, "keep"))
            .await?,
        201,
    )?;
    drained(&stack, &made).await?;
    let power = |status: &str| json!({ "server_ids": [1, 2, 3], "status": status });
    let path = "/api/servers/bulk-power";
    let off = is(stack.client.post(path, &power("stopped")).await?, 200)?;
    ensure!(
        off["servers"].as_array().map(Vec::len) == Some(3),
        "{off:#}"
    );
    refused(
        stack.client.post(path, &power("running")).await?,
        409,
        "SERVER_BUSY",
    )?;
    let task = drained(&stack, &off).await?;
    ensure!(
        task["status"] == "completed" && task["kind"] == "bulk_power",
        "{task:#}"
    );
    let again = is(stack.client.post(path, &power("stopped")).await?, 200)?;
    ensure!(
        again["task_id"].is_null() && again["unchanged"] == json!([1, 2, 3]),
        "{again:#}"
    );
    let unknown = json!({ "server_ids": [1, 9], "status": "running" });
    refused(stack.client.post(path, &unknown).await?, 404, "NOT_FOUND")?;
    let list = is(stack.client.get("/api/servers?status=stopped").await?, 200)?;
    ensure!(list["total"] == 3, "{list:#}");
    stack.stop().await
}

/// A stop that is under way when it is cancelled comes to its end first, so that what is told is so.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_waits_until_the_state_is_known() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    super::running(&stack, "one").await?;
    let hold = FaultKind::Hold {
        at: tpm_pve_simulator::HoldAt::TaskEffect,
    };
    let fault = Fault::once("POST", "/nodes/*/qemu/*/status/shutdown", hold);
    let held = stack.simulator.faults().inject(fault);
    stack.start_worker()?;
    let off = json!({ "status": "stopped" });
    let asked = is(stack.client.put("/api/servers/1/status", &off).await?, 200)?;
    let task = asked["task_id"].as_str().context("task")?;
    stack.simulator.faults().wait_until_held(held).await;
    is(
        stack
            .client
            .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
            .await?,
        200,
    )?;
    // However often it is looked at meanwhile, it does not end.
    for _ in 0..20 {
        let now = is(stack.client.get(&format!("/api/tasks/{task}")).await?, 200)?;
        ensure!(
            now["status"] == "running" || now["status"] == "pending",
            "{now:#}"
        );
    }
    stack.simulator.faults().release(held);
    let ended = stack.client.ended(task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    ensure!(stack.client.server(1).await?["status"] == "stopped");
    stack.stop().await
}

/// A single server that is asked for after a large bulk is not served after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_does_not_keep_a_single_one_waiting() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("PROXMOX__MAX_CLONES", 2)
        .set("WORKER__CONCURRENCY", 4)
        .start()
        .await?;
    let made = is(
        stack
            .client
            .post("/api/servers/bulk-create", &bulk(40, "keep"))
            .await?,
        201,
    )?;
    let (single, _) = stack.client.create("single", json!({})).await?;
    stack.start_worker()?;
    let task = stack.client.ended(&single).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let all = is(
        stack
            .client
            .get(&format!(
                "/api/tasks/{}",
                made["task_id"].as_str().unwrap_or_default()
            ))
            .await?,
        200,
    )?;
    let done = all["summary"]["completed"].as_u64().context("completed")?;
    ensure!(done < 20, "{done} of 40 were served before it");
    stack.stop().await
}

/// An engine with room for one at a time, whose only step must be done within a fraction of a second.
struct Narrow {
    steps: Vec<StepSpec>,
    made: Mutex<HashSet<ServerId>>,
}

impl Narrow {
    fn new() -> Self {
        let step = StepSpec {
            name: "make",
            rung: None,
            weight: 1,
            deadline: Duration::from_millis(300),
            when_late: WhenLate::Fail,
            on_failure: OnFailure::Undo,
        };
        Self {
            steps: vec![step],
            made: Mutex::default(),
        }
    }

    fn made(&self) -> MutexGuard<'_, HashSet<ServerId>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provisioner for Narrow {
    fn name(&self) -> &str {
        "narrow"
    }

    fn steps(&self, _operation: Operation) -> &[StepSpec] {
        &self.steps
    }

    fn slots<'a>(&self, _call: &StepCall<'a>, _intent: &Value) -> Vec<Slot> {
        let name = "narrow".into();
        let width = SlotWidth::Fixed(1);
        vec![Slot { name, width }]
    }

    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        Ok(if self.made().contains(&call.server.id) {
            let (evidence, learned) = (json!({}), Learned::default());
            Observed::Done { evidence, learned }
        } else {
            Observed::Needed(json!({}))
        })
    }

    async fn act<'a>(&self, call: &StepCall<'a>, _: &Value) -> Result<Acted, ProvisionError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.made().insert(call.server.id);
        Ok(Acted::default())
    }

    async fn look(&self, _server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        Ok(None)
    }
}

/// The time that a step may take is its own: how long it stood in a queue is not part of it.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_place_is_not_being_late() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .engine(Arc::new(Narrow::new()))
        .start()
        .await?;
    let mut body = bulk(20, "keep");
    for server in body["servers"].as_array_mut().into_iter().flatten() {
        server["engine"] = json!("narrow");
    }
    let made = is(
        stack.client.post("/api/servers/bulk-create", &body).await?,
        201,
    )?;
    stack.start_worker()?;
    let token = made["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(token).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    stack.stop().await
}
