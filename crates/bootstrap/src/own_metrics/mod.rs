//! The process's own metrics: what is counted where it happens is kept here, and told with what is read for it.
//!
//! There is one recorder in a process, however many services it opens; what is read belongs to the one that tells.

mod described;
mod figures;
mod listen;
mod process;
mod text;

use described::{COUNTED, Kind};
pub(crate) use listen::{Listen, serve};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, Mutex, PoisonError};
use text::Family;
use tpm_app::{Figures, MetricsForm, OwnMetrics};
use tpm_store_seaorm::SeaStore;

/// Bounds in seconds of what takes a part of a second when all is well.
const SHORT: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Bounds in seconds of steps.
const LONG: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0,
];

static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Keeps what is counted in this process from now on; the second time, what the first one made.
///
/// # Errors
/// When the bounds of a histogram cannot be used.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    let mut kept = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*kept {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new().set_buckets(SHORT)?;
    let steps = Matcher::Full("tpm_step_duration_seconds".to_owned());
    builder = builder.set_buckets_for_metric(steps, LONG)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        // A program that embeds the service may keep metrics of its own, and ours with them.
        tracing::info!("metrics go to the recorder of the program");
    }
    for one in COUNTED {
        match one.kind {
            Kind::Counter => metrics::describe_counter!(one.name, one.help),
            Kind::Gauge => metrics::describe_gauge!(one.name, one.help),
            Kind::Histogram => metrics::describe_histogram!(one.name, one.help),
        }
    }
    *kept = Some(handle.clone());
    Ok(handle)
}

/// Sorts durations into their bounds; until then each is kept by itself.
pub(crate) fn upkeep() {
    let kept = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*kept {
        handle.run_upkeep();
    }
}

/// Tells the metrics of a service's process.
pub(crate) struct Told {
    recorder: PrometheusHandle,
    store: Arc<SeaStore>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

impl Told {
    pub(crate) fn new(store: Arc<SeaStore>) -> anyhow::Result<Self> {
        let recorder = recorder()?;
        Ok(Self { recorder, store })
    }

    /// The process's own part in a form.
    pub(crate) fn process(&self, form: MetricsForm) -> String {
        self.told(form, Vec::new())
    }

    fn told(&self, form: MetricsForm, mut read: Vec<Family>) -> String {
        let mut build = Family::new("tpm_build_info");
        build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let mut connections = Family::new("tpm_database_connections");
        let (open, idle) = self.store.connections();
        connections.sample(&[("state", "open")], f64::from(open));
        connections.sample(&[("state", "idle")], f64::from(idle));
        read.extend([build, connections]);
        read.extend(process::families());
        let mut families = text::families(&self.recorder.render());
        families.extend(read.iter().filter_map(Family::text));
        match form {
            MetricsForm::Text => text::plain(families),
            MetricsForm::OpenMetrics => text::open(families),
        }
    }
}

impl OwnMetrics for Told {
    fn text(&self, form: MetricsForm, figures: Option<&Figures>, followers: usize) -> String {
        let mut read = figures.map(figures::families).unwrap_or_default();
        let followers = u64::try_from(followers).unwrap_or(u64::MAX);
        read.push(Family::of("tpm_event_followers", process::whole(followers)));
        self.told(form, read)
    }
}
