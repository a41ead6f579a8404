//! What is measured of servers: by a real Prometheus and node_exporter, by Proxmox VE alone, by answers that are no
//! use; and alerts.

mod alerts;
mod answers;
mod proxmox;
mod real;

use crate::fleet::is;
use anyhow::ensure;
use serde_json::Value;
use std::time::{Duration, Instant};
use tpm_test_support::Client;

/// Asks again and again until the answer is as wanted: what others measure comes when it comes.
async fn until(
    client: &Client,
    path: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let answer = is(client.get(path).await?, 200)?;
        if wanted(&answer) {
            return Ok(answer);
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "{path}: {answer:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The figures on the wire.
const FIGURES: [&str; 5] = [
    "cpu_usage",
    "memory_usage",
    "disk_usage",
    "network_in",
    "network_out",
];
