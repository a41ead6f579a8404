//! The worker process: carries out tasks.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tpm_bootstrap::cli::run_worker().await
}
