//! What is counted of a worker's work.

use std::time::Duration;
use tpm_domain::TaskKind;

/// Counters that have a value before anything is counted, so that the first one is seen as a change.
pub(crate) fn begun() {
    metrics::counter!("tpm_stale_leases_total").increment(0);
}

/// A task was claimed.
pub(crate) fn claimed(kind: TaskKind) {
    metrics::counter!("tpm_claims_total", "kind" => kind.as_str()).increment(1);
}

/// A claim was given up, because the lease was over or had passed to another worker.
pub(crate) fn stale() {
    metrics::counter!("tpm_stale_leases_total").increment(1);
}

/// A step is over: `done`, `skipped` or `failed`. Its time runs from its first look on.
pub(crate) fn step_over(engine: &str, step: &'static str, outcome: &'static str, took: Duration) {
    metrics::histogram!(
        "tpm_step_duration_seconds",
        "engine" => engine.to_owned(),
        "step" => step,
        "outcome" => outcome,
    )
    .record(took);
}
