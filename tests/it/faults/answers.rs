//! Bad answers of Proxmox VE at every step: 595, 596 applied and not, connections dropped before and
//! after the effect, locks, refusals, a full storage, tasks that die.

use super::world::{as_asked, ask, ask_create, is_whole, marked, nothing_is_left, prepare, quick};
use super::{ACTS, Act};
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt};
use tpm_provisioner::Operation;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

/// How many scenarios run at once.
const WIDTH: usize = 6;

fn status(code: u16, reason: &str, applied: bool) -> FaultKind {
    FaultKind::Status {
        code,
        reason: reason.into(),
        body: None,
        applied,
    }
}

fn task_fails(text: &str) -> FaultKind {
    FaultKind::TaskFails { text: text.into() }
}

fn lock(text: &str, in_task: bool) -> FaultKind {
    FaultKind::Lock {
        text: Some(text.into()),
        in_task,
    }
}

/// After these the operation still succeeds.
fn survivable(act: &Act) -> Vec<(&'static str, FaultKind)> {
    let lock_file = "can't lock file '/var/lock/qemu-server/lock-1.conf' - got timeout";
    let mut faults = vec![
        ("595", status(595, "Connection refused", false)),
        (
            "596 not applied",
            status(596, "Connection timed out", false),
        ),
        ("596 applied", status(596, "Connection timed out", true)),
        ("dropped before the effect", FaultKind::DropBefore),
        ("dropped after the effect", FaultKind::DropAfter),
        (
            "unknown 500, not applied",
            status(500, "something odd", false),
        ),
        ("unknown 500, applied", status(500, "something odd", true)),
        ("lock file", lock(lock_file, false)),
        ("guest is locked", lock("VM is locked (backup)", false)),
        (
            "no quorum",
            status(500, "cluster not ready - no quorum?", false),
        ),
    ];
    if matches!(act.step, "configure" | "resize") {
        let changed = "checksum mismatch (file change by other user?)";
        faults.push(("changed by others meanwhile", status(500, changed, false)));
    }
    if act.step != "configure" {
        faults.extend([
            ("no worker", FaultKind::NoWorkerUpid),
            ("lock file in the task", lock(lock_file, true)),
            (
                "storage lock in the task",
                task_fails("cfs-lock 'storage-x' error: got lock request timeout"),
            ),
            ("task killed", task_fails("unexpected status")),
            ("task interrupted", task_fails("received interrupt")),
            (
                "task warns",
                FaultKind::TaskWarns {
                    text: "careful".into(),
                },
            ),
        ]);
    }
    faults
}

/// After these it does not: a refusal stays one.
fn final_refusals(act: &Act) -> Vec<(&'static str, FaultKind)> {
    let mut faults = vec![
        (
            "403",
            status(403, "Permission check failed (/vms/1, VM.Test)", false),
        ),
        ("400", status(400, "Parameter verification failed.", false)),
        (
            "out of space",
            status(500, "No space left on device", false),
        ),
    ];
    if act.step != "configure" {
        faults.push((
            "out of space in the task",
            task_fails("unable to create image: not enough space"),
        ));
    }
    faults
}

struct Scenario {
    act: Act,
    name: &'static str,
    kind: FaultKind,
}

fn all(of: impl Fn(&Act) -> Vec<(&'static str, FaultKind)>) -> Vec<Scenario> {
    let scenario = |act: Act| move |(name, kind)| Scenario { act, name, kind };
    ACTS.iter()
        .flat_map(|act| of(act).into_iter().map(scenario(*act)).collect::<Vec<_>>())
        .collect()
}

/// Runs the operation with the fault in its way; the ended task.
async fn run(
    stack: &mut Stack,
    scenario: &Scenario,
) -> anyhow::Result<(super::world::Subject, serde_json::Value)> {
    stack.start_worker()?;
    let Act {
        operation,
        method,
        path,
        ..
    } = scenario.act;
    let fault = Fault::once(method, path, scenario.kind.clone());
    let (task, subject, id) = if operation == Operation::Create {
        let id = stack.simulator.faults().inject(fault);
        let (task, subject) = ask_create(stack).await?;
        (task, subject, id)
    } else {
        let subject = prepare(stack, operation).await?;
        let id = stack.simulator.faults().inject(fault);
        (ask(stack, operation, &subject).await?, subject, id)
    };
    let task = stack.client.ended(&task).await?;
    let hit = stack
        .simulator
        .faults()
        .list()
        .iter()
        .any(|f| f.id == id && f.hits == 1);
    ensure!(hit, "the fault was never met");
    Ok((subject, task))
}

async fn survives(scenario: Scenario) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let (subject, task) = run(&mut stack, &scenario).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    as_asked(&stack, scenario.act.operation, &subject).await?;
    stack.stop().await
}

