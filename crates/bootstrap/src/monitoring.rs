//! From settings to who measures; and what a worker keeps up to date for them: the file of targets, Grafana.

use anyhow::Context;
use secrecy::ExposeSecret;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tpm_app::App;
use tpm_monitoring::{
    Grafana, GrafanaSettings, MetricsReader, Prometheus, PrometheusSettings, Provision, Reload,
    TargetGroup, write_file,
};
use tpm_settings::Settings;
use tpm_store::Store;
use tpm_store_seaorm::SeaStore;
use url::Url;

/// How often one worker looks at what stands in Grafana.
const GRAFANA: Duration = Duration::from_secs(300);
/// How often it is looked whether it is time for that.
const OFTEN: Duration = Duration::from_secs(5);

/// Prometheus, when one is configured.
pub(crate) fn prometheus(
    settings: &Settings,
    manager: &str,
) -> anyhow::Result<Option<Arc<dyn MetricsReader>>> {
    let monitoring = &settings.monitoring;
    if monitoring.prometheus_url.is_empty() {
        return Ok(None);
    }
    let token = &monitoring.prometheus_token;
    let prometheus = Prometheus::new(PrometheusSettings {
        url: url(&monitoring.prometheus_url, "monitoring.prometheus_url")?,
        token: (!token.expose_secret().is_empty()).then(|| token.clone()),
        timeout: Duration::from_millis(monitoring.timeout_ms),
        window_secs: monitoring.window_secs,
        manager: manager.to_owned(),
    })?;
    Ok(Some(Arc::new(prometheus)))
}

/// Grafana, when one is configured.
pub(crate) fn grafana(settings: &Settings) -> anyhow::Result<Option<Arc<Grafana>>> {
    let monitoring = &settings.monitoring;
    if monitoring.grafana_url.is_empty() {
        return Ok(None);
    }
    let grafana = Grafana::new(GrafanaSettings {
        url: url(&monitoring.grafana_url, "monitoring.grafana_url")?,
        token: monitoring.grafana_token.clone(),
        timeout: Duration::from_millis(monitoring.timeout_ms),
    });
    Ok(Some(Arc::new(grafana.context("monitoring.grafana_url")?)))
}

fn url(text: &str, key: &str) -> anyhow::Result<Url> {
    text.parse().with_context(|| format!("{key}: {text}"))
}

/// What is kept up to date beside the tasks.
pub(crate) struct Publisher {
    store: Arc<SeaStore>,
    app: Option<App>,
    prometheus: Option<Arc<dyn MetricsReader>>,
    grafana: Option<(Arc<Grafana>, Provision)>,
    file: Option<PathBuf>,
    reload: bool,
    every: Duration,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    pub(crate) fn new(
        settings: &Settings,
        store: Arc<SeaStore>,
        app: Option<App>,
        prometheus: Option<Arc<dyn MetricsReader>>,
    ) -> anyhow::Result<Self> {
        let monitoring = &settings.monitoring;
        let file = &monitoring.targets_file;
        let has_token = !monitoring.grafana_token.expose_secret().is_empty();
        let reached = match monitoring.grafana_prometheus_url.as_str() {
            "" => &monitoring.prometheus_url,
            other => other,
        };
        let grafana = grafana(settings)?
            .filter(|_| has_token && !reached.is_empty())
            .map(|grafana| {
                let prometheus_url = url(reached, "monitoring.grafana_prometheus_url")?;
                let token = &monitoring.prometheus_token;
                let provision = Provision {
                    prometheus_url,
                    prometheus_token: (!token.expose_secret().is_empty()).then(|| token.clone()),
                    scrape_interval: Duration::from_secs(u64::from(monitoring.window_secs / 2)),
                };
                anyhow::Ok((grafana, provision))
            })
            .transpose()?;
        Ok(Self {
            store,
            app,
            prometheus,
            grafana,
            file: (!file.as_os_str().is_empty()).then(|| file.clone()),
            reload: monitoring.prometheus_reload,
            every: Duration::from_millis(settings.worker.look_ms).min(OFTEN),
        })
    }

    /// Until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if self.file.is_none() && self.grafana.is_none() {
            return;
        }
        let mut trouble = false;
        let mut owed = Owed::default();
        while !stop.is_cancelled() {
            let done = self.turn(&mut owed).await;
            if let Err(error) = &done
                && !trouble
            {
                tracing::warn!("what monitoring reads is not up to date: {error:#}");
            }
            trouble = done.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    /// Both parts, whatever becomes of the other; the first failure.
    async fn turn(&self, owed: &mut Owed) -> anyhow::Result<()> {
        let targets = self.targets(owed).await;
        let grafana = self.dashboards(owed).await;
        targets.and(grafana)
    }

    async fn targets(&self, owed: &mut Owed) -> anyhow::Result<()> {
        let (Some(file), Some(app)) = (&self.file, &self.app) else {
            return Ok(());
        };
        let groups = app.discovered().await?;
        if written(file.clone(), groups).await? {
            tracing::info!(file = %file.display(), "targets written");
            owed.reload = true;
        }
        if let Some(prometheus) = self.prometheus.as_ref().filter(|_| self.reload)
            && owed.reload
        {
            let told = prometheus.reload().await;
            anyhow::ensure!(told == Reload::Done, "Prometheus' reload: {told:?}");
        }
        owed.reload = false;
        Ok(())
    }

    async fn dashboards(&self, owed: &mut Owed) -> anyhow::Result<()> {
        let Some((grafana, provision)) = &self.grafana else {
            return Ok(());
        };
        if !owed.grafana && !self.store.queue().take_turn("grafana", GRAFANA).await? {
            return Ok(());
        }
        owed.grafana = true;
        let done = grafana.provision(provision).await.context("Grafana")?;
        owed.grafana = false;
        if done.changed() {
            tracing::info!(?done, "data source and dashboards of Grafana");
        }
        Ok(())
    }
}

/// What was begun and did not come to its end: it is tried again in the next turn.
#[derive(Debug, Default)]
struct Owed {
    /// Prometheus is to be told of a file that was written.
    reload: bool,
    /// Grafana is to be looked at; this worker has the turn.
    grafana: bool,
}

async fn written(file: PathBuf, groups: Vec<TargetGroup>) -> anyhow::Result<bool> {
    let shown = file.display().to_string();
    let done = tokio::task::spawn_blocking(move || write_file(&file, &groups)).await?;
    done.with_context(|| format!("monitoring.targets_file: {shown}"))
}
