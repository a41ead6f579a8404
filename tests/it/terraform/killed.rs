//! Many at once, and killed at any moment.

use super::{asked, completed, has_no_changes, ours, stack};
use crate::fleet::is;
use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use tpm_domain::ServerId;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt, Profile};
use tpm_store::TerraformStore;
use tpm_test_support::{Program, Stack, Terraform};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_in_one_bulk() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let mut stack = builder
        .set("PROXMOX__MAX_CLONES", 3)
        .set("TERRAFORM__MAX_RUNS", 4)
        // A clone takes long enough to meet another one.
        .simulator(|config| {
            config.profile = Profile::Realistic;
            config.time_scale = 0.3;
        })
        .start()
        .await?;
    let servers: Vec<Value> = (0..20)
        .map(|n| {
            let server = crate::fleet::server(&format!("s{n}"));
            crate::fleet::with(server, json!({ "engine": "terraform" }))
        })
        .collect();
    let body = json!({ "servers": servers });
    let made = is(
        stack.client.post("/api/servers/bulk-create", &body).await?,
        201,
    )?;
    stack.start_worker()?;
    completed(&stack, made["task_id"].as_str().context("task_id")?).await?;
    let list = is(stack.client.get("/api/servers?limit=50").await?, 200)?;
    let of = |field: &str| -> BTreeSet<String> {
        let servers = list["servers"].as_array().into_iter().flatten();
        servers.map(|server| server[field].to_string()).collect()
    };
    ensure!(
        of("status") == BTreeSet::from(["\"running\"".into()]),
        "{list:#}"
    );
    ensure!(
        of("vmid").len() == 20 && of("ip_address").len() == 20,
        "{list:#}"
    );
    ensure!(ours(&stack).len() == 20, "{:?}", ours(&stack));
    let most = stack.simulator.counters().highest_clones;
    ensure!((2..=3).contains(&most), "{most} clones at once");
    stack.stop().await
}

/// A worker is killed (-9) while a request of the provider, or what it began, stands still.
async fn killed_while(
    terraform: &Terraform,
    method: &str,
    path: &str,
    at: HoldAt,
    skip: u32,
) -> anyhow::Result<()> {
    let mut stack = Stack::builder().terraform(terraform).start().await?;
    let hold = Fault::once(method, path, FaultKind::Hold { at }).skip(skip);
    let held = stack.simulator.faults().inject(hold);
    let (task, id) = asked(&stack, "web-1").await?;
    let ready = stack.dir.path().join("worker.ready");
    let mut command = Command::new(env!("CARGO_BIN_EXE_killable-worker"));
    command
        .arg("--ready-file")
        .arg(&ready)
        .envs(&stack.environment)
        .env("TPM__LOG__FILTER", "error")
        .current_dir(stack.dir.path());
    let mut worker = Program::start(&mut command)?;
    stack.simulator.faults().wait_until_held(held).await;
    worker.kill()?;
    stack.simulator.faults().release(held);
    stack.start_worker()?;
    let task = completed(&stack, &task).await?;
    let vmids = ours(&stack);
    ensure!(vmids.len() == 1, "{vmids:?}: {task:#}");
    has_no_changes(&stack, terraform, id).await?;
    let locked = stack.service.store().state_lock(ServerId(id)).await?;
    ensure!(locked.is_none(), "{locked:?}");
    let log = is(
        stack
            .client
            .get(&format!(
                "/api/tasks/{}/log?limit=500",
                task["task_id"].as_str().context("task_id")?
            ))
            .await?,
        200,
    )?;
    // The run that was cut off, and the one that settled it.
    let runs = log["lines"].as_array().into_iter().flatten();
    let applies = runs.filter(|line| {
        line["text"]
            .as_str()
            .is_some_and(|text| text.contains("run: apply"))
    });
    ensure!(applies.count() >= 2, "{log:#}");
    stack.stop().await
}

/// Ten moments of one `apply`, from the request for the clone to the last look at what was made.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_terraform_applies() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    const CLONE: &str = "/nodes/*/qemu/*/clone";
    const CONFIG: &str = "/nodes/*/qemu/*/config";
    const RESIZE: &str = "/nodes/*/qemu/*/resize";
    let moments = [
        ("POST", CLONE, HoldAt::Request, 0),
        ("POST", CLONE, HoldAt::TaskStart, 0),
        ("POST", CLONE, HoldAt::TaskEffect, 0),
        ("PUT", CONFIG, HoldAt::Request, 0),
        ("PUT", CONFIG, HoldAt::Request, 1),
        ("PUT", CONFIG, HoldAt::Request, 2),
        ("PUT", RESIZE, HoldAt::Request, 0),
        ("PUT", RESIZE, HoldAt::TaskStart, 0),
        ("PUT", RESIZE, HoldAt::TaskEffect, 0),
        // What the provider asks last, when everything is made and nothing is in the state.
        ("GET", "/pools", HoldAt::Request, 0),
    ];
    stream::iter(moments)
        .map(|(method, path, at, skip)| {
            let terraform = &terraform;
            async move {
                killed_while(terraform, method, path, at, skip)
                    .await
                    .with_context(|| format!("{method} {path} {at:?} {skip}"))
            }
        })
        .buffer_unordered(2)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
