//! apalis, the peer of `jobs`: a program of its own (`tests/peers/apalis`) that does empty jobs on an empty
//! database and prints what it reached.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// Where `cargo xtask bench` says that the program lies.
const VARIABLE: &str = "TPM_PEER_APALIS";

/// What the program says it is.
pub(crate) const NAME: &str = "apalis 1.0.0";

/// What its documentation offers for throughput: how many jobs a worker runs at once, and how many it takes
/// out of the queue at once. Its own default is to take 10.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    concurrency: u32,
    batch: u32,
}

/// The best of these is what we are measured against.
pub(crate) const SETTINGS: [Setting; 4] = [
    Setting {
        concurrency: 16,
        batch: 10,
    },
    Setting {
        concurrency: 16,
        batch: 16,
    },
    Setting {
        concurrency: 100,
        batch: 100,
    },
    Setting {
        concurrency: 500,
        batch: 500,
    },
];

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once, takes {}", self.concurrency, self.batch)
    }
}

/// The program.
#[derive(Debug)]
pub(crate) struct Apalis(PathBuf);

/// Jobs a second, from the start of its workers to the last recorded end; or why it did not come so far.
pub(crate) type Rate = Result<f64, String>;

impl Apalis {
    /// When there is one.
    pub(crate) fn built() -> Option<Self> {
        std::env::var_os(VARIABLE).map(|program| Self(program.into()))
    }

    pub(crate) async fn rate(
        &self,
        database: &str,
        workers: usize,
        jobs: u32,
        setting: Setting,
    ) -> anyhow::Result<Rate> {
        let mut command = Command::new(&self.0);
        command
            .args(["--database", database])
            .args(["--workers", &workers.to_string()])
            .args(["--jobs", &jobs.to_string()])
            .args(["--concurrency", &setting.concurrency.to_string()])
            .args(["--batch", &setting.batch.to_string()])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command
            .output()
            .await
            .with_context(|| format!("cannot start {}", self.0.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().find(|line| line.starts_with("Error: "));
            return Ok(Err(why.map_or(output.status.to_string(), str::to_owned)));
        }
        let said: Value = serde_json::from_slice(&output.stdout).context("what apalis printed")?;
        ensure!(said["peer"] == NAME, "another program: {said}");
        Ok(Ok(said["rate"]
            .as_f64()
            .context("apalis printed no rate")?))
    }
}
