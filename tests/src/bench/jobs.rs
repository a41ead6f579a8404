//! Tasks with one empty step, by several workers, beside the bare rate of commits of the same store on the
//! same disk, and beside apalis with as many empty jobs.

use crate::crew::{Crew, Databases, Empty, On, count};
use crate::measure::{Size, ratios, say, spread, weather};
use crate::peer::{Apalis, NAME, SETTINGS, Setting};
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tpm_domain::TaskState;
use tpm_store::{Store, Throttle};
use tpm_store_seaorm::SeaStore;
use tpm_test_support::Stack;

/// How many workers at once.
const WORKERS: [usize; 3] = [1, 2, 4];
/// Requests in flight before the workers start.
const ASKING: usize = 16;
/// A task with an empty step is claimed, its step is written, its end is written.
const COMMITS_PER_JOB: f64 = 3.0;

/// One kind of database, and what was measured on it.
struct Bed<'a> {
    on: On<'a>,
    stack: Stack,
    bare: SeaStore,
    columns: [Column; WORKERS.len()],
    /// Databases that the peer was given so far.
    given: usize,
}

/// For one number of workers, a number for each round.
#[derive(Default)]
struct Column {
    commits: Vec<f64>,
    ours: Vec<f64>,
    bulk: Vec<f64>,
    /// What the peer does best with.
    setting: Option<Setting>,
    /// NaN for a round in which it failed.
    peer: Vec<f64>,
}

impl Column {
    fn peer(&self) -> String {
        let ended: Vec<f64> = self
            .peer
            .iter()
            .copied()
            .filter(|rate| !rate.is_nan())
            .collect();
        match self.peer.len() - ended.len() {
            0 if ended.is_empty() => "–".to_owned(),
            0 => spread(&ended, 0),
            failed if ended.is_empty() => format!("failed {failed} times"),
            failed => format!("{}, failed {failed} times", spread(&ended, 0)),
        }
    }

    fn beside_peer(&self) -> String {
        let mut ratios = ratios(&self.ours, &self.peer);
        ratios.retain(|ratio| !ratio.is_nan());
        if ratios.is_empty() {
            return "–".to_owned();
        }
        format!("**{}**", spread(&ratios, 3))
    }
}

impl<'a> Bed<'a> {
    async fn make(on: On<'a>, size: &Size) -> anyhow::Result<Self> {
        let stack = on.stack(size).await?;
        Ok(Self {
            on,
            bare: SeaStore::open(&on.empty(&stack, "bare.db")?).await?,
            stack,
            columns: Default::default(),
            given: 0,
        })
    }

    /// The peer once, on a database of its own; what it failed with is told.
    async fn peer(
        &mut self,
        apalis: &Apalis,
        workers: usize,
        setting: Setting,
        size: &Size,
    ) -> anyhow::Result<Option<f64>> {
        self.given += 1;
        let name = format!("apalis-{}.db", self.given);
        let database = self.on.empty(&self.stack, &name)?;
        let rate = apalis.rate(&database, workers, size.jobs, setting).await?;
        let said = match &rate {
            Ok(rate) => format!("{rate:.0} jobs/s"),
            Err(why) => why.clone(),
        };
        let on = self.on.name();
        say(&format!(
            "apalis on {on}, workers {workers}, {setting}: {said}"
        ));
        Ok(rate.ok())
    }

    /// Finds out what the peer does best with.
    async fn tune(&mut self, apalis: &Apalis, size: &Size) -> anyhow::Result<()> {
        for (at, workers) in WORKERS.into_iter().enumerate() {
            let mut best = f64::NEG_INFINITY;
            for setting in SETTINGS {
                let rate = self.peer(apalis, workers, setting, size).await?;
                if let Some(rate) = rate.filter(|rate| *rate > best) {
                    best = rate;
                    self.columns[at].setting = Some(setting);
                }
            }
        }
        Ok(())
    }

    /// Everything once, the sides of each number of workers one after the other.
    async fn round(
        &mut self,
        round: u32,
        size: &Size,
        apalis: Option<&Apalis>,
    ) -> anyhow::Result<()> {
        for (at, workers) in WORKERS.into_iter().enumerate() {
            let weather = weather(self.stack.dir.path())?;
            let commits = commits(&self.bare, size.jobs).await?;
            let name = format!("r{round}w{workers}");
            let ours = tasks(&self.stack, &name, workers, size.jobs).await?;
            let name = format!("b{round}w{workers}");
            let bulk = bulk(&self.stack, &name, workers, size.jobs).await?;
            say(&format!(
                "jobs on {}, round {round} of {}, workers {workers}: {ours:.0} tasks/s, \
                 {bulk:.0} in one bulk, {commits:.0} commits/s; {weather}",
                self.on.name(),
                size.rounds,
            ));
            self.columns[at].commits.push(commits);
            self.columns[at].ours.push(ours);
            self.columns[at].bulk.push(bulk);
            if let (Some(apalis), Some(setting)) = (apalis, self.columns[at].setting) {
                let rate = self.peer(apalis, workers, setting, size).await?;
                self.columns[at].peer.push(rate.unwrap_or(f64::NAN));
            }
        }
        Ok(())
    }

