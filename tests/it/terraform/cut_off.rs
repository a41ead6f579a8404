//! Runs that are cut off while their worker lives: killed themselves, without a cluster to speak to, without room
//! to write. One guest is left, its state agrees with it, and the task's log tells what happened.

use super::{asked, completed, has_no_changes, ours, printed, running, stack};
use crate::faults::database::SmallDisk;
use crate::fleet::is;
use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_test_support::{Stack, StackBuilder, Terraform, signal};

const CLONE: &str = "/nodes/*/qemu/*/clone";
const CONFIG: &str = "/nodes/*/qemu/*/config";
const RESIZE: &str = "/nodes/*/qemu/*/resize";
/// The provider's last question about a new guest, when everything is made and nothing is in the state.
const POOLS: &str = "/pools";

/// A moment of a run: a request, and where it is held.
#[derive(Clone, Copy, Debug)]
struct Moment {
    method: &'static str,
    path: &'static str,
    at: HoldAt,
    skip: u32,
}

const fn moment(method: &'static str, path: &'static str, at: HoldAt) -> Moment {
    Moment {
        method,
        path,
        at,
        skip: 0,
    }
}

impl Moment {
    fn fault(self, kind: FaultKind) -> Fault {
        Fault::once(self.method, self.path, kind).skip(self.skip)
    }

    /// Holds it; the handle to release it by.
    fn hold(self, stack: &Stack) -> u64 {
        let hold = self.fault(FaultKind::Hold { at: self.at });
        stack.simulator.faults().inject(hold)
    }
}

/// Which program of a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Terraform,
    Provider,
}

impl Victim {
    fn program(self, terraform: &Terraform) -> anyhow::Result<PathBuf> {
        Ok(match self {
            Self::Terraform => terraform.binary.canonicalize()?,
            Self::Provider => terraform.mirror.canonicalize()?,
        })
    }

    /// What the log says of it, in one of these ways: Terraform tells a provider that is gone from a call that
    /// was ended with it by what it hears of first.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Terraform => &["run: killed"],
            Self::Provider => &["Plugin did not respond", "Request cancelled"],
        }
    }
}

