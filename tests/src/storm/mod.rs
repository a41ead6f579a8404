//! The crash storm.
//!
//! The simulated cluster runs in this process and is never killed: it is the oracle. Apis, workers and the
//! database are real processes that are killed at random instants. Clients keep asking for servers, and
//! remember what they were told. When it is over, everything must come to its end, and what the cluster
//! says of itself must be what the clients were told.
//!
//! Not checked: I10, because there is no audit log so far.

mod args;
mod asking;
mod book;
mod caller;
mod clearing;
mod installation;
mod judge;
mod modes;
mod nemesis;
mod oracle;
mod person;
mod plan;
mod process;
mod random;
mod report;
mod rows;
mod run;
#[expect(
    clippy::module_inception,
    reason = "the storm is what everybody in it shares"
)]
mod storm;
mod strangers;
mod takeover;
mod watch;

use anyhow::Context;
use args::{Args, Database};
use clap::Parser;
use futures::stream::{self, StreamExt};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use installation::SharedPostgres;
use report::Outcome;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tpm_test_support::Postgres;

#[expect(clippy::print_stdout, reason = "what came of it is what this is for")]
fn say(line: &str) {
    println!("{line}");
}

/// Reads the command line and runs the seeds.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .enable_all()
        .build();
    let done = runtime.context("no runtime").and_then(|runtime| {
        runtime.block_on(async {
            let mut term = signal(SignalKind::terminate())?;
            let mut int = signal(SignalKind::interrupt())?;
            // Whatever was started is killed on the way out.
            tokio::select! {
                done = all(&args) => done,
                _ = term.recv() => anyhow::bail!("interrupted"),
                _ = int.recv() => anyhow::bail!("interrupted"),
            }
        })
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("storm: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs all seeds, some at once; whether everything held.
async fn all(args: &Args) -> anyhow::Result<bool> {
    let board = Board::new();
    let lanes = u64::try_from(args.at_once.max(1))?.min(args.seeds.max(1));
    let mut lanes_done = stream::iter(0..lanes)
        .map(|lane| lane_of(args, lane, lanes, &board))
        .buffer_unordered(args.at_once.max(1));
    let (mut held, mut kills, mut seeds) = (true, 0, 0);
    while let Some(outcomes) = lanes_done.next().await {
        for outcome in outcomes? {
            held &= outcome.violations.is_empty();
            kills += outcome.kills;
            seeds += 1;
        }
    }
    if let Some((own, others)) = cpu() {
        board.say(&format!(
            "processor: {own:.0} s for cluster and clients, {others:.0} s for the processes"
        ));
    }
    if seeds > 1 {
        let word = if held {
            "all invariants held"
        } else {
            "VIOLATED"
        };
        let database = args.database.as_str();
        board.say(&format!(
            "{seeds} seeds, {kills} kills on {database}: {word}"
        ));
    }
    Ok(held)
}

/// Processor time in seconds: this process's own, and that of those that it waited for.
fn cpu() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: Vec<f64> = text
        .rsplit(')')
        .next()?
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|word| word.parse().ok())
        .collect();
    let [user, system, user_others, system_others] = ticks[..] else {
        return None;
    };
    Some((
        (user + system) / 100.0,
        (user_others + system_others) / 100.0,
    ))
}

/// Every so manieth seed, one after the other, on one database server.
async fn lane_of(
    args: &Args,
    lane: u64,
    lanes: u64,
    board: &Board,
) -> anyhow::Result<Vec<Outcome>> {
    let postgres = match args.database {
        Database::Sqlite => None,
        Database::Postgres => Some(start_postgres()?),
    };
    let mut outcomes = Vec::new();
    let mut kills = 0;
    for seed in (args.seed..args.seed + args.seeds).skip(usize::try_from(lane)?) {
        if (seed - args.seed) % lanes != lane {
            continue;
        }
        let bar = board.bar(seed, args.kills);
        let outcome = run::run(args, seed, postgres.clone(), |storm| {
            bar.show(storm.kills(), storm.book.open().ended);
        });
        let outcome = outcome.await.with_context(|| format!("seed {seed}"))?;
        bar.end();
        board.say(&outcome.line);
        kills += outcome.kills;
        let violated = !outcome.violations.is_empty();
        if let Some(first) = outcome.violations.first() {
            board.say(&outcome.story(args));
            let before = kills - outcome.kills;
            board.say(&format!(
                "caught: {} {}",
                first.invariant,
                before + first.kill
            ));
        }
        outcomes.push(outcome);
        if violated {
            break;
        }
    }
    Ok(outcomes)
}

fn start_postgres() -> anyhow::Result<SharedPostgres> {
    let started = tokio::task::block_in_place(Postgres::start_durable)?;
    match started {
        Ok(postgres) => Ok(Arc::new(Mutex::new(postgres))),
        Err(missing) => anyhow::bail!("{missing}"),
    }
}

/// Shows how far every seed is: bars on a terminal, a line now and then everywhere else.
struct Board(Option<MultiProgress>);

impl Board {
    fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self(terminal.then(MultiProgress::new))
    }

    fn bar(&self, seed: u64, kills: u64) -> Bar {
        let bar = self.0.as_ref().map(|all| {
            let style = ProgressStyle::with_template(
                "seed {prefix:<6} {bar:30.red/dim} {pos:>5}/{len} kills  {elapsed:>4}  {msg}",
            );
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(kills).with_style(style);
            all.add(bar.with_prefix(seed.to_string()))
        });
        Bar {
            bar,
            seed,
            kills,
            told: Mutex::new(std::time::Instant::now()),
        }
    }

    fn say(&self, line: &str) {
        match &self.0 {
            Some(all) => all.suspend(|| say(line)),
            None => say(line),
        }
    }
}

struct Bar {
    bar: Option<ProgressBar>,
    seed: u64,
    kills: u64,
    told: Mutex<std::time::Instant>,
}

impl Bar {
    const TELL_EVERY: Duration = Duration::from_secs(20);

    fn show(&self, kills: u64, ended: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(kills);
                bar.set_message(format!("{ended} tasks have ended"));
            }
            None => {
                let mut told = self
                    .told
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if told.elapsed() > Self::TELL_EVERY {
                    *told = std::time::Instant::now();
                    let (seed, all) = (self.seed, self.kills);
                    say(&format!(
                        "seed {seed}: {kills} of {all} kills, {ended} tasks have ended"
                    ));
                }
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
