//! The api process: answers people and programs.

use std::process::ExitCode;
use tpm_bootstrap::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::ended(cli::run_api().await)
}
