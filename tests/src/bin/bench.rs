//! The benchmarks: ours beside a peer, interleaved rounds in one run, the median of the per-round ratios
//! with their range. Arguments name the tables that are wanted: `reads`, `jobs`, `fleet`, `footprint`.
//!
//! Absolute numbers are of this machine at this minute and are only printed beside them.

#[path = "../bench/fleet.rs"]
mod fleet;
#[path = "../bench/footprint.rs"]
mod footprint;
#[path = "../bench/jobs.rs"]
mod jobs;
#[path = "../bench/measure.rs"]
mod measure;
#[path = "../bench/reads.rs"]
mod reads;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    measure::say("# Benchmarks\n");
    measure::say(&format!(
        "{} cores, SQLite with synchronous=FULL\n",
        cores()
    ));
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if is_wanted("reads") {
        reads::run().await?;
    }
    if is_wanted("jobs") {
        jobs::run().await?;
    }
    if is_wanted("fleet") {
        fleet::run().await?;
    }
    if is_wanted("footprint") {
        footprint::run().await?;
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
