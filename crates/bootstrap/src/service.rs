//! The service, opened: database, engines, and from them an api and workers.

use crate::certificate::OwnCertificate;
use crate::clock::SystemClock;
use crate::host::Machine;
use crate::keys::{audit_key, channel_key};
use crate::life::{self, Life};
use crate::listen::Listening;
use crate::monitoring::Publisher;
use crate::own_metrics::Told;
use crate::probes::{MeasuringProbe, NotConfigured, ProxmoxProbe, SecretsProbe};
use crate::worker::{Hands, WorkerProcess};
use crate::{Logs, engine, monitoring, notify, policy, references, secrets, terraform};
use anyhow::Context;
use axum_server::Handle;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tpm_api::{ApiSettings, Leaving};
use tpm_app::{
    App, AppParts, Channels, Dashboards, Measured, Secrets, ServiceProbe, SettingValue, SettingView,
};
use tpm_domain::Clock;
use tpm_jobs::{NoFaults, PointHook};
use tpm_monitoring::MetricsReader;
use tpm_provisioner::{Certificates, GuestHistory, GuestShell, Provisioner};
use tpm_provisioner_terraform::{Renderer, StateRoom, TerraformCode};
use tpm_pve_client::Client;
use tpm_secrets::SecretStore;
use tpm_settings::{Settings, Shown, ShownValue};
use tpm_store::Store;
use tpm_store_seaorm::SeaStore;

/// How long the api takes to stop at most, when its `drain_secs` leave room for it.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// What requests in flight get in any case.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// An opened installation.
pub struct Service {
    settings: Settings,
    store: Arc<SeaStore>,
    engines: BTreeMap<String, Arc<dyn Provisioner>>,
    client: Option<Client>,
    room: StateRoom,
    /// Tells guests as code, where there is a cluster.
    renderer: Option<Renderer>,
    /// Who measures, when somebody does.
    prometheus: Option<Arc<dyn MetricsReader>>,
    history: Option<Arc<dyn GuestHistory>>,
    guests: Option<Arc<dyn GuestShell>>,
    certificates: Vec<Arc<dyn Certificates>>,
    secrets: Secrets,
    /// This installation's name.
    instance: String,
    logs: life::Given,
    /// Tells what the process counts.
    told: Arc<Told>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("engines", &self.engines.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the database, bringing its schema up to date, and builds the direct engine when a cluster
    /// is configured. Calls nothing outside.
    ///
    /// # Errors
    /// When the data directory, the database or the cluster's certificate cannot be used.
    pub async fn open(mut settings: Settings) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
        references::resolve_database(&mut settings).await?;
        let store = SeaStore::open(&engine::database_url(&settings)?)
            .await
            .context("database")?;
        let store = Arc::new(store);
        let secrets = secrets::open(&settings, store.clone()).await?;
        references::resolve(&mut settings, &secrets).await?;
        let room = terraform::room(&settings, store.clone())?;
        let mut engines: BTreeMap<String, Arc<dyn Provisioner>> = BTreeMap::new();
        let mut renderer = None;
        let client = engine::client(&settings)?;
        let instance = store.instance_id().await?;
        let mut history: Option<Arc<dyn GuestHistory>> = None;
        let mut guests: Option<Arc<dyn GuestShell>> = None;
        let mut certificates: Vec<Arc<dyn Certificates>> = Vec::new();
        if !settings.api.tls_certificate.as_os_str().is_empty() {
            let own = OwnCertificate(settings.api.tls_certificate.clone());
            certificates.push(Arc::new(own));
        }
        if let Some(client) = &client {
            let direct = Arc::new(engine::direct(&settings, client.clone(), &instance)?);
            history = Some(direct.clone());
            guests = Some(direct.clone());
            certificates.push(direct.clone());
            let direct: Arc<dyn Provisioner> = direct;
            engines.insert(direct.name().to_owned(), Arc::clone(&direct));
            let of_guests = terraform::renderer(&settings, direct, client.clone(), &instance)?;
            let terraform = terraform::engine(&settings, of_guests.clone(), room.clone())?;
            if let Some(terraform) = terraform {
                engines.insert(terraform.name().to_owned(), Arc::new(terraform));
            }
            renderer = Some(of_guests);
        }
        Ok(Self {
            prometheus: monitoring::prometheus(&settings, &instance)?,
            history,
            guests,
            certificates,
            secrets,
            instance,
            told: Arc::new(Told::new(store.clone())?),
            settings,
            store,
            engines,
            client,
            room,
            renderer,
            logs: life::Given::default(),
        })
    }

    /// Stores what this process logs in the database; its api or its worker does it.
    #[must_use]
    pub fn with_logs(self, logs: Logs) -> Self {
        let given = Arc::new(Mutex::new(Some(logs)));
        Self {
            logs: given,
            ..self
        }
    }

