//! Claims, leases, places, bulks: what workers rely on.

use super::{new_server, on_all, person};
use anyhow::ensure;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{
    BulkPolicy, Failure, FailureCode, ServerId, StepRecord, StepState, TaskId, TaskKind, TaskNote,
    TaskState, TaskToken, UserId,
};
use tpm_store::{
    Claim, ClaimOrder, NewTask, SlotAnswer, SlotNeed, Store, StoreError, TaskFigure, TaskQuery,
};
use tpm_store_seaorm::SeaStore;
use tpm_test_support::Postgres;

const TTL: Duration = Duration::from_millis(300);

/// A server with a task that is due.
pub(super) async fn job(
    store: &dyn Store,
    by: UserId,
    name: &str,
    vmid: u32,
) -> anyhow::Result<(ServerId, TaskId)> {
    let tx = store.begin().await?;
    let server = tx.insert_server(&new_server(name, vmid)).await?;
    let task = NewTask::on(
        TaskKind::CreateServer,
        TaskToken(format!("task_{name}")),
        (server, name.into()),
        by,
    );
    let task = tx.insert_task(&task).await?;
    tx.commit().await?;
    Ok((server, task))
}

pub(super) async fn claim(store: &dyn Store, owner: &str) -> anyhow::Result<Claim> {
    store
        .queue()
        .claim(owner, TTL, ClaimOrder::SmallTurns)
        .await?
        .ok_or_else(|| anyhow::anyhow!("nothing to claim"))
}

