//! What is measured of servers, and by whom: readings through Prometheus, the documents it discovers servers by, and
//! the dashboards of Grafana.
//!
//! No number is made up: what was not measured is [`Why`] it is not.

mod grafana;
mod prometheus;
mod promql;
mod reading;
mod targets;

pub use grafana::{
    DashboardQuery, Grafana, GrafanaError, GrafanaHealth, GrafanaSettings, Outcome, Provision,
    Provisioned, dashboard_queries,
};
pub use prometheus::{CannotAsk, MetricsReader, Prometheus, PrometheusSettings, Reload};
pub use reading::{Figure, Latest, Point, Reading, Readings, ScrapeTarget, Scraped, Span, Why};
pub use targets::{Target, TargetGroup, document, label, write_file};
