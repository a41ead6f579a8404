//! Logs, to standard error.

use anyhow::Context;
use tpm_settings::Log;
use tracing_subscriber::EnvFilter;

/// Begins logging for this process.
///
/// # Errors
/// When the filter cannot be read, or logging was begun already.
pub fn init_telemetry(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = match log.format.as_str() {
        "json" => builder.json().try_init(),
        _ => builder.with_ansi(false).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("logging: {error}"))
}