fn step(seq: u32, state: StepState) -> StepRecord {
    StepRecord {
        seq,
        undo: false,
        name: format!("s{seq}"),
        state,
        attempt: 1,
        intent: Some("{}".into()),
        handle: Some("UPID".into()),
        evidence: None,
        started_at: Some(tpm_domain::Timestamp(5)),
        finished_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_counted_by_kind_and_state() -> anyhow::Result<()> {
    on_all(|store| async move {
        ensure!(store.reads().task_figures().await?.is_empty());
        let by = person(&*store).await?;
        job(&*store, by, "one", 1000).await?;
        job(&*store, by, "two", 1001).await?;
        let ended = claim(&*store, "a").await?;
        let tx = store.begin().await?;
        ensure!(tx.fence(&ended.lease).await?);
        tx.end_task(ended.lease.task, TaskState::Completed, None)
            .await?;
        let token = TaskToken("task_bulk".into());
        let bulk = NewTask::bulk(TaskKind::BulkDelete, token, BulkPolicy::Keep, by);
        tx.insert_task(&bulk).await?;
        tx.commit().await?;
        let figures = store.reads().task_figures().await?;
        let counted: Vec<_> = figures
            .iter()
            .map(|one| (one.kind, one.state, one.count))
            .collect();
        let expected = [
            (TaskKind::BulkDelete, TaskState::Pending, 1),
            (TaskKind::CreateServer, TaskState::Completed, 1),
            (TaskKind::CreateServer, TaskState::Pending, 1),
        ];
        ensure!(counted == expected, "{figures:?}");
        // Its age runs on, by the database's clock.
        let oldest = |figures: &[TaskFigure]| figures[2].oldest;
        let before = oldest(&figures);
        ensure!(before < Duration::from_secs(60), "{before:?}");
        let begun = std::time::Instant::now();
        while oldest(&store.reads().task_figures().await?) <= before {
            ensure!(begun.elapsed() < Duration::from_secs(20), "it stands still");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_exclusive_until_its_lease_is_over() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let (_, task) = job(&*store, by, "one", 1000).await?;
        let first = claim(&*store, "a").await?;
        ensure!(first.lease.task == task && first.lease.epoch == 1);
        ensure!(
            store
                .queue()
                .claim("b", TTL, ClaimOrder::SmallTurns)
                .await?
                .is_none(),
            "claimed twice"
        );
        ensure!(store.queue().renew("a", &[task], TTL).await? == 1);
        ensure!(
            store.queue().renew("b", &[task], TTL).await? == 0,
            "renewed by a stranger"
        );
        let wait = store
            .queue()
            .next_due()
            .await?
            .expect("a lease that runs out");
        ensure!(wait <= TTL + Duration::from_millis(50), "{wait:?}");
        tokio::time::sleep(wait + Duration::from_millis(5)).await;
        let second = claim(&*store, "b").await?;
        ensure!(second.lease.epoch == 2);

        // The first owner wakes up: fenced off, and nothing of its transaction stays.
        let tx = store.begin().await?;
        ensure!(!tx.fence(&first.lease).await?, "a stale worker may write");
        drop(tx);
        let tx = store.begin().await?;
        ensure!(tx.fence(&second.lease).await?);
        tx.save_step(task, &step(0, StepState::Unknown)).await?;
        tx.save_step(task, &step(0, StepState::Done)).await?;
        tx.save_progress(task, &TaskNote::Step { step: "s0".into() }, 40)
            .await?;
        tx.save_progress(task, &TaskNote::Step { step: "s1".into() }, 30)
            .await?;
        tx.park(task, Duration::ZERO, None).await?;
        tx.commit().await?;
        let third = claim(&*store, "a").await?;
        ensure!(third.steps == [step(0, StepState::Done)] && third.task.progress == 40);
        ensure!(store.queue().surrender("a").await? == 1);
        let fourth = claim(&*store, "b").await?;
        let tx = store.begin().await?;
        ensure!(tx.fence(&fourth.lease).await?);
        tx.end_task(task, TaskState::Completed, None).await?;
        tx.commit().await?;
        ensure!(
            store
                .queue()
                .claim("c", TTL, ClaimOrder::SmallTurns)
                .await?
                .is_none(),
            "an ended task was claimed"
        );
        ensure!(store.queue().next_due().await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_claim_each_task_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        for n in 0..60 {
            job(&*store, by, &format!("s{n}"), 1000 + n).await?;
        }
        let workers: Vec<_> = (0..6)
            .map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let owner = format!("w{n}");
                    let mut claimed = Vec::new();
                    while let Some(claim) = store
                        .queue()
                        .claim(&owner, Duration::from_secs(60), ClaimOrder::SmallTurns)
                        .await?
                    {
                        claimed.push(claim.lease.task);
                    }
                    anyhow::Ok(claimed)
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await??);
        }
        // A worker that lost a race may have gone home early; what is left is still there, once.
        while let Some(claim) = store
            .queue()
            .claim("last", Duration::from_secs(60), ClaimOrder::SmallTurns)
            .await?
        {
            all.push(claim.lease.task);
        }
        let claimed = all.len();
        all.sort_unstable();
        all.dedup();
        ensure!(
            claimed == 60 && all.len() == 60,
            "{claimed} claims of {} tasks",
            all.len()
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_one_active_task() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let (server, task) = job(&*store, by, "one", 1000).await?;
        let again = NewTask::on(
            TaskKind::DeleteServer,
            TaskToken("task_again".into()),
            (server, "one".into()),
            by,
        );
        let tx = store.begin().await?;
        let second = tx.insert_task(&again).await;
        ensure!(
            matches!(second, Err(StoreError::Constraint(_))),
            "{second:?}"
        );
        drop(tx);
        let lease = claim(&*store, "a").await?.lease;
        let tx = store.begin().await?;
        ensure!(tx.fence(&lease).await?);
        tx.end_task(
            task,
            TaskState::Failed,
            Some(&Failure::new(FailureCode::Internal, "x")),
        )
        .await?;
        tx.insert_task(&again).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// What is asked for alone passes a bulk, and the oldest task passes everything: neither waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_small_turns_or_the_oldest() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let tx = store.begin().await?;
        let token = TaskToken("task_bulk".into());
        let bulk = NewTask::bulk(TaskKind::BulkCreate, token, BulkPolicy::Keep, by);
        let bulk = tx.insert_task(&bulk).await?;
        let mut children = Vec::new();
        for (turn, name) in ["one", "two", "three"].into_iter().enumerate() {
            let vmid = 1000 + u32::try_from(turn)?;
            let server = tx.insert_server(&new_server(name, vmid)).await?;
            let on = (server, name.to_owned());
            let token = TaskToken(format!("task_{name}"));
            let task = NewTask::on(TaskKind::CreateServer, token, on, by);
            let task = task.in_bulk(Some(bulk), turn + 1);
            children.push(tx.insert_task(&task).await?);
        }
        tx.commit().await?;
        let (_, alone) = job(&*store, by, "alone", 2000).await?;
        let claim = async |order| {
            let claim = store.queue().claim("a", TTL, order).await?;
            anyhow::Ok(claim.map(|claim| claim.lease.task))
        };
        ensure!(claim(ClaimOrder::OldestFirst).await? == Some(children[0]));
        ensure!(claim(ClaimOrder::SmallTurns).await? == Some(alone));
        ensure!(claim(ClaimOrder::SmallTurns).await? == Some(children[1]));
        ensure!(claim(ClaimOrder::OldestFirst).await? == Some(children[2]));
        ensure!(claim(ClaimOrder::OldestFirst).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_limited_and_handed_on() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let (_, one) = job(&*store, by, "one", 1000).await?;
        let (_, two) = job(&*store, by, "two", 1001).await?;
        let long = Duration::from_secs(600);
        let claim = async || store.queue().claim("a", long, ClaimOrder::SmallTurns).await;
        let first = claim().await?.expect("due");
        let second = claim().await?.expect("due");
        ensure!((first.lease.task, second.lease.task) == (one, two));
        let clone = [SlotNeed {
            name: "clone".into(),
            limit: 1,
        }];
        let tx = store.begin().await?;
        ensure!(tx.take_slots(one, 0, &clone).await? == SlotAnswer::Taken);
        ensure!(
            tx.take_slots(one, 0, &clone).await? == SlotAnswer::Taken,
            "lost its own place"
        );
        ensure!(tx.take_slots(two, 0, &clone).await? == SlotAnswer::Full("clone".into()));
        tx.park(two, Duration::from_secs(3600), Some("clone"))
            .await?;
        tx.commit().await?;
        ensure!(claim().await?.is_none(), "claimed while it waits");
        let tx = store.begin().await?;
        tx.free_slots(one, 0).await?;
        tx.commit().await?;
        let woken = claim().await?.expect("was not woken");
        ensure!(woken.lease.task == two);
        Ok(())
    })
    .await
}

/// A place that is freed while somebody is told that there is none: one of the two sees the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_freed_at_that_moment_is_noticed() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let (_, one) = job(&*store, by, "one", 1000).await?;
        let (_, two) = job(&*store, by, "two", 1001).await?;
        let long = Duration::from_secs(600);
        let claim = async || store.queue().claim("a", long, ClaimOrder::SmallTurns).await;
        for _ in [one, two] {
            claim().await?.expect("due");
        }
        let clone = [SlotNeed {
            name: "clone".into(),
            limit: 1,
        }];
        let tx = store.begin().await?;
        ensure!(tx.take_slots(one, 0, &clone).await? == SlotAnswer::Taken);
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(tx.take_slots(two, 0, &clone).await? == SlotAnswer::Full("clone".into()));
        let other = Arc::clone(&store);
        let mut freeing = tokio::spawn(async move {
            let tx = other.begin().await?;
            tx.free_slots(one, 0).await?;
            tx.commit().await
        });
        let early = tokio::time::timeout(Duration::from_millis(200), &mut freeing).await;
        ensure!(early.is_err(), "freed behind the back of who is waiting");
        tx.park(two, long, Some("clone")).await?;
        tx.commit().await?;
        freeing.await??;
        ensure!(claim().await?.expect("was not woken").lease.task == two);
        Ok(())
    })
    .await
}

/// One that was woken for a place, and finds another one full, hands the place on.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_taken_is_handed_on() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let mut tasks = Vec::new();
        for n in 0..4 {
            tasks.push(job(&*store, by, &format!("t{n}"), 1000 + n).await?.1);
        }
        let long = Duration::from_secs(600);
        let claim = async || {
            store
                .queue()
                .claim("a", long, ClaimOrder::OldestFirst)
                .await
        };
        for _ in &tasks {
            claim().await?.expect("due");
        }
        let need = |name: &str| SlotNeed {
            name: name.into(),
            limit: 1,
        };
        let both = [need("node"), need("storage")];
        let full = |name: &str| SlotAnswer::Full(name.into());
        let tx = store.begin().await?;
        ensure!(tx.take_slots(tasks[0], 0, &both[..1]).await? == SlotAnswer::Taken);
        ensure!(tx.take_slots(tasks[1], 0, &both[1..]).await? == SlotAnswer::Taken);
        for task in &tasks[2..] {
            ensure!(tx.take_slots(*task, 0, &both).await? == full("node"));
            tx.park(*task, long, Some("node")).await?;
        }
        // The node has a place again, the storage has none: the older one moves over to that queue, and the
        // other one is asked whether it can do with the node alone.
        tx.free_slots(tasks[0], 0).await?;
        tx.commit().await?;
        ensure!(claim().await?.expect("was not woken").lease.task == tasks[2]);
        let tx = store.begin().await?;
        ensure!(tx.take_slots(tasks[2], 0, &both).await? == full("storage"));
        tx.park(tasks[2], long, Some("storage")).await?;
        tx.commit().await?;
        ensure!(claim().await?.expect("the place was lost").lease.task == tasks[3]);
        let tx = store.begin().await?;
        ensure!(tx.take_slots(tasks[3], 0, &both[..1]).await? == SlotAnswer::Taken);
        tx.commit().await?;
        ensure!(claim().await?.is_none(), "woken for nothing");
        Ok(())
    })
    .await
}