async fn refused(scenario: Scenario) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let (subject, task) = run(&mut stack, &scenario).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    ensure!(task["error"]["code"] == "PROXMOX_REFUSED", "{task:#}");
    ensure!(
        task["error"]["details"]["step"] == scenario.act.step,
        "{task:#}"
    );
    let said = task["error"]["details"]["proxmox"]
        .as_str()
        .unwrap_or_default();
    ensure!(!said.is_empty(), "what Proxmox said is not told: {task:#}");
    match (scenario.act.operation, scenario.act.step) {
        // A guest that is whole but does not start is kept, off.
        (Operation::Create, "start") => {
            is_whole(&stack, &subject, "stopped").await?;
        }
        (Operation::Create, _) => {
            let server = stack.client.server(subject.id).await?;
            ensure!(server["status"] == "error", "{server:#}");
            nothing_is_left(&stack, &subject).await?;
        }
        // What is refused is still there, and is not told to be gone.
        (Operation::Destroy, _) => {
            let server = stack.client.server(subject.id).await?;
            ensure!(server["status"] == "error", "{server:#}");
            ensure!(marked(&stack).len() == 1, "the guest is gone");
            let task = ask(&stack, Operation::Destroy, &subject).await?;
            let task = stack.client.ended(&task).await?;
            ensure!(task["status"] == "completed", "a second delete: {task:#}");
            nothing_is_left(&stack, &subject).await?;
        }
        (Operation::Start, _) => {
            is_whole(&stack, &subject, "stopped").await?;
        }
        _ => {
            is_whole(&stack, &subject, "running").await?;
        }
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_survives_what_passes() -> anyhow::Result<()> {
    futures::stream::iter(all(survivable))
        .map(|scenario| async move {
            let what = format!(
                "{:?}/{}: {}",
                scenario.act.operation, scenario.act.step, scenario.name
            );
            survives(scenario).await.context(what)
        })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_unwinds_when_refused() -> anyhow::Result<()> {
    futures::stream::iter(all(final_refusals))
        .map(|scenario| async move {
            let what = format!(
                "{:?}/{}: {}",
                scenario.act.operation, scenario.act.step, scenario.name
            );
            refused(scenario).await.context(what)
        })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

/// The agent never comes: the server runs, the rung that failed is named, and people are told.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_answers_is_a_warning() -> anyhow::Result<()> {
    let mut stack = quick()
        .set("PROXMOX__AGENT_TIMEOUT_SECS", 1)
        .start()
        .await?;
    let interfaces = Fault::once(
        "GET",
        "/nodes/*/qemu/*/agent/network-get-interfaces",
        status(500, "QEMU guest agent is not running", false),
    );
    stack.simulator.faults().inject(interfaces.times(0));
    stack.start_worker()?;
    let (task, subject) = ask_create(&stack).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = is_whole(&stack, &subject, "running").await?;
    let reached: Vec<_> = server["readiness"]
        .as_array()
        .context("no ladder")?
        .iter()
        .map(|rung| {
            (
                rung["rung"].as_str().unwrap_or_default().to_owned(),
                rung["reached"] == true,
            )
        })
        .collect();
    let expected = [
        ("created", true),
        ("configured", true),
        ("started", true),
        ("agent", false),
        ("address", false),
    ];
    ensure!(
        reached == expected.map(|(rung, yes)| (rung.to_owned(), yes)),
        "{reached:?}"
    );
    let latest = stack.client.get("/api/notifications/latest").await?;
    ensure!(
        latest.body["notification"]["type"] == "warning",
        "{}",
        latest.body
    );
    stack.stop().await
}

/// The disk of the template is larger than the one asked for: told before anything is tried, and undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_never_shrunk() -> anyhow::Result<()> {
    let mut stack = quick().set("ROLES__WEB__MIN_DISK_GB", 1).start().await?;
    stack.start_worker()?;
    let (task, _) = stack
        .client
        .create("small", serde_json::json!({ "disk_size": 4 }))
        .await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "failed", "{task:#}");
    let said = task["error"]["message"].as_str().unwrap_or_default();
    ensure!(said.contains("shrinking disks is not supported"), "{said}");
    ensure!(marked(&stack).is_empty(), "left over");
    ensure!(super::world::effects(&stack, "resize").is_empty());
    stack.stop().await
}

