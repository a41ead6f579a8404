//! The three processes, wired to each other: simulator, api, worker.
//!
//! Writes one configuration file, starts them, waits until each says that it is ready, and stops them in
//! the order that lets work drain. Knows nothing of what is then asked of them.

mod child;

use crate::workspace;
use anyhow::Context as _;
use child::Child;
use clap::ValueEnum;
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// The simulator's ready-made manager token.
const TOKEN: (&str, &str) = ("tpm@pve!manager", "00000000-0000-4000-8000-000000000001");

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

/// Where and how to start.
pub(crate) struct Plan {
    /// Everything that is written goes here.
    pub(crate) folder: PathBuf,
    /// Where the simulator listens.
    pub(crate) simulator: &'static str,
    /// Where the api listens.
    pub(crate) api: &'static str,
    pub(crate) profile: Profile,
    /// The simulator keeps its cluster in a file of `folder`.
    pub(crate) keep_cluster: bool,
    pub(crate) admin_password: String,
    /// Settings in the caller's environment reach api and worker.
    pub(crate) outer_settings: bool,
}

/// The running processes. Dropping it kills them.
pub(crate) struct Stack {
    simulator: Child,
    api: Child,
    worker: Child,
    /// `http://127.0.0.1:5000`
    pub(crate) api_url: String,
    /// `https://127.0.0.1:8006`
    pub(crate) simulator_url: String,
}

impl Stack {
    /// Starts all three; comes back when all are ready.
    ///
    /// # Errors
    /// When one cannot be started, exits, or is not ready in time; with the end of its log.
    pub(crate) async fn start(
        plan: &Plan,
        programs: &HashMap<&'static str, PathBuf>,
    ) -> anyhow::Result<Self> {
        let program = |name: &str| programs.get(name).with_context(|| format!("no `{name}`"));
        let folder = &plan.folder;
        let ca = folder.join("pve-root-ca.pem");
        let mut flags: Vec<OsString> = vec!["--listen".into(), plan.simulator.into()];
        flags.extend(["--profile".into(), plan.profile.name().into()]);
        flags.extend(["--ca-file".into(), ca.clone().into()]);
        if plan.keep_cluster {
            flags.extend(["--state".into(), folder.join("cluster.json").into()]);
        }
        let mut simulator = Child::start(
            "simulator",
            program("pve-simulator")?,
            &flags,
            &[],
            true,
            folder,
        )?;
        let simulator_url = url(&simulator.ready().await?, "simulator")?;

        let config = folder.join("manager.toml");
        let text = settings(plan, &simulator_url, &ca);
        std::fs::write(&config, text)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let flags: Vec<OsString> = vec!["--config".into(), config.into()];
        let secrets = [
            ("TPM__PROXMOX__TOKEN_SECRET", TOKEN.1),
            ("TPM__AUTH__ADMIN_PASSWORD", plan.admin_password.as_str()),
        ];
        let outer = plan.outer_settings;
        let mut api = Child::start("api", program("tpm-api")?, &flags, &secrets, outer, folder)?;
        let mut worker = Child::start(
            "worker",
            program("tpm-worker")?,
            &flags,
            &secrets,
            outer,
            folder,
        )?;
        let api_url = url(&api.ready().await?, "api")?;
        worker.ready().await?;
        Ok(Self {
            simulator,
            api,
            worker,
            api_url,
            simulator_url,
        })
    }

    /// Comes back with an error when one of them ends by itself.
    pub(crate) async fn watch(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.simulator.ended() => error,
            error = self.api.ended() => error,
            error = self.worker.ended() => error,
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

    /// Stops all three and waits: first who takes requests, last who is asked.
    ///
    /// # Errors
    /// When one did not stop when asked to, or not with exit status 0; all are gone all the same.
    async fn stop(mut self) -> anyhow::Result<()> {
        let api = self.api.stop().await;
        let worker = self.worker.stop().await;
        let simulator = self.simulator.stop().await;
        api.and(worker).and(simulator)
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

/// The network is the one of the API reference's examples, so that they work as they stand.
fn settings(plan: &Plan, endpoint: &str, ca: &Path) -> String {
    let text = |value: &str| Value::from(value).to_string();
    format!(
        "# Written anew at every start by `cargo xtask`.\n\
         data_dir = {data}\n\
         \n[api]\nlisten = {api}\ndrain_secs = 0\n\
         \n[proxmox]\nendpoints = [{endpoint}]\ntoken_id = {token}\nca_file = {ca}\n\
         \n[network]\npool = \"192.168.0.21-192.168.0.250\"\nprefix = 24\n\
         gateway = \"192.168.0.1\"\n",
        data = text(&plan.folder.to_string_lossy()),
        api = text(plan.api),
        endpoint = text(endpoint),
        token = text(TOKEN.0),
        ca = text(&ca.to_string_lossy()),
    )
}

/// Builds the binaries, telling so.
///
/// # Errors
/// When something does not compile.
pub(crate) fn build() -> anyhow::Result<HashMap<&'static str, PathBuf>> {
    println!("building simulator, api and worker …");
    workspace::build_programs()
}
