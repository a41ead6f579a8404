//! Twenty servers by plain Terraform in one configuration, by our Terraform engine and by the direct engine, on
//! one simulated cluster that takes as long as a real one, in turn.

use crate::measure::{Size, median, ratios, say, spread, weather};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;
use tpm_pve_simulator::{Profile, SimulatorConfig};
use tpm_test_support::{Stack, Terraform};

const SERVERS: usize = 20;
/// Everything on the cluster takes a quarter of its time.
const SCALE: f64 = 0.25;
/// VMIDs of the plain configuration, outside the manager's range.
const PLAIN: usize = 5000;

fn cluster(config: &mut SimulatorConfig) {
    config.profile = Profile::Realistic;
    config.time_scale = SCALE;
    config.seed = 7;
}

/// How many seconds one way took in each round, and how many servers failed in all.
#[derive(Default)]
struct Way {
    secs: Vec<f64>,
    failed: usize,
}

/// A folder with one configuration of twenty servers, as a person would write it with our module.
struct Plain {
    dir: TempDir,
    terraform: Terraform,
}

impl Plain {
    fn make(stack: &Stack, terraform: &Terraform) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform/modules/server");
        let servers: serde_json::Map<String, Value> = (0..SERVERS)
            .map(|n| {
                (
                    format!("p{n}"),
                    json!({ "vm_id": PLAIN + n, "ip": 200 + n % 50 }),
                )
            })
            .collect();
        let root = json!({
            "terraform": { "required_providers": {
                "proxmox": { "source": "bpg/proxmox", "version": "0.111.1" }
            } },
            "provider": { "proxmox": {} },
            "variable": { "servers": { "type": "any" } },
            "module": { "server": {
                "source": module.display().to_string(),
                "for_each": "${var.servers}",
                "name": "${each.key}",
                "vm_id": "${each.value.vm_id}",
                "node_name": "pve1",
                "template": { "vm_id": 9000, "node_name": "pve1" },
                "full_clone": false,
                "cores": 1,
                "memory_mb": 512,
                "disk": { "interface": "scsi0", "storage": "ceph", "size_gb": 12 },
                "networks": [{
                    "bridge": "vmbr0",
                    "address": "192.168.1.${each.value.ip}/24",
                    "gateway": "192.168.1.1"
                }],
                "cloud_init": { "storage": "ceph", "user": "ubuntu" }
            } }
        });
        std::fs::write(dir.path().join("main.tf.json"), root.to_string())?;
        let values = json!({ "servers": servers });
        std::fs::write(dir.path().join("terraform.tfvars.json"), values.to_string())?;
        let plain = Self {
            dir,
            terraform: terraform.clone(),
        };
        plain.run(stack, &["init"])?;
        Ok(plain)
    }

    fn run(&self, stack: &Stack, args: &[&str]) -> anyhow::Result<()> {
        let more = ["-no-color", "-input=false"];
        let args: Vec<&str> = args.iter().copied().chain(more).collect();
        let dir = self.dir.path();
        self.terraform.by_hand(stack, dir, &args).map(drop)
    }

    /// Makes all twenty, counts, and removes them.
    fn round(&self, stack: &Stack, parallel: usize, way: &mut Way) -> anyhow::Result<()> {
        let width = format!("-parallelism={parallel}");
        let began = Instant::now();
        if let Err(error) = self.run(stack, &["apply", "-auto-approve", &width]) {
            // Servers that were not made are counted below.
            say(&format!("{error:#}"));
        }
        way.secs.push(began.elapsed().as_secs_f64());
        let made = stack.simulator.guests();
        let running = made
            .iter()
            .filter(|guest| (PLAIN..PLAIN + SERVERS).contains(&(guest.vmid as usize)))
            .filter(|guest| guest.status == "running")
            .count();
        way.failed += SERVERS - running;
        self.run(stack, &["destroy", "-auto-approve"])
    }
}

/// Makes twenty in one bulk, and removes them.
async fn bulk(stack: &Stack, engine: &str, round: u32, way: &mut Way) -> anyhow::Result<()> {
    let servers: Vec<Value> = (0..SERVERS)
        .map(|n| {
            json!({
                "name": format!("{}{round}-{n}", &engine[..1]), "role": "web", "cpu": 1,
                "memory": 512, "disk_size": 12, "engine": engine
            })
        })
        .collect();
    let began = Instant::now();
    let path = "/api/servers/bulk-create";
    let reply = stack
        .client
        .post(path, &json!({ "servers": servers }))
        .await?;
    ensure!(reply.status == 201, "{:#}", reply.body);
    let task = reply.body["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    way.secs.push(began.elapsed().as_secs_f64());
    way.failed += usize::try_from(task["summary"]["failed"].as_u64().unwrap_or(0))?;
    let ids: Vec<&Value> = reply.body["servers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|server| &server["server_id"])
        .collect();
    let gone = stack
        .client
        .post("/api/servers/bulk-delete", &json!({ "server_ids": ids }))
        .await?;
    let task = gone.body["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(())
}

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let terraform = match Terraform::find()? {
        Ok(terraform) => terraform,
        Err(missing) => {
            say(&format!("engines: skipped: {missing}\n"));
            return Ok(());
        }
    };
    let mut stack = Stack::builder()
        .terraform(&terraform)
        .simulator(cluster)
        .set("WORKER__CONCURRENCY", 64)
        .set("TERRAFORM__MAX_RUNS", 8)
        .start()
        .await?;
    stack.start_worker()?;
    let plain = tokio::task::block_in_place(|| Plain::make(&stack, &terraform))?;
    let mut ways: [Way; 4] = Default::default();
    for round in 1..=size.rounds {
        let [ten, four, ours, direct] = &mut ways;
        tokio::task::block_in_place(|| {
            plain.round(&stack, 10, ten)?;
            plain.round(&stack, 4, four)
        })?;
        bulk(&stack, "terraform", round, ours).await?;
        bulk(&stack, "direct", round, direct).await?;
        say(&format!(
            "engines, round {round} of {}: {:.1} s, {:.1} s, {:.1} s, {:.1} s; {}",
            size.rounds,
            ways[0].secs[ways[0].secs.len() - 1],
            ways[1].secs[ways[1].secs.len() - 1],
            ways[2].secs[ways[2].secs.len() - 1],
            ways[3].secs[ways[3].secs.len() - 1],
            weather(stack.dir.path())?
        ));
    }
    say(&format!(
        "\n| {SERVERS} servers, running and reachable; cluster at {SCALE} of real time | seconds | beside plain, parallelism 10 | failed |\n|---|---|---|---|"
    ));
    let names = [
        "plain `terraform apply`, `-parallelism=10`",
        "plain `terraform apply`, `-parallelism=4`",
        "**Terraform engine**, one bulk",
        "**direct engine**, one bulk",
    ];
    for (name, way) in names.iter().zip(&ways) {
        let beside = ratios(&way.secs, &ways[0].secs);
        say(&format!(
            "| {name} | {:.1} | {} | {} |",
            median(&way.secs),
            spread(&beside, 2),
            way.failed
        ));
    }
    say("");
    stack.stop().await
}
