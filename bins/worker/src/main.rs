//! The worker process: carries out tasks.

use std::process::ExitCode;
use tpm_bootstrap::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::ended(cli::run_worker().await)
}
