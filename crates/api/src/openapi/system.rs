//! The service's own state in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, paging, query_text, query_word};
use super::servers::Done;
use super::words::words;
use serde_json::json;
use std::collections::BTreeMap;
use tpm_app::LogLevel;
use tpm_messages::{Answer, Lang, answer};
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
    /// What it depends on, by name: `database`, `proxmox`, `prometheus`, `grafana`, `vault`, the api itself
    /// as `api` and `flask`, and `worker`, which runs when one of the workers does.
    services: BTreeMap<String, ServiceWord>,
    /// Why a service is down, by its name.
    reasons: BTreeMap<String, String>,
    /// How long each service that is running took to answer, in milliseconds, by its name.
    latency_ms: BTreeMap<String, f64>,
    /// The api processes that were heard of within ten minutes.
    apis: Vec<ProcessView>,
    /// The workers that were heard of within ten minutes.
    workers: Vec<ProcessView>,
    /// The machine the api runs on.
    resources: HostView,
}

/// A process of the service.
#[derive(ToSchema)]
struct ProcessView {
    /// Its name among all that ever ran.
    #[schema(example = "worker-3f9c0a7b1d2e4f60")]
    name: String,
    /// The machine it runs on.
    #[schema(example = "manager-1")]
    host: String,
    /// Its number there.
    pid: u32,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: String,
    /// When it began, RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    started_at: String,
    /// When it was heard of last, RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    last_heartbeat: String,
    /// Whether that was within 15 seconds.
    alive: bool,
}

words!(
    LogLevelWord,
    "How much something that is logged matters, in ascending order.",
    LogLevel::ALL,
    LogLevel::as_str
);
words!(
    SettingSource,
    "Where a setting came from.",
    ["default", "file", "environment"],
    |word| word
);

/// Something that was logged.
#[derive(ToSchema)]
struct LogLineView {
    /// When, by the clock of the process, RFC 3339, UTC, to the millisecond.
    #[schema(format = "date-time")]
    timestamp: String,
    /// How much it matters.
    level: LogLevelWord,
    /// Which process.
    #[schema(example = "worker-3f9c0a7b1d2e4f60")]
    process: String,
    /// Which part of it.
    #[schema(example = "tpm_jobs::rounds")]
    target: String,
    /// What.
    #[schema(example = "cannot see the cluster")]
    message: String,
    /// More about it. `request_id` is the one that was answered in `X-Request-Id`.
    fields: BTreeMap<String, serde_json::Value>,
}

/// A page of what was logged, the newest first.
#[derive(ToSchema)]
struct LogPage {
    /// The lines.
    logs: Vec<LogLineView>,
    /// How many there are in all.
    total: u64,
}

/// A setting of the api.
#[derive(ToSchema)]
struct Setting {
    /// Its path.
    #[schema(example = "api.listen")]
    key: String,
    /// What holds, as it was written; a list where it is one; of a secret `set` or `unset`.
    value: OneOrMore,
    /// Whether it is secret.
    secret: bool,
    /// Where it came from.
    source: SettingSource,
}

/// A text, or several.
#[derive(ToSchema)]
#[serde(untagged)]
enum OneOrMore {
    /// A text.
    One(String),
    /// Several.
    More(Vec<String>),
}

/// The settings of the api, by key.
#[derive(ToSchema)]
struct ConfigPage {
    /// The settings.
    config: Vec<Setting>,
    /// How many there are.
    total: u64,
    /// The level that every process logs from on; `null` is as configured.
    log_level: Option<LogLevelWord>,
}

