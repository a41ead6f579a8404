//! Rounds, medians, and how busy the machine was.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much is measured. What is published is of the sizes that stand here; smaller ones show that it works.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Size {
    /// How many rounds; each runs all sides, one after the other
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How many tasks at once
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: u32,
    /// How many requests whose first step is waited for
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests: u32,
    /// How many followers of live events
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) followers: u32,
}

#[expect(
    clippy::print_stdout,
    reason = "the numbers are what this program is for"
)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The one that so many in a hundred do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (last * percent).div_ceil(100);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// `median (least to most)`.
pub(crate) fn spread(values: &[f64], digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!(
        "{:.digits$} ({least:.digits$} to {most:.digits$})",
        median(values)
    )
}

/// The ratio of each round.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// The load of the last minute, and how often a second the disk under `dir` takes a small synced write.
pub(crate) fn weather(dir: &Path) -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let path = dir.join("probe");
    let mut file = File::create(&path)?;
    let (began, mut synced) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_millis(300) {
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        synced += 1;
    }
    std::fs::remove_file(&path)?;
    let rate = f64::from(synced) / began.elapsed().as_secs_f64();
    Ok(format!("load {load}, {rate:.0} fsync/s"))
}
