//! A worker process: the loop, and beside it a thread that keeps its leases.

use crate::engine::database_url;
use crate::life::{self, Life};
use crate::monitoring::Publisher;
use crate::own_metrics::{self, Listen, Told};
use crate::policy::{exporters, placement, rounds, schedules, vmids};
use crate::privileges;
use anyhow::Context;
use futures::future::OptionFuture;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tpm_domain::job::RetryPolicy;
use tpm_jobs::{
    Alerted, Archived, Courier, Engines, Heartbeat, PointHook, Scheduled, Swept, Tended, Worker,
    WorkerParts, WorkerSettings,
};
use tpm_monitoring::MetricsReader;
use tpm_provisioner::{Certificates, GuestShell};
use tpm_pve_client::Client;
use tpm_settings::{NodeExporter, Settings};
use tpm_store_seaorm::SeaStore;

/// How long to wait before a database that was away is asked again.
const BETWEEN_OPENS: Duration = Duration::from_millis(250);

/// What a worker reaches the outside by.
pub(crate) struct Hands {
    /// The engines.
    pub(crate) engines: Engines,
    /// Who measures.
    pub(crate) metrics: Option<Arc<dyn MetricsReader>>,
    /// Commands inside of guests.
    pub(crate) guests: Option<Arc<dyn GuestShell>>,
    /// Where certificates are seen.
    pub(crate) certificates: Vec<Arc<dyn Certificates>>,
    /// Who tells channels.
    pub(crate) courier: Courier,
    /// The cluster, to be asked what we may.
    pub(crate) cluster: Option<Client>,
}

/// A worker that is ready to run.
#[derive(Debug)]
pub struct WorkerProcess {
    worker: Worker,
    heartbeat: Arc<Heartbeat>,
    owner: String,
    life: Life,
    publisher: Publisher,
    /// Where metrics are told, if anywhere.
    listen: Option<Listen>,
    told: Arc<Told>,
    /// The cluster, and whether guests are asked for their exporters.
    cluster: (Option<Client>, bool),
    /// May hold a password.
    database: SecretString,
}

impl WorkerProcess {
    pub(crate) fn new(
        settings: &Settings,
        store: Arc<SeaStore>,
        hands: Hands,
        hook: Arc<dyn PointHook>,
        logs: &life::Given,
        publisher: Publisher,
        told: Arc<Told>,
    ) -> anyhow::Result<Self> {
        let lease = Duration::from_millis(settings.worker.lease_ms);
        let off = NodeExporter::Off;
        let asked = settings
            .roles
            .values()
            .any(|role| role.node_exporter != off);
        let heartbeat = Heartbeat::new(lease);
        let owner = format!("worker-{}", hex::encode(rand::random::<[u8; 8]>()));
        let me = ("worker", owner.clone());
        let life = Life::new(store.clone(), me, logs, &settings.log)?;
        let worker = Worker::new(WorkerParts {
            store,
            engines: hands.engines,
            metrics: hands.metrics,
            courier: Some(hands.courier),
            guests: hands.guests,
            certificates: hands.certificates,
            settings: WorkerSettings {
                concurrency: settings.worker.concurrency,
                lease,
                scan: Duration::from_millis(settings.worker.scan_ms),
                retry: RetryPolicy {
                    max_attempts: settings.worker.max_attempts,
                    ..RetryPolicy::default()
                },
                vmids: vmids(settings)?,
                placement: placement(settings),
                rounds: rounds(settings),
                exporters: exporters(settings),
                schedules: schedules(settings),
            },
            owner: owner.clone(),
            heartbeat: Arc::clone(&heartbeat),
            random: Arc::new(rand::random::<f64>),
            hook,
        });
        Ok(Self {
            worker,
            heartbeat,
            owner,
            life,
            publisher,
            listen: Listen::new(&settings.worker)?,
            told,
            cluster: (hands.cluster, asked),
            database: database_url(settings)?.into(),
        })
    }

