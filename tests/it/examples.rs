//! The client's example against a simulated cluster. The example of embedding needs nothing outside and
//! is run as it is by `cargo xtask test`.

use anyhow::{Context, ensure};
use std::path::PathBuf;
use std::process::Command;
use tpm_test_support::Stack;

/// An example as `cargo test --workspace` has built it, beside this test.
fn built(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let profile = here
        .parent()
        .and_then(|deps| deps.parent())
        .context("target folder")?;
    let path = profile.join("examples").join(name);
    ensure!(
        path.exists(),
        "{} is missing: cargo build --workspace --examples",
        path.display()
    );
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_alone_lists_guests() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let mut command = Command::new(built("list_guests")?);
    command
        .env("PVE_ENDPOINTS", stack.simulator.url())
        .env("PVE_CA_FILE", stack.dir.path().join("ca.pem"))
        .env("PVE_TOKEN_ID", "tpm@pve!manager")
        .env("PVE_TOKEN_SECRET", tpm_pve_simulator::DEFAULT_SECRET);
    let output = tokio::task::block_in_place(|| command.output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{output:?}");
    ensure!(
        text.contains("9000") && text.contains("ubuntu-24.04"),
        "{text}"
    );
    stack.stop().await
}
