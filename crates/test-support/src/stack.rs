//! A whole installation in one process.

use crate::Terraform;
use crate::client::Client;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::{Service, WorkerProcess};
use tpm_jobs::{NoFaults, PointHook};
use tpm_provisioner::Provisioner;
use tpm_pve_simulator::{DEFAULT_SECRET, Simulator, SimulatorConfig};
use tpm_secrets::SecretStore;
use tpm_settings::Settings;

/// The admin's password in every stack.
pub const PASSWORD: &str = "correct horse battery";

/// Which database a stack lies on.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// A SQLite file in the stack's directory.
    #[default]
    Sqlite,
    /// An empty database at this URL.
    Url(String),
}

type Tweak<T> = Box<dyn FnOnce(&mut T) + Send>;
type Wrap = Box<dyn FnOnce(Arc<dyn Provisioner>) -> Arc<dyn Provisioner> + Send>;

/// What a stack is to be.
#[derive(Default)]
pub struct StackBuilder {
    database: Database,
    environment: HashMap<String, String>,
    simulator: Option<Tweak<SimulatorConfig>>,
    engine: Option<Arc<dyn Provisioner>>,
    around: Option<Wrap>,
    secrets: Option<Arc<dyn SecretStore>>,
    unseen: bool,
}

impl fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl StackBuilder {
    /// On another database.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = database;
        self
    }

    /// With a setting, named as in the environment: `WORKER__CONCURRENCY`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.environment
            .insert(format!("TPM__{key}"), value.to_string());
        self
    }

    /// With the Terraform engine.
    #[must_use]
    pub fn terraform(self, terraform: &Terraform) -> Self {
        self.set("TERRAFORM__MODE", "on")
            .set("TERRAFORM__BINARY", terraform.binary.display())
            .set("TERRAFORM__MIRROR", terraform.mirror.display())
    }

    /// With an engine of the test's own beside the direct one.
    #[must_use]
    pub fn engine(mut self, engine: Arc<dyn Provisioner>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// With another engine in the place of the direct one, which it is given to pass calls on to.
    #[must_use]
    pub fn around(
        mut self,
        wrap: impl FnOnce(Arc<dyn Provisioner>) -> Arc<dyn Provisioner> + Send + 'static,
    ) -> Self {
        self.around = Some(Box::new(wrap));
        self
    }

    /// With a store of secrets of the test's own.
    #[must_use]
    pub fn secrets(mut self, store: Arc<dyn SecretStore>) -> Self {
        self.secrets = Some(store);
        self
    }

    /// Without a look at the cluster before the start.
    #[must_use]
    pub fn unseen(mut self) -> Self {
        self.unseen = true;
        self
    }

    /// With another simulated cluster.
    #[must_use]
    pub fn simulator(mut self, tweak: impl FnOnce(&mut SimulatorConfig) + Send + 'static) -> Self {
        self.simulator = Some(Box::new(tweak));
        self
    }

    /// Starts simulator and api. No worker runs.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(self) -> anyhow::Result<Stack> {
        self.start_as(PASSWORD).await
    }

    /// The same, logged in with another password than [`PASSWORD`].
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start_as(self, password: &str) -> anyhow::Result<Stack> {
        let dir = tempfile::Builder::new().prefix("tpm-stack-").tempdir()?;
        let mut config = SimulatorConfig::for_tests();
        if let Some(tweak) = self.simulator {
            tweak(&mut config);
        }
        let simulator = Simulator::start(config).await?;
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, simulator.ca_pem())?;
        let mut environment: HashMap<String, String> = [
            ("DATA_DIR", dir.path().display().to_string()),
            ("API__LISTEN", "127.0.0.1:0".into()),
            ("API__DRAIN_SECS", "0".into()),
            ("AUTH__ADMIN_PASSWORD", PASSWORD.into()),
            ("PROXMOX__ENDPOINTS", simulator.url()),
            ("PROXMOX__TOKEN_ID", "tpm@pve!manager".into()),
            ("PROXMOX__TOKEN_SECRET", DEFAULT_SECRET.into()),
            ("PROXMOX__CA_FILE", ca.display().to_string()),
            ("NETWORK__POOL", "192.168.0.21-192.168.0.250".into()),
            ("NETWORK__GATEWAY", "192.168.0.1".into()),
            ("TERRAFORM__MODE", "off".into()),
            // Tests are faster than people.
            ("LIMITS__SESSION_REQUESTS_PER_SECOND", "1000000".into()),
            // Workers of several tests would all want the same port.
            ("WORKER__METRICS_LISTEN", String::new()),
        ]
        .into_iter()
        .map(|(key, value)| (format!("TPM__{key}"), value))
        .collect();
        if let Database::Url(url) = self.database {
            environment.insert("TPM__DATABASE__URL".into(), url);
        }
        environment.extend(self.environment);
        let empty = dir.path().join("empty.toml");
        std::fs::write(&empty, "")?;
        let cluster = !environment["TPM__PROXMOX__ENDPOINTS"].is_empty();
        let settings = tpm_settings::load_from(Some(&empty), environment.clone())?;
        let mut service = Service::open(settings).await?;
        if let Some(engine) = self.engine {
            service = service.with_engine(engine);
        }
        if let Some(secrets) = self.secrets {
            service = service.with_secrets(secrets);
        }
        if let (Some(wrap), Some(direct)) = (self.around, service.engine("direct")) {
            service = service.with_engine(wrap(direct));
        }
        let api = service.api().await?;
        if cluster && !self.unseen {
            service.worker()?.look().await?;
        }
        let client = Client::new(api.url())?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(api.serve(stop.clone()));
        client.login(password).await?;
        Ok(Stack {
            simulator,
            service,
            client,
            environment,
            dir,
            stop,
            tasks: vec![serving],
        })
    }
}

/// A running installation.
pub struct Stack {
    /// The cluster.
    pub simulator: Simulator,
    /// The installation.
    pub service: Service,
    /// A client that is logged in.
    pub client: Client,
    /// The settings as environment, for processes beside it.
    pub environment: HashMap<String, String>,
    /// Where its files lie.
    pub dir: TempDir,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("dir", &self.dir.path())
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// A plain one on SQLite, to be changed before it starts.
    #[must_use]
    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.service.settings()
    }

    /// A worker that runs until the stack stops.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn start_worker(&mut self) -> anyhow::Result<()> {
        self.start_worker_with(Arc::new(NoFaults))
    }

    /// A worker with a hook between the parts of a step.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn start_worker_with(&mut self, hook: Arc<dyn PointHook>) -> anyhow::Result<()> {
        let worker = self.service.worker_with(hook)?;
        self.tasks.push(tokio::spawn(worker.run(self.stop.clone())));
        Ok(())
    }

    /// A worker that does not run, to be drained by hand.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn worker_with(&self, hook: Arc<dyn PointHook>) -> anyhow::Result<WorkerProcess> {
        self.service.worker_with(hook)
    }

    /// Stops api and workers, then the simulator.
    ///
    /// # Errors
    /// When one of them had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for task in self.tasks {
            task.await??;
        }
        self.simulator.shutdown().await;
        Ok(())
    }
}
