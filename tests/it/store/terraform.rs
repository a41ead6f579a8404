//! States, locks and plans: what a worker that lost its task may no longer write.

use super::queue::{claim, job};
use super::{new_server, on_all, on_databases, person};
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
        let tx = store.begin().await?;
        ensure!(tx.idle_server(server).await?.is_none(), "while it is busy");
        drop(tx);

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
        // For a person, once nobody is at work; given up, it was never there.
        for kept in [false, true] {
            let tx = store.begin().await?;
            ensure!(tx.idle_server(server).await?.is_some());
            ensure!(tx.add_state(server, 3, b"old").await?);
            if kept {
                tx.commit().await?;
            }
        }
        let latest = store.latest_state(server).await?.context("a state")?;
        ensure!(
            (latest.serial, latest.task) == (3, None) && latest.sealed == b"old",
            "another one"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_goes_only_above_the_latest() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let two = tx.insert_server(&new_server("two", 1001)).await?;
        ensure!(tx.add_state(one, 4, b"a").await?);
        ensure!(!tx.add_state(one, 4, b"b").await?, "twice");
        ensure!(!tx.add_state(one, 3, b"b").await?, "below");
        ensure!(tx.add_state(one, 5, b"b").await?);
        ensure!(tx.add_state(two, 1, b"c").await?, "another server's");
        tx.commit().await?;
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
