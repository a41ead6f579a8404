//! The use cases and the workers in virtual time, from a seed: requests that lose their answers, workers
//! that die or stand still, a database that does not answer, a cluster that forgets, delays and refuses.
//!
//! Everything that a run does follows from its seed: one thread, a clock that passes when nobody has
//! anything to do, and no other source of randomness. A run that went wrong goes wrong again in the same
//! way, line by line. Nothing here is part of the product.

mod client;
mod engine;
mod last;
mod process;
mod profile;
mod pve;
mod random;
mod run;
mod scene;
mod watch;

use crate::scene::Scene;
use std::sync::Arc;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The run's seed.
    pub seed: u64,
    /// What happened, line by line; empty unless it was asked for.
    pub trace: Vec<String>,
    /// Invariants that did not hold.
    pub wrong: Vec<String>,
    /// Tasks there were.
    pub tasks: usize,
    /// Tasks taken over from an owner whose lease was over.
    pub takeovers: u64,
}

/// Runs a seed to its end.
///
/// # Panics
/// When the runtime cannot be built.
#[must_use]
pub fn simulate(seed: u64, tracing: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing of the system");
    runtime.block_on(async {
        let scene = Arc::new(Scene::new(tracing));
        let rest = run::run(seed, &scene).await;
        let (tasks, takeovers) = match rest {
            Ok(rest) => (rest.tasks, rest.counts.takeovers),
            Err(error) => {
                scene.wrong(format_args!("the beginning: {error}"));
                (0, 0)
            }
        };
        let (trace, wrong) = scene.end();
        Report {
            seed,
            trace,
            wrong,
            tasks,
            takeovers,
        }
    })
}
