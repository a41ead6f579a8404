//! Exporters on servers: the guest is asked why one is silent, and it is installed where the role says so.

use crate::fleet::{done, hand, is, running};
use anyhow::{Context, ensure};
use serde_json::Value;
use tpm_bootstrap::WorkerProcess;
use tpm_domain::{Exporter, ExporterState, ServerId};
use tpm_pve_simulator::{GuestScript, SimulatorConfig};
use tpm_store::Store;
use tpm_test_support::Stack;

/// What only the one script says, and only the other.
const CHECK: &str = "/proc/net/tcp";
const INSTALL: &str = "package manager";

fn script(part: &str, exit_code: i64, millis: u64, err: &str) -> GuestScript {
    GuestScript {
        part: part.into(),
        exit_code,
        millis,
        out: String::new(),
        err: err.into(),
    }
}

/// A token that may run commands in guests.
fn trusted(config: &mut SimulatorConfig) {
    for role in &mut config.roles {
        role.privs.push_str(",VM.GuestAgent.Unrestricted");
    }
}

async fn stack(care: &str) -> anyhow::Result<Stack> {
    Stack::builder()
        .set("ROLES__WEB__NODE_EXPORTER", care)
        .simulator(trusted)
        .start()
        .await
}

async fn known(stack: &Stack, id: i64) -> anyhow::Result<Option<Exporter>> {
    let store = stack.service.store();
    let store: &dyn Store = &*store;
    Ok(store.reads().exporters().await?.remove(&ServerId(id)))
}

/// The guest is asked again now.
async fn due_now(stack: &Stack, id: i64) -> anyhow::Result<()> {
    let row = known(stack, id).await?.context("a row")?;
    let tx = stack.service.store().begin().await?;
    let due_at = tx.now();
    tx.save_exporter(&Exporter { due_at, ..row }).await?;
    tx.commit().await?;
    Ok(())
}

async fn tend(worker: &WorkerProcess) -> anyhow::Result<(usize, usize)> {
    let done = worker.tend_exporters().await?;
    Ok((done.asked, done.begun))
}

