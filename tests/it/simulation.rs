//! Some seeds of the simulation, and that a seed is a run: the same one each time.

use anyhow::ensure;
use tpm_simulation::simulate;

/// The first seeds; `cargo xtask simulate` runs any number of them.
const SEEDS: u64 = 300;

#[test]
fn the_first_seeds_come_to_rest_as_they_must() {
    let mut wrong = Vec::new();
    let (mut tasks, mut takeovers) = (0, 0);
    for seed in 0..SEEDS {
        let report = simulate(seed, false);
        tasks += report.tasks;
        takeovers += report.takeovers;
        wrong.extend(report.wrong.iter().map(|it| format!("seed {seed}: {it}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A simulation in which nothing happens finds nothing.
    assert!(tasks > 1000 && takeovers > 100, "{tasks} {takeovers}");
}

#[test]
fn a_seed_is_the_same_run_each_time() -> anyhow::Result<()> {
    for seed in 0..100 {
        let (once, again) = (simulate(seed, true), simulate(seed, true));
        ensure!(once.trace.len() > 20, "seed {seed} tells nothing");
        ensure!(once == again, "seed {seed} went another way");
    }
    Ok(())
}

/// A trace costs time and changes nothing.
#[test]
fn watching_a_run_does_not_change_it() {
    for seed in 0..20 {
        let (seen, unseen) = (simulate(seed, true), simulate(seed, false));
        assert_eq!(seen.wrong, unseen.wrong, "{seed}");
        assert_eq!(
            (seen.tasks, seen.takeovers),
            (unseen.tasks, unseen.takeovers),
            "{seed}"
        );
    }
}