    fn row(&self, label: &str, cell: impl Fn(&Column) -> String) {
        let cells: Vec<String> = self.columns.iter().map(cell).collect();
        say(&format!("| {label} | {} |", cells.join(" | ")));
    }

    fn table(&self, size: &Size, apalis: Option<&Apalis>) {
        say(&format!(
            "\n| {} tasks with one empty step on {}, 16 at once in each worker | {} |\n|---|{}",
            size.jobs,
            self.on.name(),
            WORKERS.map(workers).join(" | "),
            "---|".repeat(WORKERS.len()),
        ));
        let commits = format!("tasks/s ({COMMITS_PER_JOB} commits each)");
        self.row(&commits, |column| spread(&column.ours, 0));
        self.row("tasks/s in one bulk", |column| spread(&column.bulk, 0));
        self.row("bare commits/s, one after the other", |column| {
            spread(&column.commits, 0)
        });
        self.row("**tasks / bare commits**", |column| {
            format!("**{}**", spread(&ratios(&column.ours, &column.commits), 3))
        });
        self.row("of what those commits alone would allow", |column| {
            let allowed = |rate: &f64| rate / COMMITS_PER_JOB;
            let allowed: Vec<f64> = column.commits.iter().map(allowed).collect();
            spread(&ratios(&column.ours, &allowed), 2)
        });
        if apalis.is_some() {
            self.row(&format!("{NAME}, jobs/s"), Column::peer);
            self.row("apalis is set to", |column| {
                column
                    .setting
                    .map_or("–".to_owned(), |setting| setting.to_string())
            });
            self.row("**tasks / apalis**", Column::beside_peer);
        }
    }
}

fn workers(count: usize) -> String {
    match count {
        1 => "1 worker".to_owned(),
        more => format!("{more} workers"),
    }
}

/// Tasks a second, each asked for by itself, from the start of the workers to the last end.
async fn tasks(stack: &Stack, name: &str, workers: usize, jobs: u32) -> anyhow::Result<f64> {
    let before = count(stack, TaskState::Completed).await?;
    futures::stream::iter(0..jobs)
        .map(|n| {
            let name = format!("{name}-{n}");
            async move { stack.client.create(&name, json!({})).await }
        })
        .buffer_unordered(ASKING)
        .try_collect::<Vec<_>>()
        .await?;
    let engine = Arc::new(Empty::new());
    let hired = Crew::hire(stack, &engine, workers).await?;
    let began = Instant::now();
    let crew = Crew::start(hired);
    crew.all_ended(stack, &engine, jobs).await?;
    let rate = f64::from(jobs) / began.elapsed().as_secs_f64();
    crew.stop().await?;
    let completed = count(stack, TaskState::Completed).await? - before;
    ensure!(completed == u64::from(jobs), "{completed} of {jobs} done");
    Ok(rate)
}

/// The same for one bulk: each end of a child brings the bulk up to date as well.
async fn bulk(stack: &Stack, name: &str, workers: usize, jobs: u32) -> anyhow::Result<f64> {
    let server = |n: u32| {
        let name = format!("{name}-{n}");
        json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 })
    };
    let servers: Vec<_> = (0..jobs).map(server).collect();
    let body = json!({ "servers": servers });
    let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let bulk = reply.body["task_id"].as_str().context("task_id")?;
    let hired = Crew::hire(stack, &Arc::new(Empty::new()), workers).await?;
    let began = Instant::now();
    let crew = Crew::start(hired);
    crew.completed(stack, bulk).await?;
    let rate = f64::from(jobs) / began.elapsed().as_secs_f64();
    crew.stop().await?;
    Ok(rate)
}

/// Transactions of one small row a second, one after the other.
async fn commits(store: &SeaStore, count: u32) -> anyhow::Result<f64> {
    let began = Instant::now();
    for n in 0..count {
        let tx = store.begin().await?;
        let throttle = Throttle {
            failures: 1,
            not_before_ms: n.into(),
        };
        tx.set_throttle("bench", throttle).await?;
        tx.commit().await?;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let databases = Databases::start()?;
    let apalis = Apalis::built();
    if apalis.is_none() {
        say("without apalis: `cargo xtask bench` builds it");
    }
    let mut beds = Vec::new();
    for on in databases.each() {
        beds.push(Bed::make(on, size).await?);
    }
    if let Some(apalis) = &apalis {
        for bed in &mut beds {
            bed.tune(apalis, size).await?;
        }
    }
    for round in 1..=size.rounds {
        for bed in &mut beds {
            bed.round(round, size, apalis.as_ref()).await?;
        }
    }
    for bed in beds {
        bed.table(size, apalis.as_ref());
        bed.stack.stop().await?;
    }
    say("");
    Ok(())
}
