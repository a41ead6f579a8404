//! What was measured, what was published for Prometheus, and alerts.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{
    Alert, AlertId, AlertRule, AlertState, Exporter, ProjectId, ServerFigures, ServerId, Timestamp,
};

/// What was published last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// When.
    pub at: Timestamp,
    /// The document.
    pub body: String,
}

/// Which alerts, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// Only this state; pending ones are only shown when they are asked for.
    pub state: Option<AlertState>,
    /// Only of this rule.
    pub rule: Option<AlertRule>,
    /// Only of this server.
    pub server: Option<ServerId>,
    /// Only about servers of these projects.
    pub within: Option<std::collections::BTreeSet<ProjectId>>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// An alert and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Its number.
    pub id: AlertId,
    /// The alert.
    pub alert: Alert,
}

/// Looking at what was measured.
#[async_trait]
pub trait MonitoringReads: Send + Sync {
    /// The figures of one server or of all, as Proxmox VE told them last.
    async fn figures(&self, of: Option<ServerId>) -> Result<BTreeMap<ServerId, ServerFigures>>;
    /// The targets that were published last.
    async fn publication(&self) -> Result<Option<Publication>>;
    /// A page of alerts.
    async fn alerts(&self, query: &AlertQuery) -> Result<Page<AlertRow>>;
    /// What is known of exporters.
    async fn exporters(&self) -> Result<BTreeMap<ServerId, Exporter>>;
    /// Every alert that has not ended.
    async fn open_alerts(&self) -> Result<Vec<AlertRow>>;
}

/// Writing it down.
#[async_trait]
pub trait MonitoringWrites: Send + Sync {
    /// Replaces the figures of these servers; those that were not seen for so long are forgotten.
    async fn save_figures(
        &self,
        figures: &BTreeMap<ServerId, ServerFigures>,
        forget_after: Duration,
    ) -> Result<()>;
    /// Notes what is published now.
    async fn publish(&self, body: &str) -> Result<()>;
    /// Writes down what is known of one exporter.
    async fn save_exporter(&self, exporter: &Exporter) -> Result<()>;
    /// Forgets what is known of exporters of other servers than these.
    async fn keep_exporters(&self, of: &BTreeSet<ServerId>) -> Result<()>;
    /// Adds an alert. The schema refuses a second one that has not ended of the same rule about the same thing.
    async fn insert_alert(&self, alert: &Alert) -> Result<AlertId>;
    /// Writes back what can change of one.
    async fn save_alert(&self, id: AlertId, alert: &Alert) -> Result<()>;
    /// Takes one back that people were never told of.
    async fn drop_alert(&self, id: AlertId) -> Result<()>;
    /// Removes alerts that ended before a moment; how many.
    async fn trim_alerts(&self, before: Timestamp) -> Result<u64>;
}
