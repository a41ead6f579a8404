//! A thousand servers in one bulk on a simulated cluster that takes as long as a real one, beside a bare
//! clone driver at each fixed width; and a single server that is asked for meanwhile.

use crate::measure::{say, weather};
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt};
use serde_json::json;
use std::time::{Duration, Instant};
use tpm_pve_client::{
    Client as PveClient, ClientConfig, CloneRequest, ConfigUpdate, Credentials, ErrorClass,
    TaskStatus, TlsTrust,
};
use tpm_pve_simulator::{DEFAULT_SECRET, Profile, SimulatorConfig};
use tpm_test_support::{Client, Stack};

const SERVERS: usize = 1000;
/// Clones of the bare driver at each width.
const BARE: usize = 96;
const WIDTHS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Everything on the cluster takes a quarter of its time.
const SCALE: f64 = 0.25;

fn cluster(config: &mut SimulatorConfig) {
    config.profile = Profile::Realistic;
    config.time_scale = SCALE;
    config.seed = 7;
    for node in &mut config.nodes {
        node.cpus = 512;
        node.memory = 4 << 40;
    }
    for storage in &mut config.storages {
        storage.total = 64 << 40;
    }
}

fn bare_client(stack: &Stack) -> anyhow::Result<PveClient> {
    let credentials = Credentials::Token {
        id: "tpm@pve!manager".into(),
        secret: DEFAULT_SECRET.to_owned().into(),
    };
    let trust = TlsTrust::Ca(stack.simulator.ca_pem().as_bytes().to_vec());
    let config = ClientConfig::new(vec![stack.simulator.url().parse()?], credentials, trust);
    Ok(PveClient::new(config)?)
}

/// One clone and its configuration, as a script would do it.
async fn bare_clone(client: &PveClient, vmid: u32) -> anyhow::Result<()> {
    let request = CloneRequest {
        name: Some(format!("bare-{vmid}")),
        ..CloneRequest::new(vmid)
    };
    let node = format!("pve{}", vmid % 3 + 1);
    let request = CloneRequest {
        target: (node != "pve1").then(|| node.clone()),
        ..request
    };
    // A host that has no worker left, or whose lock is held, is asked again.
    let upid = loop {
        match client.clone_guest("pve1", 9000, &request).await {
            Err(error) if matches!(error.class(), ErrorClass::NotSent | ErrorClass::Busy) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => break done?,
        }
    };
    loop {
        match client.task_status(&upid).await? {
            TaskStatus::Running => tokio::time::sleep(Duration::from_millis(50)).await,
            status => {
                ensure!(status.error().is_none(), "{status:?}");
                break;
            }
        }
    }
    let update = ConfigUpdate::new().cores(1).memory_mb(512);
    Ok(client.update_config_sync(&node, vmid, &update).await?)
}

/// Clones a second at a fixed width.
async fn fixed(client: &PveClient, width: usize, first: u32) -> anyhow::Result<f64> {
    let began = Instant::now();
    let last = first + u32::try_from(BARE)?;
    futures::stream::iter(first..last)
        .map(|vmid| bare_clone(client, vmid))
        .buffer_unordered(width)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(f64::from(u32::try_from(BARE)?) / began.elapsed().as_secs_f64())
}

/// Seconds from the request for one server to its end.
async fn single(client: &Client, name: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (task, _) = client.create(name, json!({})).await?;
    let task = client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(began.elapsed().as_secs_f64())
}

async fn bulk(client: &Client) -> anyhow::Result<serde_json::Value> {
    let server = |n: usize| {
        let name = format!("s{n}");
        json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 })
    };
    let servers: Vec<_> = (0..SERVERS).map(server).collect();
    let reply = client
        .post("/api/servers/bulk-create", &json!({ "servers": servers }))
        .await?;
    ensure!(reply.status == 201, "{}", reply.body);
    Ok(reply.body["task_id"].clone())
}

/// The end of a bulk, however long it takes.
async fn ended(client: &Client, task: &str) -> anyhow::Result<serde_json::Value> {
    loop {
        let body = client.get(&format!("/api/tasks/{task}")).await?.body;
        if !matches!(body["status"].as_str(), Some("pending" | "running")) {
            return Ok(body);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("NETWORK__POOL", "10.0.0.1-10.0.31.254")
        .set("NETWORK__PREFIX", 16)
        .set("NETWORK__GATEWAY", "")
        .set("LIMITS__MAX_BULK", SERVERS)
        .set("WORKER__CONCURRENCY", 64)
        .simulator(cluster)
        .start()
        .await?;
    stack.start_worker()?;
    say(&format!("{}\n", weather(stack.dir.path())?));
    let bare = bare_client(&stack)?;
    say("| bare clone driver, clone and one configuration each | clones/s |");
    say("|---|---|");
    let mut best = 0.0_f64;
    for (n, width) in WIDTHS.into_iter().enumerate() {
        let first = 200_000 + 1000 * u32::try_from(n)?;
        match fixed(&bare, width, first).await {
            Ok(rate) => {
                best = best.max(rate);
                say(&format!("| width {width} | {rate:.2} |"));
            }
            // A driver that asks for more than a host takes is told so.
            Err(error) => say(&format!("| width {width} | failed: {error} |")),
        }
    }
    let mut alone = Vec::new();
    for n in 0..3 {
        alone.push(single(&stack.client, &format!("alone-{n}")).await?);
    }
    let alone = crate::measure::median(&alone);
    stack.simulator.reset_counters();
    let before = stack.simulator.effect_count();
    let began = Instant::now();
    let task = bulk(&stack.client).await?;
    let task = task.as_str().context("task_id")?.to_owned();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let meanwhile = single(&stack.client, "meanwhile").await?;
    let done = ended(&stack.client, &task).await?;
    let wall = began.elapsed().as_secs_f64();
    let counters = stack.simulator.counters();
    let calls: u64 = counters.requests.values().sum();
    let clones: Vec<i64> = stack
        .simulator
        .effects()
        .into_iter()
        .skip(before)
        .filter(|effect| effect.kind == "clone")
        .map(|effect| effect.at_ms)
        .collect();
    let (first, last) = (
        clones.iter().min().context("none")?,
        clones.iter().max().context("none")?,
    );
    let count = |n: usize| u32::try_from(n).map(f64::from);
    let span = f64::from(u32::try_from(last - first)?) / 1000.0;
    let rate = count(clones.len())? / span;
    say("");
    say(&format!("| {SERVERS} servers in one bulk | |"));
    say("|---|---|");
    say(&format!(
        "| ended as | {} ({}) |",
        done["status"], done["summary"]
    ));
    say(&format!("| wall time | {wall:.1} s |"));
    say(&format!("| clones/s | {rate:.2} |"));
    say(&format!(
        "| **ours / best fixed width** | **{:.2}** |",
        rate / best
    ));
    say(&format!(
        "| API calls per server | {:.1} |",
        count(usize::try_from(calls)?)? / count(clones.len())?
    ));
    say(&format!(
        "| most clones at once | {} |",
        counters.highest_clones
    ));
    say(&format!(
        "| one server alone, meanwhile | {alone:.2} s, {meanwhile:.2} s |"
    ));
    say(&format!(
        "| **meanwhile / alone** | **{:.2}** |\n",
        meanwhile / alone
    ));
    let mut requests: Vec<_> = counters.requests.into_iter().collect();
    requests.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for (request, n) in requests.into_iter().take(12) {
        say(&format!("- {n} × {request}"));
    }
    say("");
    stack.stop().await
}
