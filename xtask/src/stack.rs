//! The processes, wired to each other: simulator, apis, workers, and when asked for PostgreSQL and a proxy.
//!
//! Writes one configuration file, starts them, waits until each says that it is ready, and stops them in
//! the order that lets work drain. Knows nothing of what is then asked of them.

mod child;
mod postgres;
mod proxy;
mod settings;

use crate::provider::Peers;
use crate::workspace;
use anyhow::Context as _;
use child::Child;
use clap::ValueEnum;
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The simulated cluster's CA, in the stack's folder.
pub(crate) const CA: &str = "pve-root-ca.pem";
/// The simulator's ready-made manager token.
pub(crate) const TOKEN: (&str, &str) = ("tpm@pve!manager", "00000000-0000-4000-8000-000000000001");

/// How long the simulated cluster takes for things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// No longer than it must
    Instant,
    /// As long as real hosts do
    Realistic,
}

impl Profile {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Realistic => "realistic",
        }
    }
}

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// On PostgreSQL instead of SQLite.
    pub(crate) postgres: bool,
    pub(crate) apis: u16,
    pub(crate) workers: u16,
}

impl Size {
    /// One of each, on SQLite.
    pub(crate) const SMALLEST: Self = Self {
        postgres: false,
        apis: 1,
        workers: 1,
    };
}

/// What makes servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// The Proxmox VE API itself.
    Direct,
    /// Terraform or OpenTofu, with the provider bpg/proxmox.
    Terraform,
}

/// Where and how to start.
pub(crate) struct Plan {
    /// What the Terraform engine needs, for a stack that has it.
    pub(crate) peers: Option<Peers>,
    /// Everything that is written goes here.
    pub(crate) folder: PathBuf,
    /// Where the simulator listens.
    pub(crate) simulator: &'static str,
    /// Where the first api listens; the others on the ports after it.
    pub(crate) api: &'static str,
    pub(crate) size: Size,
    pub(crate) profile: Profile,
    /// The simulator keeps its cluster in a file of `folder`.
    pub(crate) keep_cluster: bool,
    pub(crate) admin_password: String,
    /// Settings in the caller's environment reach api and worker.
    pub(crate) outer_settings: bool,
    /// What one may do to the stack beside using it.
    pub(crate) stage: Option<Stage>,
}

/// A stack that somebody else's tests play on.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Multiplies every wait of the simulated cluster.
    pub(crate) time_scale: &'static str,
    /// More settings, as they stand in the file.
    pub(crate) settings: String,
}

/// How the first api is started again, where it was.
struct Again {
    program: PathBuf,
    flags: Vec<OsString>,
    environment: Vec<(String, String)>,
    outer_settings: bool,
    folder: PathBuf,
}

/// The running processes. Dropping it kills them.
pub(crate) struct Stack {
    /// In the order in which they are stopped: first who takes requests, last who is asked.
    processes: Vec<Child>,
    /// `http://127.0.0.1:5000` and so on.
    pub(crate) api_urls: Vec<String>,
    /// `https://127.0.0.1:8006`
    pub(crate) simulator_url: String,
    /// In front of the apis.
    pub(crate) proxy_url: Option<&'static str>,
    /// PostgreSQL's, without the password.
    pub(crate) database: Option<String>,
    /// Where things are done to the simulated cluster behind the manager's back; of a [`Stage`].
    pub(crate) control_url: Option<String>,
    again: Again,
}

/// The name of a single api's process.
const API: &str = "api";

impl Stack {
    /// Starts all; comes back when all are ready.
    ///
    /// # Errors
    /// When one cannot be started, exits, or is not ready in time; with the end of its log.
    pub(crate) async fn start(
        plan: &Plan,
        programs: &HashMap<&'static str, PathBuf>,
    ) -> anyhow::Result<Self> {
        let program = |name: &str| programs.get(name).with_context(|| format!("no `{name}`"));
        let (folder, size) = (&plan.folder, plan.size);
        let postgres = match size.postgres {
            true => Some(postgres::start(folder).await?),
            false => None,
        };
        let ca = folder.join(CA);
        let mut flags: Vec<OsString> = vec!["--listen".into(), plan.simulator.into()];
        flags.extend(["--profile".into(), plan.profile.name().into()]);
        flags.extend(["--ca-file".into(), ca.clone().into()]);
        if plan.keep_cluster {
            flags.extend(["--state".into(), folder.join("cluster.json").into()]);
        }
        if let Some(stage) = &plan.stage {
            flags.extend(["--control".into(), "127.0.0.1:0".into()]);
            flags.extend(["--time-scale".into(), stage.time_scale.into()]);
        }
        let file = program("pve-simulator")?;
        let mut simulator = Child::start("simulator", file, &flags, &[], true, folder)?;
        let ready = simulator.ready().await?;
        let simulator_url = url(&ready, "simulator")?;
        let control_url = ready["control"].as_str().map(str::to_owned);

        let proxy = if size.apis > 1 { proxy::find() } else { None };
        let public = proxy.as_ref().map(|_| proxy::URL);
        let config = folder.join("manager.toml");
        let text = settings::text(plan, &simulator_url, &ca, public);
        std::fs::write(&config, text)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let flags: Vec<OsString> = vec!["--config".into(), config.into()];
        let mut environment = vec![
            ("TPM__PROXMOX__TOKEN_SECRET", TOKEN.1),
            ("TPM__AUTH__ADMIN_PASSWORD", plan.admin_password.as_str()),
        ];
        if let Some(postgres) = &postgres {
            environment.push(("TPM__DATABASE__URL", &postgres.url));
        }
        let text = |path: &Path| path.display().to_string();
        let peers = plan.peers.as_ref();
        let peers = peers.map(|peers| (text(&peers.program), text(&peers.mirror)));
        if let Some((program, mirror)) = &peers {
            environment.push(("TPM__TERRAFORM__MODE", "on"));
            environment.push(("TPM__TERRAFORM__BINARY", program));
            environment.push(("TPM__TERRAFORM__MIRROR", mirror));
        }
        let outer = plan.outer_settings;
        let mut apis = Vec::new();
        for n in 0..size.apis {
            let listen = nth(plan.api, n)?;
            let mut environment = environment.clone();
            if size.apis > 1 {
                environment.push(("TPM__API__LISTEN", &listen));
            }
            let name = numbered(API, n, size.apis);
            let file = program("tpm-api")?;
            apis.push(Child::start(
                &name,
                file,
                &flags,
                &environment,
                outer,
                folder,
            )?);
        }
        let mut workers = Vec::new();
        for n in 0..size.workers {
            let name = numbered("worker", n, size.workers);
            let file = program("tpm-worker")?;
            workers.push(Child::start(
                &name,
                file,
                &flags,
                &environment,
                outer,
                folder,
            )?);
        }
        let mut api_urls = Vec::new();
        for api in &mut apis {
            api_urls.push(url(&api.ready().await?, "api")?);
        }
        for worker in &mut workers {
            worker.ready().await?;
        }
        let mut again = Again {
            program: program("tpm-api")?.clone(),
            flags,
            environment: environment
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            outer_settings: outer,
            folder: folder.clone(),
        };
        let listens = api_urls.first().context("no api")?.replace("http://", "");
        again
            .environment
            .push(("TPM__API__LISTEN".to_owned(), listens));
        let mut processes = Vec::new();
        if let Some(found) = proxy {
            let apis: Vec<_> = api_urls
                .iter()
                .map(|url| url.replace("http://", ""))
                .collect();
            processes.push(proxy::start(found, &apis, folder).await?);
        }
        processes.append(&mut apis);
        processes.append(&mut workers);
        processes.push(simulator);
        let mut database = None;
        if let Some(postgres) = postgres {
            processes.push(postgres.server);
            database = Some(postgres.shown);
        }
        Ok(Self {
            processes,
            api_urls,
            simulator_url,
            proxy_url: public,
            database,
            control_url,
            again,
        })
    }

