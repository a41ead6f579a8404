//! Schedules and their runs.

use super::{new_server, on_all, person};
use anyhow::{Context, ensure};
use tpm_domain::{
    BackupId, BackupMode, BackupOrigin, BackupState, BackupToken, Compression, RunItemState,
    RunState, ScheduleId, ScheduleSpec, ServerId, ServerName, ServerSelector, Timestamp, UserId,
    Vmid,
};
use tpm_store::{BackupQuery, NewBackup, NewRun, Store, StoreError};

fn spec(name: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: ServerName::new(name).expect("a name"),
        project: None,
        enabled: true,
        calendar: "0 2 * * *".into(),
        time_zone: "Asia/Seoul".into(),
        selector: ServerSelector::All,
        drill: None,
        mode: BackupMode::Snapshot,
        storage: "local".into(),
        compression: Compression::Zstd,
        notes: String::new(),
        jitter_secs: 0,
        window_minutes: None,
        retention: tpm_domain::Retention::default(),
        max_age_hours: None,
        verified_within_days: None,
        per_node: Some(2),
        per_storage: None,
    }
}

async fn schedule(
    store: &dyn Store,
    name: &str,
    next: i64,
) -> anyhow::Result<(ScheduleId, UserId)> {
    let by = UserId(1);
    let tx = store.begin().await?;
    let id = tx
        .insert_schedule(&spec(name), Some(Timestamp(next)), by)
        .await?;
    tx.commit().await?;
    Ok((id, by))
}

