//! The worker killed (-9) for real at every moment of every act of a backup, a restore over what is there, a deletion
//! and a drill: nothing is lost, nothing is restored twice, no guest of a drill is left, and the safety backup is there.

use super::{drills, one};
use crate::faults::crash::kill_worker_at;
use crate::faults::world::{Subject, as_asked, ask, effects, kind, marked, prepare_alone, quick};
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt};
use serde_json::json;
use tpm_jobs::PointKind;
use tpm_provisioner::Operation;
use tpm_test_support::Stack;

/// How many scenarios run at once.
const WIDTH: usize = 4;

/// The steps that act when a backup is restored over the server as it was then.
const ACTS: [(Operation, &[&str]); 3] = [
    (Operation::Backup, &["dump"]),
    (
        Operation::Restore,
        &["safety", "shutdown", "restore", "start"],
    ),
    (Operation::EraseBackup, &["erase"]),
];

/// Those of a drill, there and back.
const OF_DRILLS: [&str; 6] = [
    "restore",
    "configure",
    "start",
    "command",
    "undo:stop",
    "undo:destroy",
];

const MOMENTS: [PointKind; 3] = [
    PointKind::BeforeAct,
    PointKind::AfterAct,
    PointKind::AfterRecord,
];

fn place(operation: Operation, step: &str, at: PointKind) -> String {
    format!("{}/{step}/{}", kind(operation), at.as_str())
}

async fn killed_at(operation: Operation, place: &str) -> anyhow::Result<()> {
    let mut stack = quick().start().await?;
    let subject = prepare_alone(&stack, operation).await?;
    let task = ask(&stack, operation, &subject).await?;
    let stack_ref = &stack;
    tokio::task::block_in_place(|| kill_worker_at(stack_ref, place))?;
    stack.start_worker()?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    as_asked(&stack, operation, &subject).await?;
    archives_are(&stack, operation, &subject).await?;
    stack.stop().await
}

/// As many archives as backups are known, and one effect of each kind.
async fn archives_are(
    stack: &Stack,
    operation: Operation,
    subject: &Subject,
) -> anyhow::Result<()> {
    let path = format!("/api/backups?server_id={}", subject.id);
    let list = stack.client.get(&path).await?.body;
    let known = list["backups"].as_array().context("backups")?;
    let (backups, restores) = match operation {
        Operation::EraseBackup => (0, 0),
        Operation::Restore => (2, 1),
        _ => (1, 0),
    };
    ensure!(
        known.len() == backups && known.iter().all(|one| one["status"] == "completed"),
        "{list:#}"
    );
    let safety = known.iter().filter(|one| one["origin"] == "safety").count();
    ensure!(safety == restores, "{list:#}");
    let vmid = stack.client.server(subject.id).await?["vmid"].as_u64();
    let vmid = u32::try_from(vmid.context("vmid")?)?;
    let archives = stack.simulator.archives(vmid);
    ensure!(archives.len() == backups, "{archives:?}");
    let restored = effects(stack, "restore");
    ensure!(restored.len() == restores, "{restored:?}");
    Ok(())
}

async fn killed_drilling(place: &str) -> anyhow::Result<()> {
    let (mut stack, vmid, backup) = drills::alone_with_backup().await?;
    let body = json!({ "command": ["/usr/bin/true"] });
    let reply = drills::ask(&stack, &backup, body).await?;
    let task = stack.client.task_of(&reply)?;
    let stack_ref = &stack;
    tokio::task::block_in_place(|| kill_worker_at(stack_ref, place))?;
    stack.start_worker()?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let left: Vec<u32> = marked(&stack).iter().map(|guest| guest.vmid).collect();
    ensure!(left == [vmid], "{left:?}");
    ensure!(effects(&stack, "restore").len() == 1, "restored twice");
    let drills = stack.client.get("/api/backups/drills").await?.body;
    ensure!(
        drills["total"] == 1 && drills["drills"][0]["status"] == "passed",
        "{drills:#}"
    );
    ensure!(drills["drills"][0]["cleared_at"].is_string(), "{drills:#}");
    let backup = one(&stack, backup["backup_id"].as_str().unwrap_or_default()).await?;
    ensure!(backup["verified_by"] == "drill", "{backup:#}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_killed_anywhere_in_a_backup_loses_nothing() -> anyhow::Result<()> {
    let all = ACTS.iter().flat_map(|(operation, steps)| {
        let steps = steps
            .iter()
            .flat_map(move |step| MOMENTS.map(|at| place(*operation, step, at)).into_iter());
        let end = place(*operation, "finish", PointKind::BeforeFinish);
        steps.chain([end]).map(|place| (*operation, place))
    });
    futures::stream::iter(all)
        .map(|(operation, place)| async move {
            let done = killed_at(operation, &place).await;
            done.with_context(|| place.clone())
        })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_worker_killed_anywhere_in_a_drill_leaves_no_guest() -> anyhow::Result<()> {
    let acts = OF_DRILLS.iter().flat_map(|step| {
        MOMENTS
            .map(|at| place(Operation::Drill, step, at))
            .into_iter()
    });
    let ends = ["finish", "undo:finish"];
    let ends = ends.map(|step| place(Operation::Drill, step, PointKind::BeforeFinish));
    futures::stream::iter(acts.chain(ends))
        .map(|place| async move { killed_drilling(&place).await.context(place) })
        .buffer_unordered(WIDTH)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}
