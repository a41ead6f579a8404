//! What is measured of servers, and by whom: readings through Prometheus, the documents it discovers servers by, and
//! the dashboards of Grafana.

mod grafana;

pub use grafana::{
    DashboardQuery, Grafana, GrafanaError, GrafanaHealth, GrafanaSettings, Outcome, Provision,
    Provisioned, dashboard_queries,
};