/// The processes of a stack's runs whose program lies there.
fn processes(stack: &Stack, program: &Path) -> anyhow::Result<Vec<u32>> {
    let runs = stack.dir.path().join("terraform").canonicalize()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let link = |name: &str| std::fs::read_link(entry.path().join(name)).unwrap_or_default();
        if link("exe").starts_with(program) && link("cwd").starts_with(&runs) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Waits until a run is over, whatever came of it.
async fn run_over(stack: &Stack, terraform: &Terraform) -> anyhow::Result<()> {
    let program = Victim::Terraform.program(terraform)?;
    let gone = async {
        while !processes(stack, &program)?.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    let gone = tokio::time::timeout(Duration::from_secs(100), gone).await;
    gone.context("the run does not end")?
}

/// Nothing of any run is left: no lock, no process.
async fn nothing_is_held(stack: &Stack, terraform: &Terraform) -> anyhow::Result<()> {
    let own = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    let url = stack.environment.get("TPM__DATABASE__URL").unwrap_or(&own);
    let db = Database::connect(url).await?;
    let sql = "SELECT COUNT(*) AS n FROM tf_locks";
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    let locks: i64 = row.context("a count")?.try_get("", "n")?;
    db.close().await?;
    ensure!(locks == 0, "{locks} locks");
    for victim in [Victim::Terraform, Victim::Provider] {
        let left = processes(stack, &victim.program(terraform)?)?;
        ensure!(left.is_empty(), "{victim:?} lives on: {left:?}");
    }
    Ok(())
}

/// One guest, as the row and the state say, and a log in which one of these words stands.
async fn settled(
    stack: &Stack,
    terraform: &Terraform,
    id: i64,
    task: &Value,
    words: &[&str],
) -> anyhow::Result<()> {
    let vmids = ours(stack);
    ensure!(vmids.len() == 1, "{vmids:?}: {task:#}");
    let server = stack.client.server(id).await?;
    ensure!(
        server["status"] == "running" && server["error"].is_null(),
        "{server:#}"
    );
    has_no_changes(stack, terraform, id).await?;
    nothing_is_held(stack, terraform).await?;
    let log = printed(stack, task).await?;
    let told = |line: &String| words.iter().any(|words| line.contains(words));
    ensure!(log.iter().any(told), "{log:#?}");
    Ok(())
}

/// A create whose run is killed at a moment; the request that was held takes its course at once, or only when
/// everything is over.
async fn killed_at(
    terraform: &Terraform,
    victim: Victim,
    moment: Moment,
    late: bool,
) -> anyhow::Result<()> {
    let mut stack = Stack::builder().terraform(terraform).start().await?;
    let held = moment.hold(&stack);
    let (task, id) = asked(&stack, "web-1").await?;
    stack.start_worker()?;
    stack.simulator.faults().wait_until_held(held).await;
    kill(&stack, terraform, victim)?;
    if !late {
        stack.simulator.faults().release(held);
    }
    let task = completed(&stack, &task).await?;
    stack.simulator.faults().release(held);
    settled(&stack, terraform, id, &task, victim.words()).await?;
    stack.stop().await
}

fn kill(stack: &Stack, terraform: &Terraform, victim: Victim) -> anyhow::Result<()> {
    let running = processes(stack, &victim.program(terraform)?)?;
    ensure!(running.len() == 1, "{running:?}");
    signal(running[0], "KILL")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_creates() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    use Victim::{Provider, Terraform};
    let moments = [
        (Terraform, moment("POST", CLONE, HoldAt::Request), false),
        (Terraform, moment("POST", CLONE, HoldAt::Request), true),
        (Terraform, moment("POST", CLONE, HoldAt::TaskEffect), false),
        (Terraform, moment("PUT", CONFIG, HoldAt::Request), false),
        (Terraform, moment("PUT", RESIZE, HoldAt::TaskStart), false),
        (Terraform, moment("GET", POOLS, HoldAt::Request), false),
        (Provider, moment("POST", CLONE, HoldAt::TaskEffect), false),
        (Provider, moment("PUT", CONFIG, HoldAt::Request), false),
        (Provider, moment("GET", POOLS, HoldAt::Request), false),
    ];
    stream::iter(moments)
        .map(|(victim, moment, late)| {
            let terraform = &terraform;
            async move {
                killed_at(terraform, victim, moment, late)
                    .await
                    .with_context(|| format!("{victim:?} {moment:?} {late}"))
            }
        })
        .buffer_unordered(2)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_changes_or_destroys() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    // The disk of a linked clone is not grown by a run.
    let builder = builder.set("PROXMOX__CLONE_MODE", "full");
    let mut stack = builder.start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    stack.start_worker()?;
    let path = format!("/api/servers/{id}");
    for (cpu, moment) in [
        (3, moment("PUT", CONFIG, HoldAt::Request)),
        (4, moment("PUT", RESIZE, HoldAt::TaskStart)),
    ] {
        let held = moment.hold(&stack);
        let body = json!({ "cpu": cpu, "disk_size": 20 + cpu });
        let answer = is(stack.client.patch(&path, &body).await?, 200)?;
        stack.simulator.faults().wait_until_held(held).await;
        kill(&stack, &terraform, Victim::Terraform)?;
        stack.simulator.faults().release(held);
        let task = answer["task_id"].as_str().context("task_id")?;
        let task = completed(&stack, task).await?;
        settled(&stack, &terraform, id, &task, Victim::Terraform.words())
            .await
            .with_context(|| format!("{moment:?}"))?;
        let guest = stack.simulator.guest(vmid).context("the guest")?;
        let cores = guest.pending.get("cores").cloned().flatten();
        ensure!(
            cores.or_else(|| guest.config.get("cores").cloned()) == Some(cpu.to_string()),
            "{guest:#?}"
        );
    }
    let held = moment("DELETE", "/nodes/*/qemu/*", HoldAt::TaskStart).hold(&stack);
    let answer = is(stack.client.delete(&path).await?, 200)?;
    stack.simulator.faults().wait_until_held(held).await;
    kill(&stack, &terraform, Victim::Terraform)?;
    stack.simulator.faults().release(held);
    let task = completed(&stack, answer["task_id"].as_str().context("task_id")?).await?;
    let log = printed(&stack, &task).await?;
    ensure!(
        log.iter().any(|line| line.contains("run: killed")),
        "{log:#?}"
    );
    ensure!(ours(&stack).is_empty(), "{:?}", ours(&stack));
    nothing_is_held(&stack, &terraform).await?;
    stack.stop().await
}

/// No answer to anything from now on.
fn cut_connection(stack: &Stack) -> u64 {
    let cut = Fault {
        method: None,
        ..Fault::once("GET", "/**", FaultKind::DropBefore).times(0)
    };
    stack.simulator.faults().inject(cut)
}

/// The connection is gone from this request on, whose effect takes place all the same, until the run is over.
async fn cut_at(terraform: &Terraform, moment: Moment) -> anyhow::Result<()> {
    let mut stack = Stack::builder().terraform(terraform).start().await?;
    let faults = stack.simulator.faults();
    faults.inject(moment.fault(FaultKind::DropAfter));
    let held = moment.hold(&stack);
    let (task, id) = asked(&stack, "web-1").await?;
    stack.start_worker()?;
    let faults = stack.simulator.faults();
    faults.wait_until_held(held).await;
    let cut = cut_connection(&stack);
    faults.release(held);
    run_over(&stack, terraform).await?;
    faults.remove(cut);
    let task = completed(&stack, &task).await?;
    settled(&stack, terraform, id, &task, &["\"@level\":\"error\""]).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_while_it_creates() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    let moments = [
        moment("POST", CLONE, HoldAt::Request),
        moment("PUT", CONFIG, HoldAt::Request),
        moment("PUT", RESIZE, HoldAt::Request),
        moment("GET", POOLS, HoldAt::Request),
    ];
    stream::iter(moments)
        .map(|moment| {
            let terraform = &terraform;
            async move {
                cut_at(terraform, moment)
                    .await
                    .with_context(|| format!("{moment:?}"))
            }
        })
        .buffer_unordered(2)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// The connection does not come back: what is there is not known and nobody guesses. Both views are told, what
/// was reserved stays so, and once the cluster answers again everything can be removed.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_settled_is_unknown() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let builder = builder.set("PROXMOX__STEP_TIMEOUT_SECS", 10);
    let mut stack = builder.start().await?;
    let held = moment("PUT", CONFIG, HoldAt::Request).hold(&stack);
    let (task, id) = asked(&stack, "web-1").await?;
    stack.start_worker()?;
    stack.simulator.faults().wait_until_held(held).await;
    let cut = cut_connection(&stack);
    stack.simulator.faults().release(held);
    let task = stack.client.ended(&task).await?;
    ensure!(
        task["status"] == "failed" && task["error"]["code"] == "UNDO_FAILED",
        "{task:#}"
    );
    let server = stack.client.server(id).await?;
    let vmid = server["vmid"].as_u64().context("vmid")?;
    let text = server["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        server["status"] == "unknown"
            && text.contains("state")
            && text.contains(&format!("VM {vmid} cannot be seen")),
        "{server:#}"
    );
    // The guest is there, seen by nobody; no other server is given its number.
    ensure!(ours(&stack).len() == 1, "{:?}", ours(&stack));
    stack.simulator.faults().remove(cut);
    // The circuit breaker asks again in its own time.
    let hand = crate::fleet::hand(&stack)?;
    while hand.look().await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (other, other_id) = asked(&stack, "web-2").await?;
    completed(&stack, &other).await?;
    let other = stack.client.server(other_id).await?;
    ensure!(other["vmid"] != vmid && other["ip_address"] != server["ip_address"]);
    // Nor is it taken for a server that runs.
    crate::fleet::hand(&stack)?.sweep().await?;
    ensure!(stack.client.server(id).await?["status"] == "unknown");

    let answer = stack.client.delete(&format!("/api/servers/{id}")).await?;
    let answer = is(answer, 200)?;
    completed(&stack, answer["task_id"].as_str().context("task_id")?).await?;
    ensure!(ours(&stack).len() == 1, "{:?}", ours(&stack));
    stack.stop().await
}

/// A stack whose runs have their folders on that disk.
async fn runs_on(disk: &SmallDisk, builder: StackBuilder) -> anyhow::Result<Stack> {
    let stack = builder.start().await?;
    let runs = disk.path().join("runs");
    std::fs::create_dir(&runs)?;
    std::os::unix::fs::symlink(&runs, stack.dir.path().join("terraform"))?;
    Ok(stack)
}

/// In the middle of an apply there is no room any more, neither in the run's folder nor for its state in the
/// database: it is settled when there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_while_it_creates() -> anyhow::Result<()> {
    let (Some((builder, terraform)), Some(disk)) = (stack()?, SmallDisk::mount()?) else {
        return Ok(());
    };
    let url = format!("sqlite://{}", disk.path().join("m.db").display());
    let builder = builder.database(tpm_test_support::Database::Url(url));
    let mut stack = runs_on(&disk, builder).await?;
    let held = moment("PUT", CONFIG, HoldAt::Request).hold(&stack);
    let (task, id) = asked(&stack, "web-1").await?;
    stack.start_worker()?;
    stack.simulator.faults().wait_until_held(held).await;
    disk.fill()?;
    stack.simulator.faults().release(held);
    run_over(&stack, &terraform).await?;
    ensure!(ours(&stack).len() == 1, "{:?}", ours(&stack));
    disk.clear()?;
    let task = completed(&stack, &task).await?;
    settled(&stack, &terraform, id, &task, &["apply"]).await?;
    stack.stop().await
}

/// Runs that never have room are given up with the reason, and leave nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_full() -> anyhow::Result<()> {
    let (Some((builder, terraform)), Some(disk)) = (stack()?, SmallDisk::mount()?) else {
        return Ok(());
    };
    let builder = builder.set("WORKER__MAX_ATTEMPTS", 2);
    let mut stack = runs_on(&disk, builder).await?;
    disk.fill()?;
    stack.start_worker()?;
    let (task, id) = asked(&stack, "web-1").await?;
    let task = stack.client.ended(&task).await?;
    let text = task["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        task["error"]["code"] == "TERRAFORM_FAILED" && text.contains("No space left on device"),
        "{task:#}"
    );
    ensure!(ours(&stack).is_empty(), "{:?}", ours(&stack));
    let server = stack.client.server(id).await?;
    ensure!(server["status"] == "error", "{server:#}");
    disk.clear()?;
    let (task, _) = asked(&stack, "web-2").await?;
    completed(&stack, &task).await?;
    nothing_is_held(&stack, &terraform).await?;
    stack.stop().await
}
