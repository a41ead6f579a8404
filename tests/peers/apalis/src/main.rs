//! Empty jobs through apalis on an empty database that the benchmark gives: puts them into the queue,
//! starts workers, and prints as JSON how many jobs a second were recorded as done.
//!
//! Set up as apalis documents it, with two exceptions: every commit on SQLite is on the disk, and jobs run
//! in their worker instead of being spawned each, which costs more than they do.

use anyhow::{bail, ensure};
use apalis::prelude::{
    BackendExt as _, Data, Strategy, TaskSink as _, WorkerBuilder, WorkerBuilderExt as _,
    WorkerContext,
};
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use clap::Parser;
use serde_json::json;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What is measured, as the benchmark prints it.
const PEER: &str = "apalis 1.0.0";
const QUEUE: &str = "empty";
/// How long the last jobs may take to be recorded once all have run.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Parser)]
struct Args {
    /// `sqlite:///path/file.db` or `postgres://…`
    #[arg(long)]
    database: String,
    /// How many jobs
    #[arg(long)]
    jobs: u32,
    /// How many workers, each with connections of its own
    #[arg(long)]
    workers: usize,
    /// Most jobs at once in one worker
    #[arg(long)]
    concurrency: usize,
    /// Most jobs that a worker takes out of the queue at once; their ends are written together too
    #[arg(long)]
    batch: usize,
    /// Milliseconds between two looks of an idle worker; on PostgreSQL it is told of new jobs as well
    #[arg(long, default_value_t = 50)]
    poll_ms: u64,
}

/// How many jobs have run.
type Ran = Arc<AtomicU32>;

async fn empty(_job: u32, ran: Data<Ran>) {
    ran.fetch_add(1, Ordering::Relaxed);
}

#[expect(clippy::print_stdout, reason = "the rate is what this program is for")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let took = if args.database.starts_with("sqlite:") {
        sqlite(&args).await?
    } else {
        postgres(&args).await?
    };
    let rate = f64::from(args.jobs) / took.as_secs_f64();
    println!(
        "{}",
        json!({
            "peer": PEER,
            "jobs": args.jobs,
            "workers": args.workers,
            "concurrency": args.concurrency,
            "batch": args.batch,
            "poll_ms": args.poll_ms,
            "rate": rate,
        })
    );
    Ok(())
}

/// Workers that run, and what tells them to stop.
#[derive(Default)]
struct Crew {
    contexts: Vec<WorkerContext>,
    running: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Crew {
    async fn stop(self) -> anyhow::Result<()> {
        for context in &self.contexts {
            context.stop()?;
        }
        for running in self.running {
            running.await??;
        }
        Ok(())
    }
}

/// A worker of this backend; a macro, as the two backends have no type in common.
macro_rules! start {
    ($crew:expr, $args:expr, $ran:expr, $backend:expr) => {{
        let context = WorkerContext::new(&format!("worker-{}", $crew.contexts.len()));
        let worker = WorkerBuilder::new(&context)
            .backend($backend)
            .data(Arc::clone($ran))
            .concurrency($args.concurrency)
            .build(empty);
        $crew.contexts.push(context);
        $crew
            .running
            .push(tokio::spawn(async move { Ok(worker.run().await?) }));
    }};
}

async fn sqlite(args: &Args) -> anyhow::Result<Duration> {
    // What its `setup` sets on a connection, but for `synchronous`, which is off there.
    let options = SqliteConnectOptions::from_str(&args.database)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "64000")
        .pragma("journal_size_limit", "67108864");
    let connect = || -> SqlitePool { SqlitePoolOptions::new().connect_lazy_with(options.clone()) };
    let config = apalis_sqlite::Config::default()
        .queue(QUEUE)
        .batch_size(args.batch);
    let own = connect();
    SqliteStorage::migrations().run(&own).await?;
    SqliteStorage::<u32>::new(&own)
        .with_config(config.clone())
        .push_bulk((0..args.jobs).collect())
        .await?;
    let (ran, mut crew) = (Ran::default(), Crew::default());
    let began = Instant::now();
    for _ in 0..args.workers {
        let backend = SqliteStorage::<u32>::new(&connect())
            .with_config(config.clone())
            .poll_with_strategy(Strategy::new().interval(Duration::from_millis(args.poll_ms)));
        start!(crew, args, &ran, backend);
    }
    all_ran(&ran, args.jobs, &mut crew).await?;
    let waiting = "SELECT count(*) FROM Jobs WHERE status <> 'Done'";
    let all_ran = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&own)
        .await?
        > 0
    {
        pause(all_ran).await?;
    }
    let took = began.elapsed();
    crew.stop().await?;
    Ok(took)
}

async fn postgres(args: &Args) -> anyhow::Result<Duration> {
    let connect = || -> anyhow::Result<PgPool> {
        let options = PgPoolOptions::new().max_connections(16);
        Ok(options.connect_lazy(&args.database)?)
    };
    let config = apalis_postgres::Config::default()
        .queue(QUEUE)
        .batch_size(args.batch);
    let own = connect()?;
    PostgresStorage::setup(&own).await?;
    PostgresStorage::<u32>::new(&own)
        .with_config(config.clone())
        .push_bulk((0..args.jobs).collect())
        .await?;
    let (ran, mut crew) = (Ran::default(), Crew::default());
    let began = Instant::now();
    for _ in 0..args.workers {
        let backend = PostgresStorage::<u32>::new(&connect()?)
            .with_config(config.clone())
            .with_pubsub()
            .poll_with_strategy(Strategy::new().interval(Duration::from_millis(args.poll_ms)));
        start!(crew, args, &ran, backend);
    }
    all_ran(&ran, args.jobs, &mut crew).await?;
    let waiting = "SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'";
    let all_ran = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&own)
        .await?
        > 0
    {
        pause(all_ran).await?;
    }
    let took = began.elapsed();
    crew.stop().await?;
    Ok(took)
}

/// Waits until every job has run, or a worker has ended by itself: with why it did.
async fn all_ran(ran: &AtomicU32, jobs: u32, crew: &mut Crew) -> anyhow::Result<()> {
    while ran.load(Ordering::Relaxed) < jobs {
        if let Some(at) = crew.running.iter().position(|one| one.is_finished()) {
            crew.running.swap_remove(at).await??;
            bail!("a worker ended by itself");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Between two looks for jobs that are not recorded yet.
async fn pause(all_ran: Instant) -> anyhow::Result<()> {
    ensure!(
        all_ran.elapsed() < PATIENCE,
        "jobs that ran are not recorded as done"
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(())
}
