//! Runs many seeds, or one with its trace.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks to its terminal"
)]

use clap::Parser;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tpm_simulation::{Report, simulate};

#[derive(Debug, Parser)]
#[command(name = "simulate", about = "The service in virtual time, from seeds")]
struct Flags {
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this seed, with its trace
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// Ends after so many seeds that went wrong
    #[arg(long, default_value_t = 5)]
    stop_after: usize,
}

fn main() -> std::process::ExitCode {
    let flags = Flags::parse();
    let red = match flags.replay {
        Some(seed) => {
            let report = simulate(seed, true);
            for line in &report.trace {
                println!("{line}");
            }
            for wrong in &report.wrong {
                println!("seed {seed}: {wrong}");
            }
            usize::from(!report.wrong.is_empty())
        }
        None => many(&flags),
    };
    if red == 0 {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}

fn many(flags: &Flags) -> usize {
    let began = Instant::now();
    let next = AtomicU64::new(flags.from);
    let end = flags.from.saturating_add(flags.seeds);
    let red: Mutex<Vec<Report>> = Mutex::default();
    let (tasks, takeovers) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let red_so_far = red.lock().unwrap_or_else(PoisonError::into_inner).len();
                    if seed >= end || red_so_far >= flags.stop_after {
                        return;
                    }
                    let report = simulate(seed, false);
                    done.fetch_add(1, Ordering::Relaxed);
                    tasks.fetch_add(report.tasks as u64, Ordering::Relaxed);
                    takeovers.fetch_add(report.takeovers, Ordering::Relaxed);
                    if !report.wrong.is_empty() {
                        for wrong in &report.wrong {
                            println!("seed {seed}: {wrong}");
                        }
                        red.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(report);
                    }
                }
            });
        }
    });
    let red = red.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = done.into_inner();
    let secs = began.elapsed().as_secs_f64().max(0.001);
    println!(
        "{done} seeds in {secs:.1} s ({:.0} a minute), {} tasks, {} takeovers, {} red",
        done as f64 * 60.0 / secs,
        tasks.into_inner(),
        takeovers.into_inner(),
        red.len()
    );
    if let Some(first) = red.iter().map(|report| report.seed).min() {
        println!("replay with --replay {first}");
    }
    red.len()
}