/// The level that is logged from on.
#[derive(ToSchema)]
struct SetLogLevel {
    /// The level; `null` is as configured.
    #[schema(required = true)]
    level: Option<LogLevelWord>,
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
    /// Since when the database is known to be an older copy that no admin has accepted: nothing is changed then; `null`
    /// when it is none.
    #[schema(format = "date-time")]
    restored_at: Option<String>,
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
                    "restored_at": null,
                },
                "services": {
                    "flask": "running",
                    "api": "running",
                    "worker": "running",
                    "proxmox": "running",
                    "prometheus": "not_configured",
                    "grafana": "not_configured",
                    "vault": "not_configured",
                    "database": "running",
                },
                "reasons": {},
                "latency_ms": { "proxmox": 4.2, "database": 0.3 },
                "apis": [process("api-0b57f2a69a3f4a0e")],
                "workers": [process("worker-3f9c0a7b1d2e4f60")],
                "resources": { "cpu_usage": 25.4, "memory_usage": 45.6, "disk_usage": 67.8 },
            }),
        ),
        Op::get(
            "/api/system/logs",
            "listLogs",
            "What the processes of the service logged",
        )
        .about(
            "Of all processes, as long as `log.stored_days` and `log.stored_lines` keep it. A line is there \
             about a second after it was logged.",
        )
        .queries([
            query_word(
                "level",
                "At least of this level.",
                LogLevel::ALL.map(LogLevel::as_str),
                None,
            ),
            query_text("process", "Of processes whose name begins so.", "worker"),
            query_text("target", "Of parts whose name begins so.", "tpm_jobs"),
            query_text(
                "text",
                "With this text in the message or the fields.",
                "cluster",
            ),
            query_text(
                "field",
                "With this field, as `NAME=VALUE`.",
                "request_id=0b57f2a6-9a3f-4a0e-9f5e-7c1d8a9b3e44",
            ),
            query_text("from", "At this moment (RFC 3339) or later.", "2024-01-15T00:00:00Z"),
            query_text("to", "Before this moment (RFC 3339).", "2024-01-16T00:00:00Z"),
        ])
        .queries(paging("lines"))
        .answers::<LogPage>(
            200,
            "A page of lines, the newest first.",
            json!({
                "logs": [{
                    "timestamp": "2024-01-15T10:30:00.120Z",
                    "level": "warning",
                    "process": "worker-3f9c0a7b1d2e4f60",
                    "target": "tpm_jobs::rounds",
                    "message": "cannot see the cluster",
                    "fields": { "engine": "direct" },
                }],
                "total": 1,
            }),
        ),
        Op::get(
            "/metrics",
            "getMetrics",
            "The api's own metrics, and the installation's in figures, for Prometheus",
        )
        .about(
            "As OpenMetrics when `Accept` asks for it, else as the text of Prometheus. Prometheus sends an API key with \
             the scope `monitoring:read` as its bearer token. Figures of the database are up to three seconds old. \
             Every metric is described in `crates/bootstrap/docs/metrics.md`.",
        )
        .answers_text(
            200,
            "All metrics.",
            [
                ("text/plain", example_of_metrics("tpm_pve_cluster_looks_total", "")),
                (
                    "application/openmetrics-text",
                    example_of_metrics("tpm_pve_cluster_looks", "# EOF\n"),
                ),
            ],
        ),
        Op::get(
            "/api/system/config",
            "getConfig",
            "The settings of the api, and where each came from",
        )
        .about("Secrets are `set` or `unset`; nothing tells what they are.")
        .answers::<ConfigPage>(
            200,
            "All settings, by key.",
            json!({
                "config": [
                    { "key": "api.listen", "value": "127.0.0.1:5000", "secret": false, "source": "default" },
                    { "key": "api.trusted_proxies", "value": [], "secret": false, "source": "default" },
                    { "key": "proxmox.token_secret", "value": "set", "secret": true, "source": "environment" },
                ],
                "total": 3,
                "log_level": null,
            }),
        ),
        Op::put(
            "/api/system/log-level",
            "setLogLevel",
            "Set the level that every process logs from on",
        )
        .about("They take it up within seconds, and keep to it over restarts.")
        .asks::<SetLogLevel>(json!({ "level": "debug" }))
        .answers::<Done>(
            200,
            "Set.",
            json!({ "success": true, "message": answer(Lang::En, Answer::Saved) }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
        Op::post(
            "/api/system/restored/accept",
            "acceptRestored",
            "Accept a restored copy",
        )
        .about(
            "A database that was restored from a copy, or does not know guests that were made by it, is read-only: \
             requests that change something answer 409 `RESTORED_COPY`, and no task goes on, but guests that it does not \
             know are taken in, and tasks can be cancelled. After this it is as any other, and its open tasks go on.",
        )
        .answers::<Done>(
            200,
            "Accepted.",
            json!({ "success": true, "message": answer(Lang::En, Answer::Saved) }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
    ]
}

fn example_of_metrics(family: &str, end: &str) -> String {
    format!(
        "# HELP {family} How often the cluster was asked for its list.\n\
         # TYPE {family} counter\n\
         tpm_pve_cluster_looks_total 42\n\
         {end}"
    )
}

fn process(name: &str) -> serde_json::Value {
    json!({
        "name": name,
        "host": "manager-1",
        "pid": 4711,
        "version": "0.1.0",
        "started_at": "2024-01-08T22:30:00Z",
        "last_heartbeat": "2024-01-15T10:29:58Z",
        "alive": true,
    })
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