/// How often a guest was told to install.
fn installs(stack: &Stack, vmid: u32) -> anyhow::Result<usize> {
    let commands = stack.simulator.behind_the_back().commands(vmid);
    let commands = commands.map_err(anyhow::Error::msg)?;
    let install = |words: &&Vec<String>| words.iter().any(|word| word.contains(INSTALL));
    Ok(commands.iter().filter(install).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_once_where_it_is_missing() -> anyhow::Result<()> {
    let stack = stack("install").await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    let worker = hand(&stack)?;
    done(behind.script(vmid, script(CHECK, 3, 0, "")))?;
    done(behind.script(vmid, script(INSTALL, 0, 3_600_000, "")))?;
    ensure!(tend(&worker).await? == (1, 1));
    let row = known(&stack, id).await?.context("a row")?;
    ensure!(
        row.state == ExporterState::Installing && row.pid.is_some(),
        "{row:?}"
    );
    ensure!(tend(&worker).await? == (0, 0), "it is not due");
    // It goes on: nothing is begun twice.
    due_now(&stack, id).await?;
    ensure!(tend(&worker).await? == (1, 0));
    ensure!(installs(&stack, vmid)? == 1);

    // Ended, and it listens.
    done(behind.script(vmid, script(CHECK, 0, 0, "")))?;
    let tx = stack.service.store().begin().await?;
    tx.save_exporter(&Exporter {
        pid: Some(4711),
        ..row
    })
    .await?;
    tx.commit().await?;
    due_now(&stack, id).await?;
    ensure!(tend(&worker).await? == (1, 0));
    let row = known(&stack, id).await?.context("a row")?;
    ensure!(
        row.state == ExporterState::Listening && row.attempts == 0,
        "{row:?}"
    );
    ensure!(installs(&stack, vmid)? == 1);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_in_the_middle_asks_before_it_begins_again() -> anyhow::Result<()> {
    let stack = stack("install").await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    let worker = hand(&stack)?;
    done(behind.script(vmid, script(CHECK, 3, 0, "")))?;
    ensure!(tend(&worker).await? == (1, 1));
    // As one leaves it that was killed after the guest was told, before it wrote down the number.
    let row = known(&stack, id).await?.context("a row")?;
    let tx = stack.service.store().begin().await?;
    tx.save_exporter(&Exporter { pid: None, ..row }).await?;
    tx.commit().await?;
    due_now(&stack, id).await?;
    done(behind.script(vmid, script(CHECK, 0, 0, "")))?;
    ensure!(tend(&worker).await? == (1, 0));
    ensure!(installs(&stack, vmid)? == 1, "it was there already");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_told_and_tried_again_later() -> anyhow::Result<()> {
    let stack = stack("install").await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    let worker = hand(&stack)?;
    done(behind.script(vmid, script(CHECK, 3, 0, "")))?;
    done(behind.script(
        vmid,
        script(INSTALL, 100, 0, "E: Unable to locate package\n"),
    ))?;
    for attempt in 1..=2 {
        ensure!(tend(&worker).await? == (1, 1));
        due_now(&stack, id).await?;
        ensure!(tend(&worker).await? == (1, 0));
        let row = known(&stack, id).await?.context("a row")?;
        ensure!(row.state == ExporterState::InstallFailed, "{row:?}");
        ensure!(row.attempts == attempt, "{row:?}");
        ensure!(
            row.detail == "exit code 100: E: Unable to locate package",
            "{row:?}"
        );
        let pause = row.due_at.since(row.since);
        ensure!(pause >= Exporter::pause(attempt), "{row:?}");
        ensure!(tend(&worker).await? == (0, 0), "later");
        due_now(&stack, id).await?;
    }
    ensure!(installs(&stack, vmid)? == 2);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_only_asked_where_nothing_more_is_wished() -> anyhow::Result<()> {
    let stack = stack("check").await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    let worker = hand(&stack)?;
    done(behind.script(vmid, script(CHECK, 3, 0, "")))?;
    for (mute, expected) in [
        (false, ExporterState::NotInstalled),
        (true, ExporterState::AgentOff),
    ] {
        done(behind.set_mute(vmid, mute))?;
        ensure!(tend(&worker).await? == (1, 0));
        let row = known(&stack, id).await?.context("a row")?;
        ensure!(row.state == expected, "{row:?}");
        due_now(&stack, id).await?;
    }
    ensure!(installs(&stack, vmid)? == 0);

    // What is off or gone is not asked.
    is(
        stack.client.delete(&format!("/api/servers/{id}")).await?,
        200,
    )?;
    worker.drain().await?;
    ensure!(tend(&worker).await? == (0, 0));
    ensure!(known(&stack, id).await?.is_none(), "and forgotten");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_is_told_apart_from_a_silent_agent() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("ROLES__WEB__NODE_EXPORTER", "install")
        .start()
        .await?;
    let (id, _) = running(&stack, "web-1").await?;
    ensure!(tend(&hand(&stack)?).await? == (1, 0));
    let row = known(&stack, id).await?.context("a row")?;
    ensure!(row.state == ExporterState::AgentForbidden, "{row:?}");
    ensure!(row.detail.contains("VM.GuestAgent.Unrestricted"), "{row:?}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_by_default_and_no_stranger_ever() -> anyhow::Result<()> {
    let off = stack("off").await?;
    let (_, vmid) = running(&off, "web-1").await?;
    ensure!(tend(&hand(&off)?).await? == (0, 0));
    let none = off.simulator.behind_the_back().commands(vmid);
    ensure!(none.map_err(anyhow::Error::msg)?.is_empty());
    off.stop().await?;

    let stack = stack("install").await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.recreate(vmid))?;
    done(behind.set_option(vmid, "agent", Some("1")))?;
    done(behind.power_on(vmid))?;
    let worker = hand(&stack)?;
    ensure!(tend(&worker).await? == (1, 0));
    let asked = behind.commands(vmid).map_err(anyhow::Error::msg)?;
    ensure!(asked.is_empty(), "{asked:?}");
    ensure!(known(&stack, id).await?.is_none());
    stack.stop().await
}

/// The words that people see.
#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_silent_exporter_is_the_guests_own() -> anyhow::Result<()> {
    // It scrapes nothing.
    let (_fake, address) = super::answers::Fake::start().await?;
    let stack = Stack::builder()
        .set("ROLES__WEB__NODE_EXPORTER", "check")
        .simulator(trusted)
        .set("MONITORING__PROMETHEUS_URL", format!("http://{address}"))
        .start()
        .await?;
    let (_, vmid) = running(&stack, "web-1").await?;
    let behind = stack.simulator.behind_the_back();
    done(behind.script(vmid, script(CHECK, 3, 0, "")))?;
    hand(&stack)?.tend_exporters().await?;
    let status: Value = is(stack.client.get("/api/monitoring/status").await?, 200)?;
    let down = &status["node_exporters"]["down"][0];
    ensure!(down["reason"] == "not_installed", "{status}");
    stack.stop().await
}
