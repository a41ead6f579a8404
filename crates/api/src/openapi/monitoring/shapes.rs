//! What monitoring asks for and answers.

#![expect(dead_code, reason = "these types only describe the wire")]

use crate::openapi::words::words;
use serde_json::Value;
use std::collections::BTreeMap;
use tpm_app::{Source, Why};
use tpm_domain::{AlertRule, AlertState, Severity};
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

words!(
    MonitorState,
    "How it is doing.",
    ["running", "down", "not_configured"],
    |word| word
);
words!(
    MetricSource,
    "Who measured: the exporter on the server, or the node its guest is on.",
    Source::ALL,
    Source::as_str
);
words!(
    MetricReason,
    "Why something was not measured, or not by the exporter. New words may be added.",
    Why::ALL,
    Why::as_str
);
words!(
    ReloadWord,
    "What became of telling Prometheus to read its files anew.",
    ["not_asked", "done", "not_enabled", "failed", "unreachable"],
    |word| word
);
words!(
    AlertRuleWord,
    "What was looked for; `external` was sent by Alertmanager.",
    AlertRule::ALL,
    AlertRule::as_str
);
words!(
    AlertStateWord,
    "`pending`: wrong, and not for long enough; `firing`: people were told; `resolved`: it is over.",
    AlertState::ALL,
    AlertState::as_str
);
words!(
    AlertSeverity,
    "How much it matters.",
    Severity::ALL,
    Severity::as_str
);

/// How those who measure are doing.
#[derive(ToSchema)]
pub(super) struct MonitoringStatus {
    /// Prometheus.
    prometheus: PrometheusState,
    /// Grafana.
    grafana: GrafanaState,
    /// The exporters on servers.
    node_exporters: Exporters,
}

/// Prometheus.
#[derive(ToSchema)]
pub(super) struct PrometheusState {
    /// Whether it answers.
    status: MonitorState,
    /// Where it is; `null` when none is configured.
    #[schema(example = "http://localhost:9090")]
    url: Option<String>,
    /// All that it scrapes, whoever's; `null` when that is not known.
    targets: Option<u64>,
    /// Those that answered the last time.
    healthy_targets: Option<u64>,
    /// Why something is not known.
    reason: Option<MetricReason>,
}

/// Grafana.
#[derive(ToSchema)]
pub(super) struct GrafanaState {
    /// Whether it and its database answer.
    status: MonitorState,
    /// Where it is; `null` when none is configured.
    #[schema(example = "http://localhost:3000")]
    url: Option<String>,
    /// Dashboards that our token sees; `null` when that is not known.
    dashboards: Option<u64>,
    /// Why something is not known: `unreachable`, `timeout`, `bad_answer`, `refused`, `no_token`, `database_down`.
    #[schema(example = "unreachable")]
    reason: Option<String>,
}

/// The exporters on servers, as Prometheus scrapes them.
#[derive(ToSchema)]
pub(super) struct Exporters {
    /// Servers that are to be scraped.
    total: u64,
    /// Those that answered the last time; `null` when Prometheus does not say.
    active: Option<u64>,
    /// The others.
    inactive: Option<u64>,
    /// Each that is known not to answer, with the reason.
    down: Vec<SilentExporter>,
}

/// An exporter that does not answer.
#[derive(ToSchema)]
pub(super) struct SilentExporter {
    /// The server.
    server_id: i64,
    /// Its name.
    #[schema(example = "web-server-01")]
    server_name: String,
    /// `no_address`, `port_closed`, `no_answer`, `unreachable`, `bad_answer`, `not_scraped_yet`; and where the role has
    /// the guest asked (`node_exporter`): `agent_off`, `not_installed`, `installing`, `install_failed`.
    #[schema(example = "port_closed")]
    reason: String,
    /// What Prometheus said.
    error: Option<String>,
}

/// A server and its latest figures.
#[derive(ToSchema)]
pub(super) struct ServerMetrics {
    /// The server.
    server_id: i64,
    /// Its name.
    #[schema(example = "web-server-01")]
    server_name: String,
    /// The figures.
    metrics: Metrics,
}

/// Figures. What was not measured is `null`, never 0, and `reasons` says why.
#[derive(ToSchema)]
pub(super) struct Metrics {
    /// Processor time in use, in percent of all cores, with one decimal.
    cpu_usage: Option<f64>,
    /// Memory in use, in percent, with one decimal.
    memory_usage: Option<f64>,
    /// Space in use on the root file system, in percent, with one decimal; Proxmox VE does not know it.
    disk_usage: Option<f64>,
    /// Bytes received in a second, over the last minute.
    network_in: Option<u64>,
    /// Bytes sent in a second, over the last minute.
    network_out: Option<u64>,
    /// When it was measured, RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    timestamp: Option<String>,
    /// Who measured.
    source: Option<MetricSource>,
    /// Why it was not the exporter, or nobody.
    reason: Option<MetricReason>,
    /// Why a figure is `null`, by its name.
    reasons: BTreeMap<String, MetricReason>,
}

/// The latest figures of servers.
#[derive(ToSchema)]
pub(super) struct FleetMetrics {
    /// A page of servers.
    servers: Vec<ServerMetrics>,
    /// How many there are.
    total: u64,
}

