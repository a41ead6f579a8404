//! Two workers on one task: the first is stopped past its lease, the second takes over and finishes, then
//! the first wakes up. It must write nothing, and one effect is there.

use super::world::{
    as_asked, ask, ask_create, effects, kind, operations, prepare, prepare_alone, quick,
};
use super::{ACTS, Act};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use futures::stream::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tpm_jobs::{NoFaults, Point, PointHook, PointKind, Verdict};
use tpm_provisioner::Operation;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_store::Store;
use tpm_test_support::Stack;

/// Holds the worker once at a moment of a step until it is let go.
struct Gate {
    place: (&'static str, &'static str, PointKind),
    armed: AtomicBool,
    here: Notify,
    open: Notify,
}

impl Gate {
    fn new(kind: &'static str, step: &'static str, at: PointKind) -> Arc<Self> {
        let place = (kind, step, at);
        Arc::new(Self {
            place,
            armed: AtomicBool::new(true),
            here: Notify::new(),
            open: Notify::new(),
        })
    }
}

#[async_trait]
impl PointHook for Gate {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        if (point.task_kind, point.step, point.kind) == self.place
            && self.armed.swap(false, Ordering::SeqCst)
        {
            self.here.notify_one();
            self.open.notified().await;
        }
        Verdict::Continue
    }
}

