//! What the storm rages over: a simulated cluster in this process, a database, apis and workers as real
//! processes.

use super::args::{Args, Database};
use super::process::Process;
use anyhow::{Context, bail};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;
use tpm_pve_simulator::{DEFAULT_SECRET, NodeConfig, Profile, Simulator, SimulatorConfig};
use tpm_test_support::{PASSWORD, Postgres, free_port};

/// What every mark begins with.
pub(crate) const MARK: &str = "tpm:v1 ";
/// First and last VMID that the product may give.
pub(crate) const VMIDS: (u32, u32) = (10_000, 99_999);
/// The nodes that guests are made on: each is the template's of a role.
pub(crate) const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];
/// Roles and their templates.
pub(crate) const ROLES: [(&str, u32); 3] = [("web", 9000), ("was", 9001), ("db", 9002)];
/// The addresses of servers whose request names no network.
pub(crate) const POOL: &str = "10.64.0.1-10.64.3.254";
const MARK_KEY: &str = "5707a15707a15707a15707a15707a15707a15707a15707a15707a15707a15707";

/// A PostgreSQL that can be killed, shared by seeds that run one after the other.
pub(crate) type SharedPostgres = Arc<Mutex<Postgres>>;

/// Everything that runs.
pub(crate) struct Installation {
    pub(crate) simulator: Simulator,
    pub(crate) apis: Vec<Process>,
    pub(crate) workers: Vec<Process>,
    pub(crate) urls: Vec<String>,
    pub(crate) database: String,
    pub(crate) postgres: Option<SharedPostgres>,
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Installation {
    pub(crate) async fn start(
        args: &Args,
        seed: u64,
        postgres: Option<SharedPostgres>,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("tpm-storm-{}-{seed}-", args.database.as_str()))
            .tempdir()?;
        let config = SimulatorConfig {
            profile: Profile::Realistic,
            time_scale: 0.01,
            seed,
            metrics_interval_secs: 10.0,
            nodes: NODES.iter().map(|name| roomy(name)).collect(),
            ..SimulatorConfig::for_tests()
        };
        let simulator = Simulator::start(config).await?;
        let path = dir.path().to_owned();
        let database = match (&postgres, args.database) {
            (Some(postgres), Database::Postgres) => {
                let postgres = postgres.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::task::block_in_place(|| postgres.database())?
            }
            (None, Database::Sqlite) => format!("sqlite://{}", path.join("manager.db").display()),
            _ => bail!("a PostgreSQL is there, or it is not"),
        };
        let ca = path.join("ca.pem");
        std::fs::write(&ca, simulator.ca_pem())?;
        std::fs::write(path.join("empty.toml"), "")?;
        let environment = environment(args, &simulator, &path, &ca, &database);
        let own = std::env::current_exe()?;
        let binary = |name: &str| match &args.programs {
            Some(folder) => folder.join(name),
            None => own.with_file_name(name),
        };
        let mut urls = Vec::new();
        let mut apis = Vec::new();
        for n in 0..args.apis() {
            let listen = format!("127.0.0.1:{}", free_port()?);
            urls.push(format!("http://{listen}"));
            let mut environment = environment.clone();
            environment.insert("TPM__API__LISTEN".into(), listen);
            let name = format!("api-{n}");
            apis.push(Process::new(
                name,
                binary("killable-api"),
                environment,
                &path,
            )?);
        }
        let workers = (0..args.workers())
            .map(|n| {
                let name = format!("worker-{n}");
                Process::new(name, binary("killable-worker"), environment.clone(), &path)
            })
            .collect::<anyhow::Result<_>>()?;
        let installation = Self {
            simulator,
            apis,
            workers,
            urls,
            database,
            postgres,
            dir: Some(dir),
            path,
        };
        for process in installation.processes() {
            process.start()?;
        }
        Ok(installation)
    }

    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.apis.iter().chain(&self.workers)
    }

    /// Where its files and logs are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is when everything is over.
    pub(crate) fn keep_folder(&mut self) {
        if let Some(dir) = self.dir.take() {
            self.path = dir.keep();
        }
    }

    /// How often workers found out, at a write, that a task was no longer theirs.
    pub(crate) fn fenced_writes(&self) -> anyhow::Result<usize> {
        let mut found = 0;
        for worker in &self.workers {
            let text = std::fs::read(worker.log()).context("a worker's log")?;
            found += String::from_utf8_lossy(&text)
                .matches("the lease has passed to another worker")
                .count();
        }
        Ok(found)
    }
}

/// A node that has room for everything that clients ask for.
fn roomy(name: &str) -> NodeConfig {
    NodeConfig {
        name: name.to_owned(),
        cpus: 256,
        memory: 1 << 40,
        ip: None,
    }
}

fn environment(
    args: &Args,
    simulator: &Simulator,
    dir: &Path,
    ca: &Path,
    database: &str,
) -> HashMap<String, String> {
    let text = |text: &str| text.to_owned();
    let mut settings = vec![
        ("DATA_DIR", dir.display().to_string()),
        ("AUTH__ADMIN_PASSWORD", text(PASSWORD)),
        ("DATABASE__URL", text(database)),
        ("SECURITY__MARK_KEY", text(MARK_KEY)),
        ("PROXMOX__ENDPOINTS", simulator.url()),
        ("PROXMOX__TOKEN_ID", text("tpm@pve!manager")),
        ("PROXMOX__TOKEN_SECRET", text(DEFAULT_SECRET)),
        ("PROXMOX__CA_FILE", ca.display().to_string()),
        ("PROXMOX__VMID_FIRST", VMIDS.0.to_string()),
        ("PROXMOX__VMID_LAST", VMIDS.1.to_string()),
        ("PROXMOX__AGENT_TIMEOUT_SECS", text("1")),
        ("PROXMOX__SHUTDOWN_TIMEOUT_SECS", text("2")),
        ("PROXMOX__STEP_TIMEOUT_SECS", text("60")),
        ("PROXMOX__NODE_PATIENCE_SECS", text("2")),
        ("NETWORK__POOL", text(POOL)),
        ("NETWORK__PREFIX", text("22")),
        ("NETWORK__GATEWAY", text("")),
        ("WORKER__LEASE_MS", args.lease_ms.to_string()),
        ("WORKER__SCAN_MS", text("50")),
        ("WORKER__LOOK_MS", text("500")),
        ("WORKER__SWEEP_MS", text("1000")),
        ("WORKER__ORPHAN_MS", text("1500")),
        // The storm is one person.
        ("LIMITS__SESSION_REQUESTS_PER_SECOND", text("1000000")),
        ("LOG__FILTER", text("warn,tpm_jobs=info")),
    ]
    .into_iter()
    .map(|(key, value)| (format!("TPM__{key}"), value))
    .collect::<HashMap<_, _>>();
    for (role, template) in ROLES {
        settings.insert(
            format!("TPM__ROLES__{}__TEMPLATE", role.to_uppercase()),
            template.to_string(),
        );
    }
    settings
}