    /// This worker's name among all that ever ran.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Carries out everything that is due, waiting for what will be, until nothing is left; returns the
    /// number of claims. For tests and one-shot tools: it keeps no lease beyond its first length.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn drain(&self) -> anyhow::Result<usize> {
        Ok(self.worker.drain().await?)
    }

    /// Looks at the cluster once, so that requests know what room there is.
    ///
    /// # Errors
    /// When the cluster or the store does not answer.
    pub async fn look(&self) -> anyhow::Result<()> {
        self.worker.look().await?;
        Ok(())
    }

    /// Compares every server with its guest once.
    ///
    /// # Errors
    /// When the cluster or the store does not answer.
    pub async fn sweep(&self) -> anyhow::Result<Swept> {
        Ok(self.worker.sweep().await?)
    }

    /// Compares the backups that are known with the archives on the storages once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn look_at_archives(&self) -> anyhow::Result<Archived> {
        Ok(self.worker.look_at_archives().await?)
    }

    /// Follows schedules: begins what is due, sees to what runs, and lets go of what is not kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn follow_schedules(&self) -> anyhow::Result<Scheduled> {
        Ok(self.worker.follow_schedules().await?)
    }

    /// Holds what is seen now against the rules of alerts.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn judge_alerts(&self) -> anyhow::Result<Alerted> {
        Ok(self.worker.judge_alerts().await?)
    }

    /// Asks guests whose exporters are silent, and installs where that is wished.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tend_exporters(&self) -> anyhow::Result<Tended> {
        Ok(self.worker.tend_exporters().await?)
    }

    /// Sends what channels are to be told now; how much that was.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deliver(&self) -> anyhow::Result<usize> {
        Ok(self.worker.deliver().await?)
    }

    /// Does what is due for servers whose time ends; returns for how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn expire(&self) -> anyhow::Result<usize> {
        Ok(self.worker.expire().await?)
    }

    /// Works until `stop`, then lets what is under way come to its next checkpoint. A database that is away
    /// is waited for.
    ///
    /// # Errors
    /// When the thread that keeps the leases cannot be started.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let beat = CancellationToken::new();
        let thread = tokio::select! {
            thread = self.start_heartbeat(beat.clone()) => thread?,
            () = stop.cancelled() => {
                beat.cancel();
                return Ok(());
            }
        };
        let ended = CancellationToken::new();
        let life = tokio::spawn(self.life.live(ended.clone()));
        let telling = self
            .listen
            .map(|listen| tokio::spawn(own_metrics::serve(listen, self.told, ended.clone())));
        let (cluster, asked) = self.cluster;
        let privileges = cluster.map(|it| privileges::tell(it, asked, stop.clone()));
        let privileges = OptionFuture::from(privileges);
        tokio::join!(
            privileges,
            self.worker.run(stop.clone()),
            self.worker.make_rounds(stop.clone()),
            self.worker.make_deliveries(stop.clone()),
            self.publisher.run(stop)
        );
        beat.cancel();
        ended.cancel();
        life.await?;
        if let Some(telling) = telling {
            telling.await?;
        }
        let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
        ended.map_err(|_| anyhow::anyhow!("the heartbeat's thread panicked"))
    }

    /// A thread with a runtime and a connection of its own.
    async fn start_heartbeat(
        &self,
        stop: CancellationToken,
    ) -> anyhow::Result<std::thread::JoinHandle<()>> {
        let (ready, started) = oneshot::channel::<anyhow::Result<()>>();
        let (heartbeat, owner) = (Arc::clone(&self.heartbeat), self.owner.clone());
        let database = self.database.clone();
        let thread = std::thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = ready.send(Err(error.into()));
                        return;
                    }
                };
                runtime.block_on(async move {
                    let Some(store) = open_until(database.expose_secret(), &stop).await else {
                        return;
                    };
                    let _ = ready.send(Ok(()));
                    heartbeat.run(&store, &owner, stop).await;
                    store.close().await;
                });
            })?;
        started.await.context("the heartbeat's thread ended")??;
        Ok(thread)
    }
}

/// Opens the database as often as it takes: it was there when the process began, and comes back.
async fn open_until(database: &str, stop: &CancellationToken) -> Option<SeaStore> {
    loop {
        match SeaStore::open_again(database).await {
            Ok(store) => return Some(store),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no connection for the leases"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(BETWEEN_OPENS) => {}
        }
    }
}