async fn overtaken(operation: Operation, step: &'static str, at: PointKind) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let gate = Gate::new(kind(operation), step, at);
    let (task, subject) = if operation == Operation::Create {
        ask_create(&stack).await?
    } else {
        let subject = prepare_alone(&stack, operation).await?;
        (ask(&stack, operation, &subject).await?, subject)
    };
    // Drained by hand: nothing extends its leases, as when the whole process is stopped.
    let first = stack.worker_with(gate.clone())?;
    let first = tokio::spawn(async move { first.drain().await });
    gate.here.notified().await;
    stack.start_worker()?;
    let ended = stack.client.ended(&task).await?;
    ensure!(ended["status"] == "completed", "{ended:#}");
    gate.open.notify_one();
    first.await??;
    // The first one has had its say; the end still stands.
    let after = stack.client.ended(&task).await?;
    ensure!(
        after == ended,
        "a stale worker wrote: {ended:#} became {after:#}"
    );
    as_asked(&stack, operation, &subject).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_paused_past_its_lease_writes_nothing() -> anyhow::Result<()> {
    let mut places = Vec::new();
    for Act {
        operation, step, ..
    } in ACTS
    {
        places.extend([PointKind::BeforeAct, PointKind::AfterAct].map(|at| (operation, step, at)));
    }
    places.extend(operations().map(|operation| (operation, "finish", PointKind::BeforeFinish)));
    futures::stream::iter(places)
        .map(|(operation, step, at)| async move {
            overtaken(operation, step, at)
                .await
                .with_context(|| format!("{operation:?}/{step}/{}", at.as_str()))
        })
        .buffer_unordered(6)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

/// Both workers have sent the same request: the first one's is held on its way until the second one's
/// has taken effect.
async fn sent_twice(act: Act) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let hold = FaultKind::Hold {
        at: HoldAt::Request,
    };
    let (task, subject, held) = if act.operation == Operation::Create {
        let held = stack
            .simulator
            .faults()
            .inject(Fault::once(act.method, act.path, hold));
        let (task, subject) = ask_create(&stack).await?;
        (task, subject, held)
    } else {
        let subject = prepare_alone(&stack, act.operation).await?;
        let held = stack
            .simulator
            .faults()
            .inject(Fault::once(act.method, act.path, hold));
        (ask(&stack, act.operation, &subject).await?, subject, held)
    };
    let first = stack.worker_with(Arc::new(NoFaults))?;
    let first = tokio::spawn(async move { first.drain().await });
    stack.simulator.faults().wait_until_held(held).await;
    stack.start_worker()?;
    let ended = stack.client.ended(&task).await?;
    stack.simulator.faults().release(held);
    first.await??;
    let after = stack.client.ended(&task).await?;
    ensure!(
        after == ended,
        "a stale worker wrote: {ended:#} became {after:#}"
    );
    ensure!(ended["status"] == "completed", "{ended:#}");
    if act.operation == Operation::Create {
        ensure!(effects(&stack, "clone").len() == 1, "cloned twice");
        ensure!(
            effects(&stack, "resize").len() == 1,
            "grown twice: {:?}",
            effects(&stack, "resize")
        );
    }
    as_asked(&stack, act.operation, &subject).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_by_two_workers_has_one_effect() -> anyhow::Result<()> {
    // A second shutdown, stop or reboot that arrives late finds the guest as it should be or is told
    // so; only the making of a server must not happen twice.
    for act in ACTS
        .into_iter()
        .filter(|act| act.operation == Operation::Create)
    {
        sent_twice(act).await.with_context(|| act.step)?;
    }
    Ok(())
}

/// Many workers, many tasks: each is claimed by one at a time and done once.
#[tokio::test(flavor = "multi_thread")]
async fn several_workers_share_the_queue() -> anyhow::Result<()> {
    let mut stack: Stack = quick().set("PROXMOX__MAX_CLONES", 8).start().await?;
    for _ in 0..4 {
        stack.start_worker()?;
    }
    let servers: Vec<_> = (1..=24)
        .map(|n| serde_json::json!({ "name": format!("w{n}"), "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 }))
        .collect();
    let reply = stack
        .client
        .post(
            "/api/servers/bulk-create",
            &serde_json::json!({ "servers": servers }),
        )
        .await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let task = stack
        .client
        .ended(reply.body["task_id"].as_str().context("task")?)
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let mut clones = effects(&stack, "clone");
    clones.sort_unstable();
    let distinct: std::collections::BTreeSet<_> = clones.iter().collect();
    ensure!(clones.len() == 24 && distinct.len() == 24, "{clones:?}");
    ensure!(
        stack.simulator.counters().highest_clones <= 8,
        "{:?}",
        stack.simulator.counters()
    );
    stack.stop().await
}

/// Looks into the store at every moment of every act.
struct IntentWatch {
    store: Arc<tpm_store_seaorm::SeaStore>,
    seen: std::sync::Mutex<Vec<(String, bool)>>,
}

#[async_trait]
impl PointHook for IntentWatch {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        if matches!(point.kind, PointKind::BeforeAct | PointKind::AfterAct) {
            let written = self.is_written(point).await.unwrap_or(false);
            let place = format!("{}/{}/{}", point.task_kind, point.step, point.kind.as_str());
            self.seen.lock().expect("no panic").push((place, written));
        }
        Verdict::Continue
    }
}

impl IntentWatch {
    /// Whether the store says of the step that it is about to be acted on, and how.
    async fn is_written(&self, point: &Point<'_>) -> anyhow::Result<bool> {
        let reads = self.store.reads();
        let tasks = reads
            .tasks(&tpm_store::TaskQuery {
                limit: Some(1),
                ..Default::default()
            })
            .await?;
        let task = tasks.items.first().context("a task")?;
        let steps = reads.steps(task.id).await?;
        Ok(steps.iter().any(|step| {
            step.name == point.step
                && step.attempt == point.attempt
                && step.state == tpm_domain::StepState::Unknown
                && step.intent.is_some()
        }))
    }
}

/// Whatever is done to the outside, what was about to be done is written down before.
#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_written_before_the_act() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let watch = Arc::new(IntentWatch {
        store: stack.service.store(),
        seen: Default::default(),
    });
    stack.start_worker_with(watch.clone())?;
    let subject = prepare(&stack, Operation::Create).await?;
    for operation in [
        Operation::Change,
        Operation::Restart,
        Operation::Stop,
        Operation::Start,
        Operation::Destroy,
    ] {
        let task = ask(&stack, operation, &subject).await?;
        stack.client.ended(&task).await?;
    }
    let seen = watch.seen.lock().expect("no panic").clone();
    for act in ACTS {
        let place = format!("{}/{}/before-act", kind(act.operation), act.step);
        ensure!(
            seen.iter().any(|(seen, _)| *seen == place),
            "never came to {place}"
        );
    }
    let missing: Vec<_> = seen.iter().filter(|(_, written)| !written).collect();
    ensure!(
        missing.is_empty(),
        "acted without a written intent: {missing:?}"
    );
    stack.stop().await
}
