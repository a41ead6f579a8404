//! Every metric there is. `docs/metrics.md` says the same to people; that both agree, and that nothing else is
//! counted, is checked here.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows; begins anew with its process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a duration was within which bound.
    Histogram,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, described.
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the table is held against it in a test")
    )]
    pub(crate) labels: &'static [&'static str],
    /// `seconds`, `bytes`, or nothing when it is a number of things.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
}

const fn row(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    unit: &'static str,
    help: &'static str,
) -> Described {
    Described {
        name,
        kind,
        labels,
        unit,
        help,
    }
}

use Kind::{Counter, Gauge, Histogram};

/// What is counted where it happens.
pub(crate) const COUNTED: &[Described] = &[
    row(
        "tpm_http_requests_total",
        Counter,
        &["method", "route", "status"],
        "",
        "Requests that were answered, by the template of their route; unmatched is what has none.",
    ),
    row(
        "tpm_http_request_duration_seconds",
        Histogram,
        &["method", "route"],
        "seconds",
        "Time from a request to the beginning of its answer.",
    ),
    row(
        "tpm_http_requests_in_flight",
        Gauge,
        &[],
        "",
        "Requests whose answer has not begun.",
    ),
    row(
        "tpm_claims_total",
        Counter,
        &["kind"],
        "",
        "Tasks that this worker claimed, by kind; a task is claimed again each time it goes on.",
    ),
    row(
        "tpm_stale_leases_total",
        Counter,
        &[],
        "",
        "Claims that were given up because the lease was over or had passed to another worker.",
    ),
    row(
        "tpm_step_duration_seconds",
        Histogram,
        &["engine", "step", "outcome"],
        "seconds",
        "Time from the first look of a step to its end, which is done, skipped or failed.",
    ),
    row(
        "tpm_pve_requests_total",
        Counter,
        &["access", "outcome"],
        "",
        "Requests to Proxmox VE, reads and writes, by outcome: ok or the class of the error.",
    ),
    row(
        "tpm_pve_request_duration_seconds",
        Histogram,
        &["access"],
        "seconds",
        "Time that requests to Proxmox VE took, failed ones included.",
    ),
    row(
        "tpm_pve_withheld_total",
        Counter,
        &["reason"],
        "",
        "Calls of Proxmox VE that were not sent: endpoints_paused after failed connections, or credentials_refused.",
    ),
    row(
        "tpm_pve_cluster_looks_total",
        Counter,
        &[],
        "",
        "How often the cluster was asked for its list (/cluster/resources).",
    ),
];

/// What is read when it is told.
pub(crate) const READ: &[Described] = &[
    row(
        "tpm_build_info",
        Gauge,
        &["version"],
        "",
        "Always 1; the label says which version this process is.",
    ),
    row(
        "tpm_database_connections",
        Gauge,
        &["state"],
        "",
        "Connections of this process to the database: open, and idle of these.",
    ),
    row(
        "tpm_event_followers",
        Gauge,
        &[],
        "",
        "Who follows live events at this api.",
    ),
    row(
        "tpm_tasks",
        Gauge,
        &["kind", "state"],
        "",
        "Tasks of the installation by kind and state, parts of bulks included.",
    ),
    row(
        "tpm_task_oldest_age_seconds",
        Gauge,
        &["state"],
        "seconds",
        "How long ago the oldest task that is pending or running was asked for; 0 when there is none.",
    ),
    row(
        "tpm_vmids_free",
        Gauge,
        &[],
        "",
        "VMIDs of the range that could be given now: not held, not resting, nobody else's.",
    ),
    row(
        "tpm_network_addresses_free",
        Gauge,
        &["network"],
        "",
        "Addresses of a network that could be given now.",
    ),
    row(
        "tpm_cluster_picture_age_seconds",
        Gauge,
        &[],
        "seconds",
        "How long ago a worker saw the cluster last; absent when never.",
    ),
    row(
        "tpm_processes_alive",
        Gauge,
        &["kind"],
        "",
        "Processes of the installation that were heard of within 15 seconds, by kind: api or worker.",
    ),
    row(
        "process_cpu_seconds_total",
        Counter,
        &[],
        "seconds",
        "Processor time that the process has used.",
    ),
    row(
        "process_resident_memory_bytes",
        Gauge,
        &[],
        "bytes",
        "Memory of the process that is in RAM.",
    ),
    row(
        "process_virtual_memory_bytes",
        Gauge,
        &[],
        "bytes",
        "Address space of the process.",
    ),
    row(
        "process_open_fds",
        Gauge,
        &[],
        "",
        "Files and connections that the process has open.",
    ),
    row(
        "process_max_fds",
        Gauge,
        &[],
        "",
        "How many it may have open.",
    ),
    row(
        "process_start_time_seconds",
        Gauge,
        &[],
        "seconds",
        "When the process began, in seconds since the epoch.",
    ),
];

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Described> {
    COUNTED.iter().chain(READ).find(|one| one.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn crates() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn line(one: &Described) -> String {
        let labels: Vec<String> = one.labels.iter().map(|it| format!("`{it}`")).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            one.name,
            one.kind.as_str(),
            labels.join(", "),
            one.unit,
            one.help
        )
    }

    #[test]
    fn the_table_says_what_is_described() {
        let text =
            std::fs::read_to_string(crates().join("bootstrap/docs/metrics.md")).expect("the table");
        let told: BTreeSet<String> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(str::to_owned)
            .collect();
        let described: BTreeSet<String> = COUNTED.iter().chain(READ).map(line).collect();
        let missing: Vec<_> = described.difference(&told).collect();
        let invented: Vec<_> = told.difference(&described).collect();
        assert!(
            missing.is_empty() && invented.is_empty(),
            "not in docs/metrics.md: {missing:#?}; there and not so in the code: {invented:#?}"
        );
    }

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(std::fs::read_to_string(path).expect("a source"));
            }
        }
    }

    /// Nothing is counted that is not described, nor described and never counted.
    #[test]
    fn what_is_counted_is_what_is_described() {
        let mut texts = Vec::new();
        for room in ["api", "jobs", "pve-client"] {
            sources(&crates().join(room).join("src"), &mut texts);
        }
        let mut counted = BTreeSet::new();
        for text in &texts {
            for (kind, call) in [
                (Counter, "counter!("),
                (Gauge, "gauge!("),
                (Histogram, "histogram!("),
            ] {
                for rest in text.split(call).skip(1) {
                    let name = rest.trim_start().strip_prefix('"');
                    let name = name.and_then(|rest| rest.split('"').next());
                    let name = name.expect("a name that is written out");
                    counted.insert((name.to_owned(), kind.as_str()));
                }
            }
        }
        let described: BTreeSet<_> = COUNTED
            .iter()
            .map(|one| (one.name.to_owned(), one.kind.as_str()))
            .collect();
        assert_eq!(counted, described);
    }

    #[test]
    fn names_have_their_unit() {
        for one in COUNTED.iter().chain(READ) {
            let base = match one.kind {
                Counter => one.name.strip_suffix("_total").expect("a counter's suffix"),
                _ => one.name,
            };
            assert!(base.ends_with(one.unit), "{}", one.name);
            assert!(!one.help.contains(['|', '\n', '"', '\\']), "{}", one.name);
        }
    }
}
