//! What the binaries have in common: arguments, signals, the ready file.

use crate::chores::Chore;
use crate::{Service, init_telemetry};
use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser};
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tpm_jobs::PointHook;

/// How long a worker waits for its first look at the cluster before it says that it is ready.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Arguments of both binaries.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// Settings file; without it config/local.toml is read when it exists.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// File that is written, as JSON, once the process is ready.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// Arguments of the worker.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct WorkerArguments {
    #[command(flatten)]
    both: Arguments,
    #[command(subcommand)]
    chore: Option<Chore>,
}

/// Reads the process's arguments; prints help or what is wrong with them, and ends the process then.
fn read<A: CommandFactory + FromArgMatches>(about: &'static str) -> A {
    let matches = A::command().about(about).get_matches();
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// What a binary ends with: an error is told on one line (or several, for settings), without a
/// backtrace.
pub fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The api binary.
///
/// # Errors
/// When it cannot start, or its listener fails.
pub async fn run_api() -> anyhow::Result<()> {
    let arguments: Arguments =
        read("Answers people and programs; what they ask for, a worker does");
    let service = open(&arguments).await?;
    let stop = stop_on_signal()?;
    let mut api = service.api().await?;
    if let Some(password) = api.take_made_up_password() {
        show_once(password.expose_secret());
    }
    let url = api.url();
    tracing::info!(url, "api is ready");
    announce(
        arguments.ready_file.as_deref(),
        &serde_json::json!({ "url": url }),
    )?;
    api.serve(stop).await
}

/// The worker binary.
///
/// # Errors
/// When it cannot start.
pub async fn run_worker() -> anyhow::Result<()> {
    run_worker_with(Arc::new(tpm_jobs::NoFaults)).await
}

/// The worker binary with a hook between the parts of a step, for tests.
///
/// # Errors
/// When it cannot start.
pub async fn run_worker_with(hook: Arc<dyn PointHook>) -> anyhow::Result<()> {
    let WorkerArguments { both, chore } = read("Carries out what was asked of the api");
    if let Some(chore) = chore {
        let settings = tpm_settings::load(both.config.as_deref())?;
        return crate::chores::run(&settings, chore).await;
    }
    let arguments = both;
    let service = open(&arguments).await?;
    let stop = stop_on_signal()?;
    let worker = service.worker_with(hook)?;
    // Requests need to know what room there is; a cluster that is away does not keep the worker waiting.
    match tokio::time::timeout(FIRST_LOOK, worker.look()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("cannot see the cluster: {error:#}"),
        Err(_) => tracing::warn!("the cluster does not answer in time"),
    }
    tracing::info!(owner = worker.owner(), "worker is ready");
    let ready = serde_json::json!({ "owner": worker.owner() });
    announce(arguments.ready_file.as_deref(), &ready)?;
    worker.run(stop).await
}

async fn open(arguments: &Arguments) -> anyhow::Result<Service> {
    let settings = tpm_settings::load(arguments.config.as_deref())?;
    let logs = init_telemetry(&settings.log)?;
    Ok(Service::open(settings).await?.with_logs(logs))
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("stopping");
        asked.cancel();
    });
    Ok(stop)
}

/// Written whole or not at all: who waits for the file may read it at once.
fn announce(file: Option<&Path>, ready: &serde_json::Value) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let draft = file.with_extension("draft");
    std::fs::write(&draft, ready.to_string())
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[expect(
    clippy::print_stdout,
    reason = "the one place a password is shown, and not in a log"
)]
fn show_once(password: &str) {
    println!("admin password (shown once): {password}");
}
