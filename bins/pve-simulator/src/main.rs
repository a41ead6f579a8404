//! The simulator process: reads flags, starts the library, waits for a signal. Nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tpm_pve_simulator::{Profile, Simulator, SimulatorConfig};

/// Simulates a Proxmox VE cluster over HTTPS.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Address of the API; port 0 picks a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Writes the certificate authority here.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Keeps the state in this file.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Opens the control door (plain HTTP, no authentication).
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Speed of tasks.
    #[arg(long, value_enum)]
    profile: Option<ProfileFlag>,
    /// Seed of everything random.
    #[arg(long)]
    seed: Option<u64>,
    /// Multiplies every wait; 0.1 is ten times faster.
    #[arg(long)]
    time_scale: Option<f64>,
    /// Seconds between refreshes of metrics; 10 as on a real host, 0 always fresh.
    #[arg(long)]
    metrics_interval: Option<f64>,
    /// Number of nodes; 1 is a standalone host.
    #[arg(long)]
    nodes: Option<u32>,
    /// A configuration in JSON; flags win over it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Written once listening, as {"url":..,"control":..}.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileFlag {
    Instant,
    Realistic,
}

impl Flags {
    fn config(&self) -> anyhow::Result<SimulatorConfig> {
        let mut config: SimulatorConfig = match &self.config {
            Some(path) => {
                let text = std::fs::read(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                serde_json::from_slice(&text)
                    .with_context(|| format!("cannot parse {}", path.display()))?
            }
            None => SimulatorConfig::default(),
        };
        if let Some(count) = self.nodes {
            config = config.with_nodes(count);
        }
        config.listen = self.listen.unwrap_or(config.listen);
        config.control = self.control.or(config.control);
        config.state = self.state.clone().or(config.state);
        config.seed = self.seed.unwrap_or(config.seed);
        config.time_scale = self.time_scale.unwrap_or(config.time_scale);
        match self.profile {
            Some(ProfileFlag::Instant) => config.profile = Profile::Instant,
            Some(ProfileFlag::Realistic) => config.profile = Profile::Realistic,
            None => {}
        }
        config.metrics_interval_secs = self
            .metrics_interval
            .unwrap_or(config.metrics_interval_secs);
        Ok(config)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let flags = Flags::parse();
    let simulator = Simulator::start(flags.config()?).await?;
    if let Some(path) = &flags.ca_file {
        std::fs::write(path, simulator.ca_pem())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &flags.ready_file {
        let ready = serde_json::json!({"url": simulator.url(), "control": simulator.control_url()});
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, ready.to_string())?;
        std::fs::rename(&fresh, path)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    simulator.shutdown().await;
    Ok(())
}
