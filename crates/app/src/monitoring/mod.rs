//! What is measured of servers, by whom, and how those who measure are doing.

mod alerts;
mod cached;
mod metrics;
mod targets;

pub use alerts::SentAlert;
pub use metrics::{MetricsHistory, MetricsView, ServerMetrics, Source};
pub use targets::Published;

use crate::{App, Ctx, Result, ServiceState};
use async_trait::async_trait;
use cached::Cached;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{Exporter, ExporterState, Permission, ServerId};
use tpm_monitoring::{Grafana, GrafanaError, Latest, MetricsReader, ScrapeTarget, Why};
use tpm_provisioner::GuestHistory;

/// An answer is good for this long, however many ask.
const REMEMBER: Duration = Duration::from_secs(2);

/// Grafana, as far as its state is told.
#[async_trait]
pub trait Dashboards: Send + Sync {
    /// Whether it and its database answer.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn is_well(&self) -> std::result::Result<bool, GrafanaError>;
    /// How many dashboards there are.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn count(&self) -> std::result::Result<usize, GrafanaError>;
}

#[async_trait]
impl Dashboards for Grafana {
    async fn is_well(&self) -> std::result::Result<bool, GrafanaError> {
        Ok(self.health().await?.database_ok)
    }

    async fn count(&self) -> std::result::Result<usize, GrafanaError> {
        self.dashboards().await
    }
}

/// Who measures.
#[derive(Default)]
pub struct Measured {
    /// Prometheus, when one is configured.
    pub prometheus: Option<Arc<dyn MetricsReader>>,
    /// Grafana, when one is configured, and its URL.
    pub grafana: Option<(String, Arc<dyn Dashboards>)>,
    /// What Proxmox VE measured in the past, when there is a cluster.
    pub history: Option<Arc<dyn GuestHistory>>,
    /// The name of this installation in labels.
    pub manager: String,
    /// Port of node_exporter on servers.
    pub exporter_port: u16,
    /// Whether Prometheus is told to read its files anew.
    pub reload: bool,
}

/// Answers that are still good.
#[derive(Default)]
pub(crate) struct Remembered {
    latest: Cached<Latest>,
    targets: Cached<std::result::Result<Vec<ScrapeTarget>, Why>>,
    grafana: Cached<GrafanaStatus>,
}

/// How Prometheus is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusStatus {
    /// Whether it answers.
    pub state: ServiceState,
    /// Where it is; empty when none is configured.
    pub url: String,
    /// Why what is not known is not.
    pub reason: Option<Why>,
    /// How many targets it has, and how many of them are healthy.
    pub targets: Option<(usize, usize)>,
}

/// How Grafana is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrafanaStatus {
    /// Whether it answers.
    pub state: ServiceState,
    /// Where it is; empty when none is configured.
    pub url: String,
    /// Why what is not known is not, as a word.
    pub reason: Option<&'static str>,
    /// How many dashboards it has.
    pub dashboards: Option<usize>,
}

/// An exporter that is not scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentExporter {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Why it is silent, as a word.
    pub reason: &'static str,
    /// What Prometheus said.
    pub error: String,
}

/// How the exporters on servers are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterStatus {
    /// Servers that should be scraped.
    pub total: usize,
    /// Those that are; `None` when Prometheus does not say.
    pub active: Option<usize>,
    /// The others.
    pub silent: Vec<SilentExporter>,
}

/// How all that measures is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitoringStatus {
    /// Prometheus.
    pub prometheus: PrometheusStatus,
    /// Grafana.
    pub grafana: GrafanaStatus,
    /// The exporters on servers.
    pub exporters: ExporterStatus,
}

/// What a scrape that went wrong tells.
fn why_silent(error: &str) -> &'static str {
    let error = error.to_lowercase();
    if error.contains("connection refused") {
        "port_closed"
    } else if error.contains("deadline exceeded") || error.contains("timeout") {
        "no_answer"
    } else if error.contains("no route") || error.contains("unreachable") {
        "unreachable"
    } else if error.is_empty() {
        "not_scraped_yet"
    } else {
        "bad_answer"
    }
}