/// Questions that fail are asked again, whatever they are about.
#[tokio::test(flavor = "multi_thread")]
async fn looks_that_fail_are_repeated() -> anyhow::Result<()> {
    for path in [
        "/cluster/resources",
        "/nodes/*/tasks/*/status",
        "/nodes/*/qemu/*/config",
        "/nodes/*/qemu/*/status/current",
        "/nodes/*/qemu/*/agent/network-get-interfaces",
    ] {
        for (name, kind) in [
            ("595", status(595, "Connection refused", false)),
            ("596", status(596, "Connection timed out", false)),
            ("dropped", FaultKind::DropBefore),
            ("500", status(500, "something odd", false)),
        ] {
            let mut stack = quick().start().await?;
            stack
                .simulator
                .faults()
                .inject(Fault::once("GET", path, kind).times(2));
            stack.start_worker()?;
            let (task, subject) = ask_create(&stack).await?;
            let task = stack.client.ended(&task).await?;
            ensure!(task["status"] == "completed", "{path} {name}: {task:#}");
            is_whole(&stack, &subject, "running").await.context(path)?;
            stack.stop().await?;
        }
    }
    Ok(())
}

/// The number belongs to a stranger: it is left alone and another number is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_vmid_is_passed_over() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    stack
        .simulator
        .behind_the_back()
        .create_foreign(10_000, "pve2", "stranger");
    stack
        .simulator
        .behind_the_back()
        .create_foreign(10_001, "pve1", "stranger");
    let before = stack.simulator.foreign_hash("tpm:v1 ");
    stack.start_worker()?;
    let (task, subject) = ask_create(&stack).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = is_whole(&stack, &subject, "running").await?;
    ensure!(server["vmid"] == 10_002, "{server:#}");
    ensure!(
        stack.simulator.foreign_hash("tpm:v1 ") == before,
        "a stranger was touched"
    );
    stack.stop().await
}

/// The number is taken by something that is no guest to us (a container, or a guest we may not see): told
/// at once, or by the task when it is on another node.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_taken_by_what_we_cannot_see_is_passed_over() -> anyhow::Result<()> {
    let at_once = "unable to create VM 10000: config file already exists";
    let by_task = "clone failed: close (rename) atomic file '/etc/pve/nodes/pve2/qemu-server/10000.conf' failed: File exists";
    for kind in [status(500, at_once, false), task_fails(by_task)] {
        let mut stack = quick().start().await?;
        let clone = Fault::once("POST", "/nodes/*/qemu/*/clone", kind);
        stack.simulator.faults().inject(clone);
        stack.start_worker()?;
        let (task, subject) = ask_create(&stack).await?;
        let task = stack.client.ended(&task).await?;
        ensure!(task["status"] == "completed", "{task:#}");
        let server = is_whole(&stack, &subject, "running").await?;
        ensure!(server["vmid"] == 10_001, "{server:#}");
        stack.stop().await?;
    }
    Ok(())
}

/// A create that failed leaves a row; a stranger who gets its number later does not keep it from being
/// deleted, and is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_server_is_deleted_past_a_stranger() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let no = task_fails("unable to create image: not enough space");
    stack
        .simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", no));
    stack.start_worker()?;
    let (task, subject) = ask_create(&stack).await?;
    ensure!(stack.client.ended(&task).await?["status"] == "failed");
    stack
        .simulator
        .behind_the_back()
        .create_foreign(10_000, "pve1", "stranger");
    let before = stack.simulator.foreign_hash("tpm:v1 ");
    let task = ask(&stack, Operation::Destroy, &subject).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(
        stack.simulator.foreign_hash("tpm:v1 ") == before,
        "the stranger was touched"
    );
    stack.stop().await
}

/// Another guest under our number: neither switched nor deleted, and both identities are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_guest_is_not_touched() -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    stack.start_worker()?;
    let subject = prepare(&stack, Operation::Destroy).await?;
    let vmid = stack.client.server(subject.id).await?["vmid"]
        .as_u64()
        .context("vmid")?;
    let vmid = u32::try_from(vmid)?;
    stack
        .simulator
        .behind_the_back()
        .recreate(vmid)
        .map_err(anyhow::Error::msg)?;
    let before = format!("{:?}", stack.simulator.guests());
    for operation in [Operation::Stop, Operation::Restart, Operation::Destroy] {
        let task = ask(&stack, operation, &subject).await?;
        let task = stack.client.ended(&task).await?;
        ensure!(
            task["error"]["code"] == "IDENTITY_CONFLICT",
            "{operation:?}: {task:#}"
        );
        let said = task["error"]["details"]["proxmox"]
            .as_str()
            .unwrap_or_default();
        ensure!(
            said.contains("expected uuid=") && said.contains("found uuid="),
            "{said}"
        );
    }
    ensure!(
        before == format!("{:?}", stack.simulator.guests()),
        "the stranger was touched"
    );
    stack.stop().await
}