/// What one that was woken for a place does instead of asking for it.
#[derive(Clone, Copy, Debug)]
enum Instead {
    Ends,
    Parks,
    TurnsRound,
    StepDone,
    OtherPlace,
}

/// One that was woken for a place, and goes another way, leaves it to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_asked_for_is_handed_on() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let long = Duration::from_secs(600);
        let claim = async || {
            store
                .queue()
                .claim("a", long, ClaimOrder::OldestFirst)
                .await
        };
        let ways = [
            Instead::Ends,
            Instead::Parks,
            Instead::TurnsRound,
            Instead::StepDone,
            Instead::OtherPlace,
        ];
        for (n, (way, cancelled)) in ways
            .iter()
            .flat_map(|way| [(way, false), (way, true)])
            .enumerate()
        {
            let n = u32::try_from(n)?;
            let mut tasks = Vec::new();
            for k in 0..4 {
                tasks.push(
                    job(&*store, by, &format!("t{n}-{k}"), 1000 + 4 * n + k)
                        .await?
                        .1,
                );
                claim().await?.expect("due");
            }
            let [holder, first, second, third] = tasks[..] else {
                unreachable!()
            };
            let need = |name: String| [SlotNeed { name, limit: 1 }];
            let place = need(format!("clone/{n}"));
            let full = SlotAnswer::Full(place[0].name.clone());
            let tx = store.begin().await?;
            ensure!(tx.take_slots(holder, 0, &place).await? == SlotAnswer::Taken);
            for task in [first, second, third] {
                ensure!(tx.take_slots(task, 0, &place).await? == full);
                tx.park(task, long, Some(&place[0].name)).await?;
            }
            tx.free_slots(holder, 0).await?;
            if cancelled {
                ensure!(tx.request_cancel(first).await? == 1);
            }
            tx.commit().await?;
            ensure!(claim().await?.expect("was not woken").lease.task == first);
            ensure!(
                claim().await?.is_none(),
                "{way:?}: two were woken for one place"
            );
            let tx = store.begin().await?;
            match way {
                Instead::Ends => tx.end_task(first, TaskState::Failed, None).await?,
                Instead::Parks => tx.park(first, long, None).await?,
                Instead::TurnsRound => tx.begin_undo(first, None).await?,
                Instead::StepDone => drop(tx.free_slots(first, 0).await?),
                Instead::OtherPlace => {
                    let other = need(format!("other/{n}"));
                    ensure!(tx.take_slots(first, 0, &other).await? == SlotAnswer::Taken);
                }
            }
            tx.commit().await?;
            let woken = claim().await?;
            let woken = woken.ok_or_else(|| anyhow::anyhow!("{way:?}: the place was lost"))?;
            ensure!(woken.lease.task == second);
            let tx = store.begin().await?;
            ensure!(tx.take_slots(second, 0, &place).await? == SlotAnswer::Taken);
            tx.commit().await?;
            ensure!(claim().await?.is_none(), "{way:?}: woken for nothing");
            let tx = store.begin().await?;
            for task in tasks {
                tx.end_task(task, TaskState::Completed, None).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_sums_up_children_that_end_at_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let tx = store.begin().await?;
        let parent = NewTask::bulk(
            TaskKind::BulkCreate,
            TaskToken("task_bulk".into()),
            BulkPolicy::Keep,
            by,
        );
        let parent = tx.insert_task(&parent).await?;
        for n in 0..8 {
            let name = format!("s{n}");
            let server = tx.insert_server(&new_server(&name, 1000 + n)).await?;
            let task = NewTask::on(
                TaskKind::CreateServer,
                TaskToken(format!("task_{name}")),
                (server, name),
                by,
            )
            .in_bulk(Some(parent), 0);
            tx.insert_task(&task).await?;
        }
        tx.commit().await?;
        let mut ends = Vec::new();
        for n in 0..8 {
            let lease = claim(&*store, "a").await?.lease;
            let store = Arc::clone(&store);
            ends.push(tokio::spawn(async move {
                let tx = store.begin().await?;
                anyhow::ensure!(tx.fence(&lease).await?);
                let state = if n == 3 {
                    TaskState::Failed
                } else {
                    TaskState::Completed
                };
                tx.end_task(lease.task, state, None).await?;
                tx.commit().await?;
                anyhow::Ok(())
            }));
        }
        for end in ends {
            end.await??;
        }
        let bulk = store
            .reads()
            .task(&TaskToken("task_bulk".into()))
            .await?
            .expect("the bulk");
        ensure!(
            bulk.state == TaskState::Partial && bulk.progress == 100,
            "{bulk:?}"
        );
        let sum = bulk.children.expect("a sum");
        ensure!(
            (sum.total, sum.completed, sum.failed) == (8, 7, 1),
            "{sum:?}"
        );
        let query = TaskQuery {
            parent: Some(parent),
            ..Default::default()
        };
        ensure!(store.reads().tasks(&query).await?.total == 8);
        ensure!(
            store.reads().tasks(&TaskQuery::default()).await?.total == 1,
            "children are listed"
        );
        Ok(())
    })
    .await
}