    /// Stops the only api; nothing listens where it was.
    ///
    /// # Errors
    /// When it does not stop as it should, or there are several.
    pub(crate) async fn stop_api(&mut self) -> anyhow::Result<()> {
        self.api()?.stop().await
    }

    /// Starts the only api again where it was; comes back when it is ready.
    ///
    /// # Errors
    /// When it does not start, or there are several.
    pub(crate) async fn start_api(&mut self) -> anyhow::Result<()> {
        let again = &self.again;
        let pairs = again.environment.iter();
        let environment: Vec<_> = pairs.map(|(key, value)| (&**key, &**value)).collect();
        let mut api = Child::start(
            API,
            &again.program,
            &again.flags,
            &environment,
            again.outer_settings,
            &again.folder,
        )?;
        api.ready().await?;
        *self.api()? = api;
        Ok(())
    }

    fn api(&mut self) -> anyhow::Result<&mut Child> {
        let mut processes = self.processes.iter_mut();
        processes
            .find(|process| process.name() == API)
            .context("no single api")
    }

    /// Comes back with an error when one of them ends by itself.
    pub(crate) async fn watch(&mut self) -> anyhow::Error {
        loop {
            for process in &mut self.processes {
                if let Some(error) = process.gone().await {
                    return error;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// [`stop`](Self::stop), or kills them when asked to hurry.
    ///
    /// # Errors
    /// When one did not stop as it should; all are gone all the same.
    pub(crate) async fn stop_or_kill(self) -> anyhow::Result<()> {
        tokio::select! {
            stopped = self.stop() => stopped,
            _ = interrupted() => Err(Interrupted.into()),
        }
    }

    /// Stops one after the other and waits: first who takes requests, last who is asked.
    ///
    /// # Errors
    /// With the first that did not stop when asked to, or not with exit status 0; all are gone all the
    /// same.
    async fn stop(self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for mut process in self.processes {
            let stopped = process.stop().await;
            result = result.and(stopped);
        }
        result
    }
}

/// The address with the port `n` further on; a port of 0 stays free to choose.
fn nth(address: &str, n: u16) -> anyhow::Result<String> {
    let mut address: SocketAddr = address.parse()?;
    if address.port() != 0 {
        let port = address.port().checked_add(n).context("no such port")?;
        address.set_port(port);
    }
    Ok(address.to_string())
}

/// `api` when there is one, `api-1` and so on when there are several.
fn numbered(name: &str, n: u16, of: u16) -> String {
    if of == 1 {
        name.to_owned()
    } else {
        format!("{name}-{}", n + 1)
    }
}

/// Somebody did not want to wait for the end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Comes back when a person (Ctrl-C) or the system asks this process to end.
///
/// # Errors
/// When signals cannot be listened to.
pub(crate) async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// One thread is enough, and children started from it live as long as it does.
///
/// # Errors
/// When the system gives no event queue.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A password nobody knows yet.
///
/// # Errors
/// When the system gives no randomness.
pub(crate) fn random_password() -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 12];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn url(ready: &Value, who: &str) -> anyhow::Result<String> {
    let url = ready["url"]
        .as_str()
        .with_context(|| format!("the {who} named no url: {ready}"))?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// Builds the binaries, telling so.
///
/// # Errors
/// When something does not compile.
pub(crate) fn build() -> anyhow::Result<HashMap<&'static str, PathBuf>> {
    if let Some(missing) = crate::web::build()? {
        println!("{missing}");
    }
    println!("building simulator, api and worker …");
    workspace::build_programs()
}