/// What the guest itself said of its silent exporter, and in which words, where that tells more than the scrape.
fn guest_says(exporter: &Exporter) -> Option<(&'static str, &str)> {
    let word = exporter.state.as_str();
    match exporter.state {
        // It listens and is not reached: the scrape tells how.
        ExporterState::Listening => None,
        // We may not ask.
        ExporterState::AgentForbidden => None,
        // The scrape calls that closed, too.
        ExporterState::NotRunning => Some(("port_closed", "")),
        ExporterState::NotInstalled
        | ExporterState::Installing
        | ExporterState::InstallFailed
        | ExporterState::AgentOff => Some((word, exporter.detail.as_str())),
    }
}

impl App {
    fn measured(&self) -> &Measured {
        &self.parts().measured
    }

    /// How Prometheus, Grafana and the exporters are doing.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn monitoring_status(&self, ctx: &Ctx) -> Result<MonitoringStatus> {
        ctx.authorize(Permission::ReadMonitoring)?;
        let (targets, found, grafana) = tokio::join!(
            self.scrape_targets(),
            self.scraped(),
            self.remembered()
                .grafana
                .get(REMEMBER, || self.grafana_status()),
        );
        let (targets, silent_for) = targets?;
        let asked = self.store().reads().exporters().await?;
        Ok(MonitoringStatus {
            prometheus: self.prometheus_status(&found),
            grafana,
            exporters: exporters(&targets, silent_for, &found, &asked),
        })
    }

    /// What Prometheus scrapes.
    async fn scraped(&self) -> std::result::Result<Vec<ScrapeTarget>, Why> {
        let Some(prometheus) = &self.measured().prometheus else {
            return Err(Why::NotConfigured);
        };
        let ask = || prometheus.targets();
        self.remembered().targets.get(REMEMBER, ask).await
    }

    fn prometheus_status(
        &self,
        found: &std::result::Result<Vec<ScrapeTarget>, Why>,
    ) -> PrometheusStatus {
        let prometheus = self.measured().prometheus.as_ref();
        PrometheusStatus {
            state: match found {
                _ if prometheus.is_none() => ServiceState::NotConfigured,
                Ok(_) => ServiceState::Running,
                Err(_) => ServiceState::Down,
            },
            url: prometheus.map(|it| it.url()).unwrap_or_default(),
            reason: found
                .as_ref()
                .err()
                .copied()
                .filter(|why| *why != Why::NotConfigured),
            targets: found.as_ref().ok().map(|all| {
                let healthy = all.iter().filter(|one| one.healthy == Some(true));
                (all.len(), healthy.count())
            }),
        }
    }

    async fn grafana_status(&self) -> GrafanaStatus {
        let Some((url, grafana)) = &self.measured().grafana else {
            return GrafanaStatus {
                state: ServiceState::NotConfigured,
                url: String::new(),
                reason: None,
                dashboards: None,
            };
        };
        let (well, count) = tokio::join!(grafana.is_well(), grafana.count());
        let (state, reason) = match (&well, &count) {
            (Err(error), _) => (ServiceState::Down, Some(error.word())),
            (Ok(false), _) => (ServiceState::Down, Some("database_down")),
            (Ok(true), Err(error)) => (ServiceState::Running, Some(error.word())),
            (Ok(true), Ok(_)) => (ServiceState::Running, None),
        };
        GrafanaStatus {
            state,
            url: url.clone(),
            reason,
            dashboards: count.ok(),
        }
    }
}

fn exporters(
    targets: &[tpm_monitoring::Target],
    mut silent: Vec<SilentExporter>,
    found: &std::result::Result<Vec<ScrapeTarget>, Why>,
    asked: &BTreeMap<ServerId, Exporter>,
) -> ExporterStatus {
    let total = targets.len() + silent.len();
    let Ok(found) = found else {
        return ExporterStatus {
            total,
            active: None,
            silent,
        };
    };
    let mut active = 0;
    for target in targets {
        let scraped = found.iter().find(|it| it.server == Some(target.server));
        if scraped.is_some_and(|it| it.healthy == Some(true)) {
            active += 1;
            continue;
        }
        let error = scraped.map(|it| it.error.clone()).unwrap_or_default();
        let told = asked.get(&target.server).and_then(guest_says);
        let (reason, detail) = told.unwrap_or_else(|| (why_silent(&error), ""));
        silent.push(SilentExporter {
            server: target.server,
            name: target.name.clone(),
            reason,
            error: if detail.is_empty() {
                error
            } else {
                detail.to_owned()
            },
        });
    }
    silent.sort_by_key(|one| one.server);
    ExporterStatus {
        total,
        active: Some(active),
        silent,
    }
}
