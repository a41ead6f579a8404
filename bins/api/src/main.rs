//! The api process: answers people and programs.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tpm_bootstrap::cli::run_api().await
}
