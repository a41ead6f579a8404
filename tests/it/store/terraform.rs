//! States, locks and plans: what a worker that lost its task may no longer write.

use super::queue::{claim, job};
use super::{on_databases, person};
use anyhow::{Context, ensure};
use std::time::Duration;
use tpm_domain::{TaskState, TaskToken};
use tpm_store::{ClaimOrder, Fence, Locked, PlanRow, Store, TerraformStore};

fn fence(epoch: i64) -> Fence {
    Fence {
        task: TaskToken("task_one".into()),
        epoch,
    }
}

fn plan(hash: &str) -> PlanRow {
    PlanRow {
        hash: hash.into(),
        base_serial: 0,
        guest_digest: None,
        sealed: vec![1, 2, 3],
        summary: "{}".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_the_task_writes_nothing() -> anyhow::Result<()> {
    on_databases(|store| async move {
        let by = person(&*store).await?;
        let (server, _) = job(&*store, by, "one", 1000).await?;
        ensure!(
            !store.put_state(server, &fence(1), 1, b"a").await?,
            "unclaimed"
        );
        claim(&*store, "a").await?;
        ensure!(store.put_state(server, &fence(1), 1, b"a").await?);
        ensure!(!store.put_state(server, &fence(1), 1, b"b").await?, "twice");
        ensure!(store.lock_state(server, &fence(1), "l1", "first").await? == Locked::Taken);
        ensure!(store.save_plan(server, &fence(1), &plan("p1")).await?);
        ensure!(
            !store.restore_state(server, 2, b"old").await?,
            "while it is busy"
        );

        // The first worker falls silent, and another one takes over.
        let second = loop {
            let took = store
                .queue()
                .claim("b", Duration::from_secs(60), ClaimOrder::SmallTurns);
            if let Some(claim) = took.await? {
                break claim;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        ensure!(second.lease.epoch == 2);
        ensure!(
            !store.put_state(server, &fence(1), 2, b"late").await?,
            "late write"
        );
        ensure!(
            !store.save_plan(server, &fence(1), &plan("late")).await?,
            "late plan"
        );
        let late = store.lock_state(server, &fence(1), "l3", "late").await?;
        ensure!(late == Locked::Stale, "{late:?}");
        // The dead one's lock is nobody's.
        ensure!(store.state_lock(server).await?.is_none());
        ensure!(store.lock_state(server, &fence(2), "l2", "second").await? == Locked::Taken);
        ensure!(store.state_lock(server).await?.as_deref() == Some("second"));
        ensure!(store.put_state(server, &fence(2), 2, b"b").await?);
        // An unlock that was on its way when its sender died does not open the next one's lock.
        store.unlock_state(server, "l1").await?;
        ensure!(store.state_lock(server).await?.is_some());
        store.unlock_state(server, "l2").await?;
        ensure!(store.state_lock(server).await?.is_none());

        let latest = store.latest_state(server).await?.context("a state")?;
        ensure!(
            (latest.serial, latest.sealed.as_slice()) == (2, b"b".as_slice()),
            "{latest:?}"
        );
        let serials: Vec<u64> = store
            .states(server)
            .await?
            .iter()
            .map(|s| s.serial)
            .collect();
        ensure!(serials == [2, 1], "{serials:?}");
        let kept = store.plan(&fence(1).task).await?.context("a plan")?;
        ensure!(kept == plan("p1"), "{kept:?}");

        let tx = store.begin().await?;
        ensure!(tx.fence(&second.lease).await?);
        tx.end_task(second.lease.task, TaskState::Completed, None)
            .await?;
        tx.commit().await?;
        ensure!(
            !store.put_state(server, &fence(2), 3, b"c").await?,
            "after the end"
        );
        ensure!(store.restore_state(server, 3, b"old").await?);
        ensure!(
            !store.restore_state(server, 3, b"old").await?,
            "not above the latest"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_keeps_its_order() -> anyhow::Result<()> {
    on_databases(|store| async move {
        let task = TaskToken("task_one".into());
        let lines: Vec<String> = (1..=12).map(|n| format!("line {n}")).collect();
        store.append_log(&task, &lines[..2]).await?;
        store.append_log(&task, &[]).await?;
        store.append_log(&task, &lines[2..]).await?;
        let log = store.log(&task).await?;
        let shown: Vec<&String> = log.iter().map(|(_, line)| line).collect();
        ensure!(shown == lines.iter().collect::<Vec<_>>(), "{shown:?}");
        Ok(())
    })
    .await
}
