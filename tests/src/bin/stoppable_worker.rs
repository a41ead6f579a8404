//! The worker with a place to be killed at: at the named moment it writes a file and waits for ever, so
//! that a test can kill the process exactly there.
//!
//! `TPM_STOP_AT=create_server/clone/after-act` and `TPM_STOPPED_FILE=/path`.

use anyhow::Context;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use tpm_jobs::{Point, PointHook, Verdict};

struct StopAt {
    place: String,
    file: PathBuf,
}

#[async_trait]
impl PointHook for StopAt {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        let undo = if point.undo { "undo:" } else { "" };
        let here = format!(
            "{}/{undo}{}/{}",
            point.task_kind,
            point.step,
            point.kind.as_str()
        );
        if here == self.place && std::fs::write(&self.file, here).is_ok() {
            std::future::pending::<()>().await;
        }
        Verdict::Continue
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = std::env::var("TPM_STOP_AT").context("TPM_STOP_AT")?;
    let file = std::env::var_os("TPM_STOPPED_FILE")
        .context("TPM_STOPPED_FILE")?
        .into();
    tpm_bootstrap::cli::run_worker_with(Arc::new(StopAt { place, file })).await
}
