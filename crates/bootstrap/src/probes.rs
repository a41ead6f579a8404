//! What the service depends on, asked for the system status.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tpm_app::{Probed, ServiceProbe, ServiceState};
use tpm_monitoring::{Grafana, MetricsReader};
use tpm_pve_client::Client;
use tpm_secrets::SecretStore;

/// An answer is good for this long, however many ask.
const REMEMBER: Duration = Duration::from_secs(5);
/// A cluster that does not answer within this time is down.
const PATIENCE: Duration = Duration::from_secs(4);

/// The cluster.
pub(crate) struct ProxmoxProbe {
    client: Client,
    last: Mutex<Option<(Instant, Probed)>>,
}

impl ProxmoxProbe {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::new(None),
        }
    }
}

#[async_trait]
impl ServiceProbe for ProxmoxProbe {
    fn name(&self) -> &'static str {
        "proxmox"
    }

    async fn probe(&self) -> Probed {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < REMEMBER
        {
            return answer.clone();
        }
        let asked = Instant::now();
        let (state, reason) = match tokio::time::timeout(PATIENCE, self.client.version()).await {
            Ok(Ok(_)) => (ServiceState::Running, None),
            Ok(Err(error)) => (ServiceState::Down, Some(error.text().to_owned())),
            Err(_) => (ServiceState::Down, Some("no answer in time".to_owned())),
        };
        let answer = Probed {
            state,
            reason,
            latency: (state == ServiceState::Running).then(|| asked.elapsed()),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// Prometheus or Grafana, as the system status tells them.
pub(crate) struct MeasuringProbe {
    name: &'static str,
    prometheus: Option<Arc<dyn MetricsReader>>,
    grafana: Option<Arc<Grafana>>,
}

impl MeasuringProbe {
    pub(crate) fn prometheus(prometheus: Option<Arc<dyn MetricsReader>>) -> Self {
        Self {
            name: "prometheus",
            prometheus,
            grafana: None,
        }
    }

    pub(crate) fn grafana(grafana: Option<Arc<Grafana>>) -> Self {
        Self {
            name: "grafana",
            prometheus: None,
            grafana,
        }
    }
}

#[async_trait]
impl ServiceProbe for MeasuringProbe {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn probe(&self) -> Probed {
        let asked = Instant::now();
        let reason = if let Some(prometheus) = &self.prometheus {
            let answer = prometheus.targets().await;
            answer.err().map(|why| why.as_str().to_owned())
        } else if let Some(grafana) = &self.grafana {
            match grafana.health().await {
                Ok(health) => (!health.database_ok).then(|| "database_down".to_owned()),
                Err(error) => Some(error.to_string()),
            }
        } else {
            return NotConfigured(self.name).probe().await;
        };
        let state = match reason {
            None => ServiceState::Running,
            Some(_) => ServiceState::Down,
        };
        Probed {
            state,
            latency: (state == ServiceState::Running).then(|| asked.elapsed()),
            reason,
        }
    }
}

/// The store of secrets, as the system status tells it.
pub(crate) struct SecretsProbe(pub(crate) Arc<dyn SecretStore>);

#[async_trait]
impl ServiceProbe for SecretsProbe {
    fn name(&self) -> &'static str {
        "vault"
    }

    async fn probe(&self) -> Probed {
        let asked = Instant::now();
        let status = self.0.status().await;
        let usable = status.is_usable();
        let sealed = || (status.sealed == Some(true)).then(|| "sealed".to_owned());
        Probed {
            state: if usable {
                ServiceState::Running
            } else {
                ServiceState::Down
            },
            latency: usable.then(|| asked.elapsed()),
            reason: (!usable)
                .then(|| status.trouble.clone().or_else(sealed))
                .flatten(),
        }
    }
}

/// Something that this installation does not use.
pub(crate) struct NotConfigured(pub(crate) &'static str);

#[async_trait]
impl ServiceProbe for NotConfigured {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn probe(&self) -> Probed {
        Probed {
            state: ServiceState::NotConfigured,
            reason: None,
            latency: None,
        }
    }
}
