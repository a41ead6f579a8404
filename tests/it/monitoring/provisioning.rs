//! A worker brings Grafana what it is to show, without anybody asking.

/// The Grafana that `tpm-monitoring` is tried with.
#[path = "../../../crates/monitoring/tests/it/fake.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "a file of other tests, and not everything is asked of it here"
)]
mod grafana;

use crate::system::until;
use anyhow::ensure;
use grafana::Fake;
use tpm_test_support::Stack;

const TOKEN: &str = "glsa_t0ken-of-a-service-account";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_brings_grafana_its_dashboards() -> anyhow::Result<()> {
    let fake = Fake::start().await;
    let mut stack = Stack::builder()
        .set("MONITORING__PROMETHEUS_URL", "http://127.0.0.1:9")
        .set("MONITORING__GRAFANA_URL", fake.url().as_str())
        .set("MONITORING__GRAFANA_TOKEN", TOKEN)
        .start()
        .await?;
    stack.start_worker()?;
    until(&stack.client, "/api/monitoring/status", |status| {
        status["grafana"]["dashboards"] == 4
    })
    .await?;
    let (sources, folders) = fake.with(|kept| (kept.datasources.len(), kept.folders.len()));
    ensure!(
        (sources, folders) == (1, 1),
        "{sources} data sources, {folders} folders"
    );
    stack.stop().await
}
