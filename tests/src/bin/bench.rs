//! The benchmarks: ours beside a peer, interleaved rounds in one run, the median of the per-round ratios
//! with their range. Absolute numbers are of this machine at this minute and are only printed beside them.

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
    reads::run().await?;
    jobs::run().await?;
    footprint::run().await
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
