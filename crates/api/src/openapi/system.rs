//! The service's own state in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::Op;
use super::words::words;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

words!(
    SystemState,
    "`degraded` when something that is configured does not answer.",
    ["healthy", "degraded"],
    |word| word
);
words!(
    ServiceWord,
    "How a service is doing.",
    ["running", "down", "not_configured"],
    |word| word
);

/// How everything is doing.
#[derive(ToSchema)]
struct SystemStatus {
    /// The service itself.
    system: SystemView,
    /// What it depends on, by name: `database`, `proxmox`, `prometheus`, `grafana`, `vault`, and the api itself
    /// as `api` and `flask`.
    services: BTreeMap<String, ServiceWord>,
    /// Why a service is down, by its name.
    reasons: BTreeMap<String, String>,
    /// The machine the api runs on.
    resources: HostView,
}

/// The service itself.
#[derive(ToSchema)]
struct SystemView {
    /// Whether everything that is configured answers.
    status: SystemState,
    /// Time since the process began, in words, in the language asked for.
    #[schema(example = "7 days, 12 hours")]
    uptime: String,
    /// Time since the process began, in seconds.
    uptime_secs: u64,
    /// The service's version.
    #[schema(example = "0.1.0")]
    version: String,
    /// When this was measured, RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    last_updated: String,
}

/// How much of the machine is in use, in percent with one decimal; `null` when it was not measured.
#[derive(ToSchema)]
struct HostView {
    /// Of all cores.
    #[schema(minimum = 0, maximum = 100)]
    cpu_usage: Option<f64>,
    /// Of the memory.
    #[schema(minimum = 0, maximum = 100)]
    memory_usage: Option<f64>,
    /// Of the disk the data lies on.
    #[schema(minimum = 0, maximum = 100)]
    disk_usage: Option<f64>,
}

/// A sign of life.
#[derive(ToSchema)]
struct Alive {
    /// Always `ok`.
    #[schema(pattern = "^ok$")]
    status: String,
}

/// Whether requests are welcome.
#[derive(ToSchema)]
struct Ready {
    /// Always `ready`.
    #[schema(pattern = "^ready$")]
    status: String,
}

/// Requests are to go elsewhere.
#[derive(ToSchema)]
struct NotReady {
    /// Always `not_ready`.
    #[schema(pattern = "^not_ready$")]
    status: String,
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get(
            "/api/system/status",
            "getSystemStatus",
            "How the service, what it depends on and its machine are doing",
        )
        .answers::<SystemStatus>(
            200,
            "The state of everything.",
            json!({
                "system": {
                    "status": "healthy",
                    "uptime": "7 days, 12 hours",
                    "uptime_secs": 648_000,
                    "version": "0.1.0",
                    "last_updated": "2024-01-15T10:30:00Z",
                },
                "services": {
                    "flask": "running",
                    "api": "running",
                    "proxmox": "running",
                    "prometheus": "not_configured",
                    "grafana": "not_configured",
                    "vault": "not_configured",
                    "database": "running",
                },
                "reasons": {},
                "resources": { "cpu_usage": 25.4, "memory_usage": 45.6, "disk_usage": 67.8 },
            }),
        ),
    ]
}

/// For load balancers and supervisors.
pub(super) fn health() -> Vec<Op> {
    vec![
        Op::get("/healthz", "getHealth", "Whether the process answers")
            .open()
            .answers::<Alive>(200, "It does.", json!({ "status": "ok" })),
        Op::get(
            "/readyz",
            "getReadiness",
            "Whether the process can do its work",
        )
        .about("Its database answers, and it was not asked to stop.")
        .open()
        .answers::<Ready>(200, "It can.", json!({ "status": "ready" }))
        .or_with::<NotReady>(503, "It cannot, now: `{\"status\": \"not_ready\"}`."),
    ]
}