fn run_of(schedule: ScheduleId, servers: &[ServerId]) -> NewRun {
    NewRun {
        schedule,
        due_at: Timestamp(1000),
        passed_over: 2,
        asked_by: None,
        state: RunState::Running,
        begin_before: Some(Timestamp(9000)),
        items: servers.iter().map(|id| (*id, Timestamp(1500))).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_kept_changed_and_removed() -> anyhow::Result<()> {
    on_all(|store| async move {
        person(&*store).await?;
        let (late, _) = schedule(&*store, "weekly", 5000).await?;
        let (early, by) = schedule(&*store, "nightly", 1000).await?;
        let tx = store.begin().await?;
        let twice = tx.insert_schedule(&spec("nightly"), None, by).await;
        ensure!(matches!(twice, Err(StoreError::Constraint(_))), "{twice:?}");
        drop(tx);
        let all = store.reads().schedules().await?;
        let names: Vec<&str> = all.iter().map(|one| one.spec.name.as_str()).collect();
        ensure!(names == ["nightly", "weekly"], "{names:?}");
        let mut one = store.reads().schedule(early).await?.context("missing")?;
        ensure!(
            one.spec == spec("nightly") && one.next_at == Some(Timestamp(1000)),
            "{one:?}"
        );
        one.spec.window_minutes = Some(5);
        one.next_at = None;
        let tx = store.begin().await?;
        tx.save_schedule(&one).await?;
        tx.commit().await?;
        let read = store.reads().schedule(early).await?.context("missing")?;
        ensure!(
            read.spec == one.spec && read.next_at.is_none() && read.created_by == by,
            "{read:?}"
        );
        // Its backups stay, and are nobody's then.
        let tx = store.begin().await?;
        let server = tx.insert_server(&new_server("one", 1000)).await?;
        let new = NewBackup {
            token: BackupToken("backup_1".into()),
            server,
            server_name: "one".into(),
            vmid: Vmid(1000),
            storage: "local".into(),
            origin: BackupOrigin::Schedule,
            schedule: Some(late),
            mode: None,
            compression: None,
            notes: String::new(),
            protected: false,
        };
        let backup = tx.insert_backup(&new).await?;
        let mut made = tx.backup(backup).await?.context("missing")?;
        ensure!(
            made.schedule == Some(late) && made.condemned_by.is_none(),
            "{made:?}"
        );
        made.condemned_by = Some(UserId(1));
        made.volume = Some("local:backup/x".into());
        made.state = BackupState::Completed;
        tx.save_backup(&made).await?;
        tx.insert_run(&run_of(late, &[server])).await?;
        tx.commit().await?;
        let condemned = BackupQuery {
            condemned: true,
            ..BackupQuery::default()
        };
        let found = store.reads().backups(&condemned).await?;
        ensure!(found.total == 1 && found.items[0] == made, "{found:?}");
        let tx = store.begin().await?;
        ensure!(tx.delete_schedule(late).await? && !tx.delete_schedule(late).await?);
        tx.commit().await?;
        let left = store.reads().backup(backup).await?.context("gone")?;
        ensure!(left.schedule.is_none(), "{left:?}");
        ensure!(store.reads().open_items().await?.is_empty());
        ensure!(store.reads().last_runs().await?.is_empty());
        Ok(())
    })
    .await
}

/// Of any number of workers one takes what is due.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_taken_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        person(&*store).await?;
        let (id, _) = schedule(&*store, "nightly", 1000).await?;
        let take = async || -> anyhow::Result<bool> {
            let tx = store.begin().await?;
            let mine = tx
                .take_due(id, Timestamp(1000), Some(Timestamp(2000)))
                .await?;
            tx.commit().await?;
            Ok(mine)
        };
        let (a, b, c, d) = tokio::join!(take(), take(), take(), take());
        let mine = [a?, b?, c?, d?];
        ensure!(mine.iter().filter(|mine| **mine).count() == 1, "{mine:?}");
        let tx = store.begin().await?;
        ensure!(!tx.take_due(id, Timestamp(1000), None).await?);
        ensure!(tx.take_due(id, Timestamp(2000), None).await?);
        drop(tx);
        let one = store.reads().schedule(id).await?.context("missing")?;
        ensure!(one.next_at == Some(Timestamp(2000)), "{one:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_runs_move_on_once_and_runs_end_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        person(&*store).await?;
        let (id, _) = schedule(&*store, "nightly", 1000).await?;
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let two = tx.insert_server(&new_server("two", 1001)).await?;
        let run = tx.insert_run(&run_of(id, &[one, two])).await?;
        tx.commit().await?;
        let open = store.reads().open_items().await?;
        ensure!(
            open.len() == 2 && open[0].server == one && open[1].server == two,
            "{open:?}"
        );
        let first = &open[0];
        ensure!(first.run == run && first.schedule == id && first.due_at == Timestamp(1500));
        ensure!(
            first.begin_before == Some(Timestamp(9000)) && first.state == RunItemState::Waiting
        );
        ensure!(store.reads().runs_to_end().await?.is_empty());
        let (waiting, started) = (RunItemState::Waiting, RunItemState::Started);
        let tx = store.begin().await?;
        let backup = Some(BackupId(7));
        ensure!(tx.move_item(first.id, waiting, started, backup).await?);
        ensure!(!tx.move_item(first.id, waiting, started, backup).await?);
        ensure!(
            tx.move_item(open[1].id, waiting, RunItemState::Skipped, None)
                .await?
        );
        ensure!(!tx.end_run(run).await?, "one of its parts is not over");
        tx.commit().await?;
        let open = store.reads().open_items().await?;
        ensure!(open.len() == 1 && open[0].backup == backup, "{open:?}");
        let tx = store.begin().await?;
        ensure!(
            tx.move_item(first.id, started, RunItemState::Completed, None)
                .await?
        );
        tx.commit().await?;
        let over = store.reads().runs_to_end().await?;
        ensure!(over.len() == 1 && over[0].tally.len() == 2, "{over:?}");
        let tx = store.begin().await?;
        ensure!(tx.end_run(run).await? && !tx.end_run(run).await?);
        let now = tx.now();
        tx.commit().await?;
        let last = store.reads().last_runs().await?;
        let last = last.get(&id).context("no run")?;
        ensure!(
            last.state == RunState::Done && last.ended_at == Some(now),
            "{last:?}"
        );
        ensure!(last.passed_over == 2 && last.tally.get(&RunItemState::Completed) == Some(&1));
        // The latest of a schedule is kept, whatever its age.
        let far = Timestamp(now.0 + 1_000_000);
        let tx = store.begin().await?;
        ensure!(tx.trim_runs(far).await? == 0);
        tx.insert_run(&NewRun {
            state: RunState::Missed,
            items: Vec::new(),
            ..run_of(id, &[])
        })
        .await?;
        ensure!(tx.trim_runs(now).await? == 0 && tx.trim_runs(far).await? == 1);
        tx.commit().await?;
        let last = store.reads().last_runs().await?;
        ensure!(
            last.get(&id)
                .is_some_and(|run| run.state == RunState::Missed)
        );
        Ok(())
    })
    .await
}
