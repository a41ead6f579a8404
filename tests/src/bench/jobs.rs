//! Tasks with one empty step beside the bare rate of commits of the same store on the same disk.

use crate::measure::{ROUNDS, ratios, say, spread, weather};
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tpm_domain::{GuestView, Server, TaskState, TaskToken};
use tpm_jobs::NoFaults;
use tpm_provisioner::{
    Acted, Learned, Observed, OnFailure, Operation, ProvisionError, Provisioner, StepCall,
    StepSpec, WhenLate,
};
use tpm_store::{Store, Throttle};
use tpm_store_seaorm::SeaStore;
use tpm_test_support::Stack;

const JOBS: u32 = 500;
/// A task with an empty step is claimed, its step is written, its end is written.
const COMMITS_PER_JOB: f64 = 3.0;

/// Every step is done before it is begun.
struct Empty(Vec<StepSpec>);

#[async_trait]
impl Provisioner for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn steps(&self, _operation: Operation) -> &[StepSpec] {
        &self.0
    }

    async fn observe<'a>(&self, _call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        Ok(Observed::Done {
            evidence: json!({}),
            learned: Learned::default(),
        })
    }

    async fn act<'a>(
        &self,
        _call: &StepCall<'a>,
        _intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        Ok(Acted::default())
    }

    async fn look(&self, _server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        Ok(None)
    }
}

fn empty() -> Empty {
    Empty(vec![StepSpec {
        name: "empty",
        rung: None,
        weight: 1,
        deadline: Duration::from_secs(60),
        when_late: WhenLate::Fail,
        on_failure: OnFailure::Undo,
    }])
}

/// Tasks a second, from the first claim to the last end.
async fn jobs(stack: &Stack, round: usize) -> anyhow::Result<f64> {
    let server = |n: u32| {
        let name = format!("r{round}-{n}");
        json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 })
    };
    let servers: Vec<_> = (0..JOBS).map(server).collect();
    let reply = stack
        .client
        .post("/api/servers/bulk-create", &json!({ "servers": servers }))
        .await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let bulk = TaskToken(
        reply.body["task_id"]
            .as_str()
            .context("task_id")?
            .to_owned(),
    );
    let store = stack.service.store();
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(stack.worker_with(Arc::new(NoFaults))?.run(stop.clone()));
    loop {
        let task = store.reads().task(&bulk).await?.context("the bulk")?;
        if task.state == TaskState::Completed {
            break;
        }
        ensure!(!task.state.is_final(), "{task:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = f64::from(JOBS) / began.elapsed().as_secs_f64();
    stop.cancel();
    running.await??;
    Ok(rate)
}

/// Transactions of one small row a second, one after the other.
async fn commits(store: &SeaStore) -> anyhow::Result<f64> {
    let began = Instant::now();
    for n in 0..JOBS {
        let tx = store.begin().await?;
        tx.set_throttle(
            "bench",
            Throttle {
                failures: 1,
                not_before_ms: n.into(),
            },
        )
        .await?;
        tx.commit().await?;
    }
    Ok(f64::from(JOBS) / began.elapsed().as_secs_f64())
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("ENGINE", "empty")
        .set("NETWORK__POOL", "")
        .set("NETWORK__GATEWAY", "")
        .engine(Arc::new(empty()))
        .start()
        .await?;
    let file = stack.dir.path().join("peer.db");
    let peer = SeaStore::open(&format!("sqlite://{}", file.display())).await?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 1..=ROUNDS {
        let weather = weather(stack.dir.path())?;
        ours.push(jobs(&stack, round).await?);
        theirs.push(commits(&peer).await?);
        say(&format!("jobs, round {round}: {weather}"));
    }
    let budget: Vec<f64> = theirs.iter().map(|rate| rate / COMMITS_PER_JOB).collect();
    say(&format!(
        "\n| tasks with one empty step, 16 at once, one worker | |\n|---|---|\n\
         | tasks/s ({COMMITS_PER_JOB} commits each) | {} |\n| bare commits/s | {} |\n\
         | **tasks / bare commits** | **{}** |\n| of what the commits alone would allow | {} |\n",
        spread(&ours, 0),
        spread(&theirs, 0),
        spread(&ratios(&ours, &theirs), 3),
        spread(&ratios(&ours, &budget), 2),
    ));
    stack.stop().await
}
