//! The worker with an engine that says exactly what a test wants it to say.

use anyhow::{Context, ensure};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::FailureCode;
use tpm_provisioner::{
    Acted, Fate, Learned, MockProvisioner, Observed, OnFailure, Operation, ProvisionError,
    StepSpec, WhenLate,
};
use tpm_store::Store;
use tpm_test_support::Stack;

fn step(name: &'static str, deadline: Duration) -> StepSpec {
    StepSpec {
        name,
        rung: None,
        weight: 1,
        deadline,
        when_late: WhenLate::Fail,
        on_failure: OnFailure::Undo,
    }
}

fn done() -> Observed {
    Observed::Done {
        evidence: json!({}),
        learned: Learned::default(),
    }
}

/// An engine called `test` whose create is one step, and whose destroy finds nothing to do.
fn engine(deadline: Duration) -> MockProvisioner {
    let mut engine = MockProvisioner::new();
    engine.expect_name().return_const("test".to_owned());
    engine.expect_surveyed_by().return_const("test".to_owned());
    engine.expect_slots().returning(|_, _| Vec::new());
    engine.expect_survey().returning(|| Ok(None));
    engine.expect_archives().returning(|| Ok(None));
    let steps: Vec<StepSpec> = vec![step("make", deadline)];
    engine.expect_steps().return_const(steps);
    engine
        .expect_observe()
        .withf(|call| call.operation == Operation::Destroy)
        .returning(|_| Ok(done()));
    engine
}

async fn stack_with(engine: MockProvisioner) -> anyhow::Result<(Stack, String)> {
    let mut stack = Stack::builder()
        .set("ENGINE", "test")
        .engine(Arc::new(engine))
        .start()
        .await?;
    stack.start_worker()?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    Ok((stack, task))
}

/// Seen to be there: nothing is done.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_done_again() -> anyhow::Result<()> {
    let mut engine = engine(Duration::from_secs(60));
    engine.expect_observe().times(1).returning(|_| Ok(done()));
    engine.expect_act().times(0);
    let (stack, task) = stack_with(engine).await?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    stack.stop().await
}

/// An act whose outcome is unknown is looked at, and repeated only while its effect is not there; each
/// repetition is counted, and the count ends it.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_outcomes_are_repeated_a_limited_number_of_times() -> anyhow::Result<()> {
    let mut engine = engine(Duration::from_secs(600));
    engine
        .expect_observe()
        .returning(|_| Ok(Observed::Needed(json!({}))));
    let lost = || ProvisionError::new(Fate::Ask, FailureCode::ProxmoxAmbiguous, "lost");
    engine
        .expect_act()
        .times(2)
        .returning(move |_, _| Err(lost()));
    let stack = Stack::builder()
        .set("ENGINE", "test")
        .set("WORKER__MAX_ATTEMPTS", 2);
    let mut stack = stack.engine(Arc::new(engine)).start().await?;
    stack.start_worker()?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(
        task["status"] == "failed" && task["error"]["code"] == "PROXMOX_AMBIGUOUS",
        "{task:#}"
    );
    ensure!(task["steps"][0]["attempts"] == 2, "{task:#}");
    stack.stop().await
}

/// A lock is waited for as often as it takes until the step's time is over, without counting.
#[tokio::test(flavor = "multi_thread")]
async fn locks_are_waited_for_until_the_deadline() -> anyhow::Result<()> {
    let mut engine = engine(Duration::from_secs(2));
    engine
        .expect_observe()
        .returning(|_| Ok(Observed::Needed(json!({}))));
    let busy = || {
        ProvisionError::new(
            Fate::Busy,
            FailureCode::ProxmoxBusy,
            "VM is locked (backup)",
        )
    };
    engine
        .expect_act()
        .times(2..)
        .returning(move |_, _| Err(busy()));
    let (stack, task) = stack_with(engine).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["error"]["code"] == "PROXMOX_BUSY", "{task:#}");
    ensure!(
        task["error"]["details"]["proxmox"] == "VM is locked (backup)",
        "{task:#}"
    );
    ensure!(task["steps"][0]["attempts"] == 0, "{task:#}");
    stack.stop().await
}

/// Refused credentials are not tried again for a minute: the task waits and says why.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_left_alone_for_a_minute() -> anyhow::Result<()> {
    let mut engine = engine(Duration::from_secs(600));
    engine.expect_observe().times(1).returning(|_| {
        Err(ProvisionError::new(
            Fate::Auth,
            FailureCode::ProxmoxAuth,
            "authentication failure",
        ))
    });
    let (stack, task) = stack_with(engine).await?;
    let path = format!("/api/tasks/{task}");
    let store = stack.service.store();
    loop {
        let said = stack.client.get(&path).await?.body["message"].clone();
        if said
            .as_str()
            .context("message")?
            .contains("authentication failure")
        {
            break;
        }
    }
    let wait = store
        .queue()
        .next_due()
        .await?
        .context("a task that waits")?;
    ensure!(wait > Duration::from_secs(55), "{wait:?}");
    stack.stop().await
}

/// A worker that stops gives its task back between two steps; the next one goes on with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_gives_its_tasks_back() -> anyhow::Result<()> {
    let mut engine = engine(Duration::from_secs(600));
    engine
        .expect_observe()
        .times(1)
        .returning(|_| Ok(Observed::Needed(json!({}))));
    engine.expect_observe().returning(|_| Ok(done()));
    engine
        .expect_act()
        .times(1)
        .returning(|_, _| Ok(Acted::default()));
    let stack = Stack::builder()
        .set("ENGINE", "test")
        .engine(Arc::new(engine))
        .start()
        .await?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let hook = Arc::new(StopAfterRecord(stop.clone()));
    stack.worker_with(hook)?.run(stop).await?;
    let now = stack.client.get(&format!("/api/tasks/{task}")).await?.body;
    ensure!(now["status"] == "running", "{now:#}");
    let wait = stack.service.store().queue().next_due().await?;
    ensure!(
        wait.is_some_and(|wait| wait.is_zero()),
        "the task was not given back: {wait:?}"
    );
    stack
        .worker_with(Arc::new(tpm_jobs::NoFaults))?
        .drain()
        .await?;
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    stack.stop().await
}

struct StopAfterRecord(tokio_util::sync::CancellationToken);

#[async_trait::async_trait]
impl tpm_jobs::PointHook for StopAfterRecord {
    async fn at(&self, point: &tpm_jobs::Point<'_>) -> tpm_jobs::Verdict {
        if point.kind == tpm_jobs::PointKind::AfterRecord {
            self.0.cancel();
        }
        tpm_jobs::Verdict::Continue
    }
}
