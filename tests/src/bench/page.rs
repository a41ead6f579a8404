//! The page's list in a browser: ten thousand servers beside fifty, how soon there are rows, and how many frames are
//! dropped while they pass by. Chromium asks a real service; nothing of the page is made for this.
//!
//! No worker takes tasks: the servers are asked for, and stay so.

use crate::measure::{Size, median, ratios, say, spread, weather};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;
use tpm_test_support::{PASSWORD, Stack};

const SERVERS: usize = 10_000;
/// Of those, the ones that the other side looks at.
const FEW: usize = 50;
/// Servers in one request.
const BULK: usize = 500;

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("NETWORK__POOL", "10.0.0.1-10.0.255.254")
        .set("NETWORK__PREFIX", 16)
        .set("NETWORK__GATEWAY", "")
        // Nothing of it is built; it only has to be promised.
        .simulator(|cluster| {
            for node in &mut cluster.nodes {
                node.cpus = 512;
                node.memory = 4 << 40;
            }
            for storage in &mut cluster.storages {
                storage.total = 64 << 40;
            }
        })
        .set("PROXMOX__MEMORY_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__CPU_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__STORAGE_OVERCOMMIT_PERCENT", 10_000)
        .start()
        .await?;
    ensure!(
        tpm_web::index().is_some(),
        "the page was not built: npm run build in crates/web"
    );
    let worker = stack.service.worker()?;
    for part in 0..SERVERS / BULK {
        // What was seen of the cluster long ago is not believed.
        worker.look().await?;
        let server = |n: usize| {
            let n = part * BULK + n;
            let kind = if n < FEW { "few" } else { "fleet" };
            let role = ["web", "was", "db"][n % 3];
            let name = format!("{kind}-{n:05}");
            json!({ "name": name, "role": role, "cpu": 1, "memory": 512, "disk_size": 12 })
        };
        let servers: Vec<_> = (0..BULK).map(server).collect();
        let body = json!({ "servers": servers });
        let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
        ensure!(reply.status == 201, "{}", reply.body);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/web");
    let result = stack.dir.path().join("seen.json");
    say(&weather(stack.dir.path())?);
    let mut npm = Command::new("npm");
    npm.current_dir(folder)
        .args(["run", "--silent", "bench"])
        .env("BASE_URL", stack.client.base())
        .env("ADMIN_PASSWORD", PASSWORD)
        .env("ROUNDS", size.rounds.to_string())
        .env("RESULT", &result)
        .kill_on_drop(true);
    let status = npm.status().await.context("no npm")?;
    ensure!(status.success(), "`npm run bench` failed: {status}");
    // What each round saw; e2e/bench.ts says what the names mean.
    let seen: Vec<Value> = serde_json::from_slice(&std::fs::read(&result)?)?;
    let all = |name: &str| -> anyhow::Result<Vec<f64>> {
        let found = seen.iter().map(|round| round[name].as_f64());
        found
            .collect::<Option<_>>()
            .with_context(|| format!("{name}: {seen:?}"))
    };
    let (rows, few) = (all("rows_ms")?, all("few_rows_ms")?);
    let (due, dropped) = (all("due")?, all("dropped")?);
    let share: Vec<f64> = ratios(&dropped, &due)
        .iter()
        .map(|one| one * 100.0)
        .collect();
    say(&format!(
        "\n| `/servers` in Chromium, {SERVERS} servers beside {FEW}, {} rounds | |\n|---|---|\n\
         | first paint, ms | {} |\n| rows with data, ms | {} |\n\
         | rows with data, {FEW} servers, ms | {} |\n| **{SERVERS} / {FEW}** | **{}** |\n\
         | frames dropped while scrolling, % of {:.0} | {} |\n| longest time without a frame, ms | {} |\n",
        seen.len(),
        spread(&all("paint_ms")?, 0),
        spread(&rows, 0),
        spread(&few, 0),
        spread(&ratios(&rows, &few), 2),
        median(&due),
        spread(&share, 1),
        spread(&all("longest_ms")?, 0),
    ));
    stack.stop().await
}