/// With all or nothing, what was made counts as being undone from the first failure on, whether or not a
/// task for it could be written yet; and no cancel reaches that task.
#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_that_is_all_or_nothing_ends_when_all_is_taken_back() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let tx = store.begin().await?;
        let token = TaskToken("task_bulk".into());
        let strict = BulkPolicy::AllOrNothing;
        let bulk = NewTask::bulk(TaskKind::BulkCreate, token.clone(), strict, by);
        let bulk = tx.insert_task(&bulk).await?;
        let mut servers = Vec::new();
        for (turn, name) in ["one", "two", "three"].into_iter().enumerate() {
            let vmid = 1000 + u32::try_from(turn)?;
            let server = tx.insert_server(&new_server(name, vmid)).await?;
            let on = (server, name.to_owned());
            let token = TaskToken(format!("task_{name}"));
            let task = NewTask::on(TaskKind::CreateServer, token, on, by);
            tx.insert_task(&task.in_bulk(Some(bulk), turn)).await?;
            servers.push(server);
        }
        tx.commit().await?;
        let end = async |state: TaskState| {
            let lease = claim(&*store, "a").await?.lease;
            let tx = store.begin().await?;
            ensure!(tx.fence(&lease).await?);
            tx.end_task(lease.task, state, None).await?;
            tx.commit().await?;
            let bulk = store.reads().task(&token).await?.expect("the bulk");
            let sum = bulk.children.expect("a sum");
            anyhow::Ok((lease.task, bulk.state, sum))
        };
        let (one, _, _) = end(TaskState::Completed).await?;
        let (_, state, sum) = end(TaskState::Completed).await?;
        ensure!(state == TaskState::Running && sum.undoing == 0 && sum.completed == 2);
        let tx = store.begin().await?;
        // Somebody deletes the second one by hand: nothing is left of it to take back.
        tx.delete_server(servers[1]).await?;
        tx.commit().await?;
        let (_, state, sum) = end(TaskState::Failed).await?;
        ensure!(state == TaskState::Running, "{state:?} {sum:?}");
        ensure!((sum.completed, sum.undoing) == (1, 1), "{sum:?}");

        let tx = store.begin().await?;
        let left = tx.to_take_back(bulk).await?;
        ensure!(left.iter().map(|task| task.id).eq([one]), "{left:?}");
        let on = (servers[0], "one".to_owned());
        let undo = NewTask {
            undoes: Some(one),
            ..NewTask::on(
                TaskKind::DeleteServer,
                TaskToken("task_undo".into()),
                on,
                by,
            )
        };
        tx.insert_task(&undo.in_bulk(Some(bulk), 0)).await?;
        ensure!(tx.to_take_back(bulk).await?.is_empty());
        ensure!(tx.request_cancel(bulk).await? == 1, "more than the bulk");
        tx.commit().await?;
        let undo = store.reads().task(&TaskToken("task_undo".into())).await?;
        ensure!(undo.is_some_and(|undo| !undo.cancel_requested));
        let (_, state, sum) = end(TaskState::Completed).await?;
        ensure!(state == TaskState::Partial, "{state:?} {sum:?}");
        ensure!(
            (sum.completed, sum.undone, sum.undoing) == (1, 1, 0),
            "{sum:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_makes_waiting_tasks_due() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let (_, task) = job(&*store, by, "one", 1000).await?;
        claim(&*store, "a").await?;
        let tx = store.begin().await?;
        tx.park(task, Duration::from_secs(3600), Some("clone"))
            .await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(tx.request_cancel(task).await? == 1);
        tx.commit().await?;
        let again = claim(&*store, "a").await?;
        ensure!(again.task.cancel_requested);
        Ok(())
    })
    .await
}

/// The bell is heard by a worker in another store, as in another process.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_heard_across_connections() -> anyhow::Result<()> {
    async fn rings(url: String) -> anyhow::Result<()> {
        let (ear, bell) = (SeaStore::open(&url).await?, SeaStore::open(&url).await?);
        let heard = tokio::spawn(async move { ear.queue().woken().await });
        // Rung until it is heard: the ear may not be listening yet, which a scan would make up for.
        while !heard.is_finished() {
            bell.queue().wake().await;
            tokio::task::yield_now().await;
        }
        heard.await?;
        Ok(())
    }
    let dir = tempfile::tempdir()?;
    rings(format!("sqlite://{}", dir.path().join("t.db").display())).await?;
    match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => rings(tokio::task::block_in_place(|| postgres.database())?).await,
        Err(missing) => {
            tpm_test_support::say(&format!("skipped on PostgreSQL: {missing}"));
            Ok(())
        }
    }
}
