//! The worker as shipped, in the test package so that its tests can start and kill it.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tpm_bootstrap::cli::run_worker().await
}
