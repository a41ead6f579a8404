//! Grafana, played by a fake that answers as its API is documented, and by servers that answer anything but that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod dashboards;
mod fake;
mod promtool;
mod provisioning;
mod raw;

use std::time::Duration;

use tpm_monitoring::{Grafana, GrafanaSettings, Provision};
use url::Url;

/// No text that is shown may hold it.
const TOKEN: &str = "glsa_t0ken-of-a-service-account";

fn settings(url: Url, token: &str) -> GrafanaSettings {
    GrafanaSettings {
        url,
        token: token.to_owned().into(),
        timeout: Duration::from_secs(10),
    }
}

fn grafana(url: Url) -> Grafana {
    Grafana::new(settings(url, TOKEN)).unwrap()
}

fn provision(prometheus: &str) -> Provision {
    Provision {
        prometheus_url: prometheus.parse().unwrap(),
        prometheus_token: None,
        scrape_interval: Duration::from_secs(15),
    }
}