/// The figures of a server in the past.
#[derive(ToSchema)]
pub(super) struct MetricsHistory {
    /// The server.
    server_id: i64,
    /// Its name.
    #[schema(example = "web-server-01")]
    server_name: String,
    /// The first point, RFC 3339, UTC.
    #[schema(format = "date-time")]
    from: String,
    /// The end, RFC 3339, UTC.
    #[schema(format = "date-time")]
    to: String,
    /// Seconds from one point to the next.
    step: u32,
    /// Who measured.
    source: Option<MetricSource>,
    /// Why it was not the exporter, or nobody.
    reason: Option<MetricReason>,
    /// The points, each what was in use over the step before it; none when nobody measured.
    points: Vec<MetricPoint>,
}

/// The latest figures, or those of the past.
pub(super) struct LatestOrPast;

impl PartialSchema for LatestOrPast {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name(ServerMetrics::name()))
            .item(Ref::from_schema_name(MetricsHistory::name()))
            .description(Some("The latest figures, or those of the past."))
            .into()
    }
}

impl ToSchema for LatestOrPast {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ServerMetrics::name().into_owned(), ServerMetrics::schema()));
        ServerMetrics::schemas(schemas);
        schemas.push((
            MetricsHistory::name().into_owned(),
            MetricsHistory::schema(),
        ));
        MetricsHistory::schemas(schemas);
    }
}

/// Figures at one moment.
#[derive(ToSchema)]
pub(super) struct MetricPoint {
    /// The moment, RFC 3339, UTC.
    #[schema(format = "date-time")]
    timestamp: String,
    /// In percent.
    cpu_usage: Option<f64>,
    /// In percent.
    memory_usage: Option<f64>,
    /// In percent.
    disk_usage: Option<f64>,
    /// Bytes in a second.
    network_in: Option<u64>,
    /// Bytes in a second.
    network_out: Option<u64>,
}

/// Targets that have their labels in common.
#[derive(ToSchema)]
pub(super) struct TargetGroup {
    /// `address:port`.
    #[schema(example = json!(["192.168.1.101:9100"]))]
    targets: Vec<String>,
    /// `manager`, `server_id`, `server_name`, `role`, `node`, `engine`, `project`.
    labels: BTreeMap<String, String>,
}

/// The document of Prometheus' HTTP service discovery.
#[derive(ToSchema)]
pub(super) struct TargetGroups(Vec<TargetGroup>);

/// What publishing came to.
#[derive(ToSchema)]
pub(super) struct TargetsPublished {
    /// Always `true`.
    success: bool,
    /// What was done, in the language asked for.
    message: String,
    /// When, RFC 3339, UTC.
    #[schema(format = "date-time")]
    published_at: String,
    /// How many targets there are.
    targets: u64,
    /// Names of servers that were not among them when they were published last.
    added: Vec<String>,
    /// Names of servers that were, and are not any more.
    removed: Vec<String>,
    /// Names of servers whose address or labels are others.
    changed: Vec<String>,
    /// What Prometheus has made of it so far.
    prometheus: TakenUp,
}

/// What Prometheus has taken up.
#[derive(ToSchema)]
pub(super) struct TakenUp {
    /// Names of servers that it scrapes; `null` when that is not known.
    taken_up: Option<Vec<String>>,
    /// Names of servers that it does not scrape yet: it asks for the targets every `refresh_interval`.
    pending: Option<Vec<String>>,
    /// Why that is not known.
    reason: Option<MetricReason>,
    /// Whether it was told to read its files anew (`monitoring.prometheus_reload`).
    reload: ReloadWord,
}

/// An alert.
#[derive(ToSchema)]
pub(super) struct Alert {
    /// Its number.
    id: i64,
    /// What was looked for.
    rule: AlertRuleWord,
    /// How far it is.
    status: AlertStateWord,
    /// How much it matters.
    severity: AlertSeverity,
    /// A server's or a node's name, or that of another's alert.
    #[schema(example = "web-server-01")]
    subject: String,
    /// The server it is about.
    server_id: Option<i64>,
    /// What was seen.
    #[schema(example = "96.2 %")]
    detail: Option<String>,
    /// Since when it is wrong, RFC 3339, UTC.
    #[schema(format = "date-time")]
    since: String,
    /// When people were told.
    #[schema(format = "date-time")]
    fired_at: Option<String>,
    /// When it was over.
    #[schema(format = "date-time")]
    resolved_at: Option<String>,
}

/// A page of alerts.
#[derive(ToSchema)]
pub(super) struct AlertList {
    /// The alerts.
    alerts: Vec<Alert>,
    /// How many there are.
    total: u64,
}

/// What Alertmanager sends to a webhook, version 4; whatever else it says is let be.
#[derive(ToSchema)]
pub(super) struct AlertmanagerMessage {
    /// The alerts, at most 1000.
    alerts: Vec<SentAlert>,
}

words!(
    SentState,
    "Whether it is on.",
    ["firing", "resolved"],
    |word| word
);

/// An alert that is sent.
#[derive(ToSchema)]
pub(super) struct SentAlert {
    /// Whether it is on.
    status: SentState,
    /// What it is told by.
    #[schema(example = "c0ffee0000000001", max_length = 4096)]
    fingerprint: String,
    /// `alertname`, `severity`, `server_id` of one of our servers; others are let be.
    labels: Option<BTreeMap<String, Value>>,
    /// `summary`, or `description`.
    annotations: Option<BTreeMap<String, Value>>,
}

/// What became of it.
#[derive(ToSchema)]
pub(super) struct AlertsTaken {
    /// Always `true`.
    success: bool,
    /// What was done, in the language asked for.
    message: String,
    /// Alerts that people were told of now.
    raised: u64,
    /// Alerts that are over now.
    resolved: u64,
}
