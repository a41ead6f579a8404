//! Our data source, folder and dashboards in Grafana, in the order in which they need each other.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{GrafanaError, boards, datasource, folder, wire::Wire};

/// What Grafana is to be told.
#[derive(Clone, Debug)]
pub struct Provision {
    /// Where Grafana reaches Prometheus.
    pub prometheus_url: Url,
    /// Bearer token for Prometheus. Grafana does not give it back: one that was exchanged is only sent when something
    /// else of the data source has to be written, or after people removed the header in Grafana.
    pub prometheus_token: Option<SecretString>,
    /// How often Prometheus asks its targets. Grafana takes rates over four times as long. Told when the data source
    /// is made; later it belongs to people.
    pub scrape_interval: Duration,
}

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was older, or said something else.
    Updated,
    /// Nothing was written.
    Unchanged,
}

/// What became of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// The data source `tpm-prometheus`.
    pub datasource: Outcome,
    /// The folder `tpm`.
    pub folder: Outcome,
    /// Each dashboard by its uid.
    pub dashboards: Vec<(String, Outcome)>,
}

impl Provisioned {
    /// Whether anything was written.
    #[must_use]
    pub fn changed(&self) -> bool {
        let mut all = self.dashboards.iter().map(|(_, outcome)| outcome);
        [&self.datasource, &self.folder]
            .into_iter()
            .chain(&mut all)
            .any(|outcome| *outcome != Outcome::Unchanged)
    }
}

pub(super) async fn provision(
    wire: &Wire,
    wanted: &Provision,
) -> Result<Provisioned, GrafanaError> {
    if !wire.has_token() {
        return Err(GrafanaError::NoToken);
    }
    let datasource = datasource::ensure(wire, wanted).await?;
    let folder = folder::ensure(wire).await?;
    let mut dashboards = Vec::new();
    for board in boards::all() {
        let outcome = boards::ensure(wire, &board).await?;
        dashboards.push((board.uid, outcome));
    }
    Ok(Provisioned {
        datasource,
        folder,
        dashboards,
    })
}