    /// Adds an engine of the caller's, under its own name; one of the same name is replaced.
    #[must_use]
    pub fn with_engine(mut self, engine: Arc<dyn Provisioner>) -> Self {
        self.engines.insert(engine.name().to_owned(), engine);
        self
    }

    /// With another store of secrets, for programs that bring one of their own.
    #[must_use]
    pub fn with_secrets(mut self, store: Arc<dyn SecretStore>) -> Self {
        self.secrets.store = Some(store);
        self
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One of the engines.
    #[must_use]
    pub fn engine(&self, name: &str) -> Option<Arc<dyn Provisioner>> {
        self.engines.get(name).cloned()
    }

    /// The database, for programs that look into it.
    #[must_use]
    pub fn store(&self) -> Arc<SeaStore> {
        Arc::clone(&self.store)
    }

    /// The use cases.
    ///
    /// # Errors
    /// When the default engine is not there.
    pub fn app(&self) -> anyhow::Result<App> {
        let names: Vec<String> = self.engines.keys().cloned().collect();
        anyhow::ensure!(
            names.contains(&self.settings.engine),
            "engine: there is no engine called {}, only: {}",
            self.settings.engine,
            names.join(", ")
        );
        let proxmox: Arc<dyn ServiceProbe> = match &self.client {
            Some(client) => Arc::new(ProxmoxProbe::new(client.clone())),
            None => Arc::new(NotConfigured("proxmox")),
        };
        Ok(App::new(AppParts {
            store: self.store.clone(),
            policy: policy::policy(&self.settings, names)?,
            clock: Arc::new(SystemClock),
            random: Arc::new(|buffer| rand::Rng::fill_bytes(&mut rand::rng(), buffer)),
            services: vec![
                proxmox,
                Arc::new(MeasuringProbe::prometheus(self.prometheus.clone())),
                Arc::new(MeasuringProbe::grafana(monitoring::grafana(
                    &self.settings,
                )?)),
                match &self.secrets.store {
                    Some(store) => Arc::new(SecretsProbe(Arc::clone(store))),
                    None => Arc::new(NotConfigured("vault")),
                },
            ],
            code: Some(Arc::new(TerraformCode::new(
                self.room.clone(),
                self.renderer.clone(),
            ))),
            measured: self.measured()?,
            channels: self.channels()?,
            secrets: self.secrets.clone(),
            metrics: Some(self.told.clone()),
            host: Arc::new(Machine::new(self.settings.data_dir.clone())),
            settings: self.settings.shown.iter().map(setting).collect(),
            audit_key: audit_key(&self.settings)?,
            started_at: SystemClock.now(),
        }))
    }

    fn channels(&self) -> anyhow::Result<Channels> {
        Ok(Channels::new(
            notify::policy(&self.settings)?,
            channel_key(&self.settings)?,
        ))
    }

    fn measured(&self) -> anyhow::Result<Measured> {
        let monitoring = &self.settings.monitoring;
        let grafana = monitoring::grafana(&self.settings)?;
        Ok(Measured {
            prometheus: self.prometheus.clone(),
            grafana: grafana.map(|grafana| {
                let url = monitoring.grafana_url.trim_end_matches('/').to_owned();
                (url, grafana as Arc<dyn Dashboards>)
            }),
            history: self.history.clone(),
            manager: self.instance.clone(),
            exporter_port: monitoring.exporter_port,
            reload: monitoring.prometheus_reload,
        })
    }

    /// An api that listens; it answers once [`Api::serve`] runs. Makes the first person when there is
    /// nobody.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the database does not answer.
    pub async fn api(&self) -> anyhow::Result<Api> {
        let app = self.app()?;
        let given = self.settings.auth.admin_password.expose_secret();
        let made_up = app
            .ensure_admin(
                &self.settings.auth.admin_name,
                (!given.is_empty()).then(|| given.to_owned()),
            )
            .await
            .context("the first account")?;
        if let Some(network) = policy::default_network(&self.settings)? {
            app.ensure_default_network(&network)
                .await
                .context("the first network")?;
        }
        let listen = self.settings.api.listen;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let listening = Listening::new(&self.settings.api).await?;
        let public = public_url(&self.settings.api.public_url, listening.scheme(), address)?;
        let leaving = Leaving::default();
        let router = tpm_api::router(
            app.clone(),
            ApiSettings {
                origins: origins(&public, address),
                secure_cookie: !is_loopback(&public) || public.scheme() == "https",
                max_body_bytes: self.settings.api.max_body_bytes,
                request_timeout: Duration::from_secs(self.settings.api.request_timeout_secs),
                trusted_proxies: self.settings.trusted_proxies(),
                key_requests_per_second: pace(self.settings.limits.key_requests_per_second),
                session_requests_per_second: pace(self.settings.limits.session_requests_per_second),
                leaving: leaving.clone(),
            },
        );
        let name = format!("api-{}", hex::encode(rand::random::<[u8; 8]>()));
        let log = &self.settings.log;
        Ok(Api {
            life: Life::new(self.store.clone(), ("api", name), &self.logs, log)?,
            listener,
            listening,
            app,
            router,
            address,
            made_up: made_up.map(Into::into),
            leaving,
            drain: Duration::from_secs(self.settings.api.drain_secs),
        })
    }

    /// A worker; it works once [`WorkerProcess::run`] runs.
    ///
    /// # Errors
    /// When the settings do not fit.
    pub fn worker(&self) -> anyhow::Result<WorkerProcess> {
        self.worker_with(Arc::new(NoFaults))
    }

    /// A worker that a test may stop between the parts of a step.
    ///
    /// # Errors
    /// As [`worker`](Self::worker).
    pub fn worker_with(&self, hook: Arc<dyn PointHook>) -> anyhow::Result<WorkerProcess> {
        let engines = self
            .engines
            .iter()
            .map(|(name, e)| (name.clone(), Arc::clone(e)))
            .collect();
        let file = &self.settings.monitoring.targets_file;
        let writes_targets = !file.as_os_str().is_empty();
        let publisher = Publisher::new(
            &self.settings,
            self.store.clone(),
            writes_targets.then(|| self.app()).transpose()?,
            self.prometheus.clone(),
        )?;
        WorkerProcess::new(
            &self.settings,
            self.store.clone(),
            Hands {
                engines,
                metrics: self.prometheus.clone(),
                guests: self.guests.clone(),
                certificates: self.certificates.clone(),
                cluster: self.client.clone(),
                courier: notify::courier(&self.settings, self.channels()?)?,
            },
            hook,
            &self.logs,
            publisher,
            self.told.clone(),
        )
    }
}

/// A listening api.
#[derive(Debug)]
pub struct Api {
    life: Life,
    listener: TcpListener,
    listening: Listening,
    app: App,
    router: axum::Router,
    address: SocketAddr,
    made_up: Option<SecretString>,
    leaving: Leaving,
    drain: Duration,
}

impl Api {
    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.listening.scheme(), self.address)
    }

    /// The first person's password when it was made up just now. It is stored nowhere: show it.
    pub fn take_made_up_password(&mut self) -> Option<SecretString> {
        self.made_up.take()
    }

    /// Its routes, to be served otherwise or to be called in process.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Answers until `stop`. Then `/readyz` says so, and for `api.drain_secs` requests are still
    /// accepted, each answer the last one on its connection; after that the listener and idle connections
    /// are closed, and requests in flight get what is left of ten seconds, five at least.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let handle = Handle::new();
        let serving = self
            .listening
            .serve(self.listener, self.router, handle.clone());
        let (leaving, drain) = (self.leaving, self.drain);
        let over = async {
            stop.cancelled().await;
            leaving.begin();
            tokio::time::sleep(drain).await;
            let rest = STOPPED_WITHIN.saturating_sub(drain).max(LAST_REQUESTS);
            handle.graceful_shutdown(Some(rest));
            // It is over then, whoever still waits for an answer.
            tokio::time::sleep(rest).await;
            tracing::warn!("requests were still in flight at the end");
        };
        let ended = CancellationToken::new();
        let life = tokio::spawn(self.life.live(ended.clone()));
        let done = tokio::select! {
            done = serving => done.context("api"),
            () = over => Ok(()),
            () = self.app.run_live() => Ok(()),
        };
        ended.cancel();
        life.await.context("the log")?;
        done
    }
}

fn setting(shown: &Shown) -> SettingView {
    SettingView {
        key: shown.key.clone(),
        value: match &shown.value {
            ShownValue::Text(text) => SettingValue::Text(text.clone()),
            ShownValue::List(all) => SettingValue::List(all.clone()),
            ShownValue::Secret(is_set) => SettingValue::Secret(*is_set),
        },
        source: shown.origin.as_str(),
    }
}

fn pace(per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN)
}

fn public_url(configured: &str, scheme: &str, address: SocketAddr) -> anyhow::Result<url::Url> {
    let text = if configured.is_empty() {
        format!("{scheme}://{address}")
    } else {
        configured.into()
    };
    text.parse()
        .with_context(|| format!("api.public_url: {text}"))
}

fn is_loopback(public: &url::Url) -> bool {
    match public.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The origins of our own page: the public URL's, and the names of this machine when it is loopback.
fn origins(public: &url::Url, address: SocketAddr) -> Vec<String> {
    let mut origins = vec![public.origin().ascii_serialization()];
    if is_loopback(public) {
        let scheme = public.scheme();
        origins.push(format!("{scheme}://localhost:{}", address.port()));
        origins.push(format!("{scheme}://{address}"));
    }
    origins
}
