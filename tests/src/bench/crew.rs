//! Workers as an installation has them, with an engine that has nothing to do: what is left is the cost of
//! a task itself.

use crate::measure::{Size, say};
use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::{Service, WorkerProcess};
use tpm_domain::{GuestView, Server, TaskState, TaskToken};
use tpm_provisioner::{
    Acted, Learned, Observed, OnFailure, Operation, ProvisionError, Provisioner, StepCall,
    StepSpec, WhenLate,
};
use tpm_store::{Store, TaskQuery};
use tpm_test_support::{Database, Postgres, Stack};

/// Every step is done before it is begun.
pub(crate) struct Empty {
    steps: Vec<StepSpec>,
    begun: AtomicU32,
    began: Option<UnboundedSender<Instant>>,
}

impl Empty {
    pub(crate) fn new() -> Self {
        let step = StepSpec {
            name: "empty",
            rung: None,
            weight: 1,
            deadline: Duration::from_secs(60),
            when_late: WhenLate::Fail,
            on_failure: OnFailure::Undo,
        };
        Self {
            steps: vec![step],
            begun: AtomicU32::new(0),
            began: None,
        }
    }

    /// Tells when each step begins.
    pub(crate) fn telling(began: UnboundedSender<Instant>) -> Self {
        Self {
            began: Some(began),
            ..Self::new()
        }
    }
}

#[async_trait]
impl Provisioner for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn steps(&self, _operation: Operation) -> &[StepSpec] {
        &self.steps
    }

    async fn observe<'a>(&self, _call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if let Some(began) = &self.began {
            // Whoever asked may have left.
            let _ = began.send(Instant::now());
        }
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

/// The databases that are there: a SQLite file, and PostgreSQL with every commit on the disk.
pub(crate) struct Databases(Option<Postgres>);

impl Databases {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let postgres = tokio::task::block_in_place(Postgres::start_durable)?;
        Ok(Self(match postgres {
            Ok(postgres) => Some(postgres),
            Err(missing) => {
                say(&format!("without PostgreSQL: {missing}"));
                None
            }
        }))
    }

    /// SQLite, and PostgreSQL when it is there.
    pub(crate) fn each(&self) -> Vec<On<'_>> {
        let postgres = self.0.as_ref().map(On::Postgres);
        std::iter::once(On::Sqlite).chain(postgres).collect()
    }
}

/// One kind of database.
#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    Sqlite,
    Postgres(&'a Postgres),
}

impl On<'_> {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// The URL of an empty one; a file is called so and lies beside the stack's.
    pub(crate) fn empty(self, stack: &Stack, file: &str) -> anyhow::Result<String> {
        match self {
            Self::Sqlite => Ok(format!(
                "sqlite://{}",
                stack.dir.path().join(file).display()
            )),
            Self::Postgres(postgres) => tokio::task::block_in_place(|| postgres.database()),
        }
    }

    /// An api on an empty one, without a cluster and without a worker.
    pub(crate) async fn stack(self, size: &Size) -> anyhow::Result<Stack> {
        let database = match self {
            Self::Sqlite => Database::Sqlite,
            Self::Postgres(postgres) => {
                Database::Url(tokio::task::block_in_place(|| postgres.database())?)
            }
        };
        Stack::builder()
            .database(database)
            .set("PROXMOX__ENDPOINTS", "")
            .set("ENGINE", "empty")
            .set("NETWORK__POOL", "")
            .set("NETWORK__GATEWAY", "")
            .set("LIMITS__MAX_BULK", size.jobs)
            .engine(Arc::new(Empty::new()))
            .start()
            .await
    }
}

/// How many tasks are in a state, children of bulks aside.
pub(crate) async fn count(stack: &Stack, state: TaskState) -> anyhow::Result<u64> {
    let query = TaskQuery {
        state: Some(state),
        limit: Some(1),
        ..TaskQuery::default()
    };
    Ok(stack.service.store().reads().tasks(&query).await?.total)
}

/// Workers that run in this process. Each has a store of its own, as a process has: connections, and the
/// way it is woken.
pub(crate) struct Crew {
    stop: CancellationToken,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Crew {
    /// Workers that do not run yet.
    pub(crate) async fn hire(
        stack: &Stack,
        engine: &Arc<Empty>,
        workers: usize,
    ) -> anyhow::Result<Vec<WorkerProcess>> {
        let mut hired = Vec::new();
        for _ in 0..workers {
            let service = Service::open(stack.settings().clone()).await?;
            hired.push(service.with_engine(engine.clone()).worker()?);
        }
        Ok(hired)
    }

    pub(crate) fn start(hired: Vec<WorkerProcess>) -> Self {
        let stop = CancellationToken::new();
        let running = hired
            .into_iter()
            .map(|worker| tokio::spawn(worker.run(stop.clone())))
            .collect();
        Self { stop, running }
    }

    fn look_for_the_dead(&self) -> anyhow::Result<()> {
        ensure!(
            !self.running.iter().any(JoinHandle::is_finished),
            "a worker ended by itself"
        );
        Ok(())
    }

    /// Waits until so many tasks that the engine saw have ended, and nothing else is waiting.
    pub(crate) async fn all_ended(
        &self,
        stack: &Stack,
        engine: &Empty,
        tasks: u32,
    ) -> anyhow::Result<()> {
        // No question to the database while there is work.
        while engine.begun.load(Ordering::Relaxed) < tasks {
            self.look_for_the_dead()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for state in [TaskState::Pending, TaskState::Running] {
            while count(stack, state).await? > 0 {
                self.look_for_the_dead()?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// Waits until a task is done as asked.
    pub(crate) async fn completed(&self, stack: &Stack, token: &str) -> anyhow::Result<()> {
        let (store, token) = (stack.service.store(), TaskToken(token.to_owned()));
        loop {
            let task = store.reads().task(&token).await?.context("the task")?;
            match task.state {
                TaskState::Completed => return Ok(()),
                state if state.is_final() => bail!("{task:?}"),
                _ => {}
            }
            self.look_for_the_dead()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for running in self.running {
            running.await??;
        }
        Ok(())
    }
}
