//! The benchmarks: ours beside a peer, interleaved rounds in one run, the median of the per-round ratios
//! with their range. Arguments name the tables that are wanted: `reads`, `jobs`, `latency`, `fleet`,
//! `engines`, `events`, `page`, `footprint`.
//!
//! Absolute numbers are of this machine at this minute and are only printed beside them.

#[path = "../bench/crew.rs"]
mod crew;
#[path = "../bench/engines.rs"]
mod engines;
#[path = "../bench/events.rs"]
mod events;
#[path = "../bench/fleet.rs"]
mod fleet;
#[path = "../bench/footprint.rs"]
mod footprint;
#[path = "../bench/jobs.rs"]
mod jobs;
#[path = "../bench/latency.rs"]
mod latency;
#[path = "../bench/measure.rs"]
mod measure;
#[path = "../bench/page.rs"]
mod page;
#[path = "../bench/peer.rs"]
mod peer;
#[path = "../bench/reads.rs"]
mod reads;

use clap::{Parser, ValueEnum};

/// A table of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// The list of servers
    Reads,
    /// Tasks by several workers on each database, and how soon they begin
    Jobs,
    /// How soon a task begins, alone
    Latency,
    /// A thousand servers in one bulk
    Fleet,
    /// Twenty servers by plain Terraform and by both engines
    Engines,
    /// Ten thousand followers of live events
    Events,
    /// Ten thousand servers in a browser; only when it is named
    Page,
    /// Memory and start of the processes
    Footprint,
}

#[derive(Clone, Debug, Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures, and prints the tables of figures"
)]
struct Args {
    /// The tables that are wanted; all when none is named
    tables: Vec<Table>,
    #[command(flatten)]
    size: measure::Size,
}

impl Args {
    fn wants(&self, table: Table) -> bool {
        self.tables.is_empty() || self.tables.contains(&table)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    measure::say("# Benchmarks\n");
    measure::say(&format!(
        "{} cores; SQLite with synchronous=FULL, PostgreSQL with fsync=on\n",
        cores()
    ));
    if args.wants(Table::Reads) {
        reads::run(&args.size).await?;
    }
    if args.wants(Table::Jobs) {
        jobs::run(&args.size).await?;
    }
    if args.wants(Table::Jobs) || args.wants(Table::Latency) {
        latency::run(&args.size).await?;
    }
    if args.wants(Table::Fleet) {
        fleet::run().await?;
    }
    if args.wants(Table::Engines) {
        engines::run(&args.size).await?;
    }
    if args.wants(Table::Events) {
        events::run(&args.size).await?;
    }
    // Needs Node and Chromium, which the others do not.
    if args.tables.contains(&Table::Page) {
        page::run(&args.size).await?;
    }
    if args.wants(Table::Footprint) {
        footprint::run().await?;
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
