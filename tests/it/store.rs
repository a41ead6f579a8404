//! The store's promises, on SQLite and on a real PostgreSQL: each test runs on both.

use anyhow::ensure;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{
    Event, EventKind, Failure, FailureCode, Nic, ServerId, ServerName, ServerSpec, ServerState,
    StaticAddress, StepRecord, StepState, TaskId, TaskKind, TaskNote, TaskState, TaskToken, UserId,
    UserRole, Vmid,
};
use tpm_store::{
    Claim, NewServer, NewTask, NotificationQuery, ServerOrder, ServerQuery, SlotAnswer, Store,
    StoreError, TaskQuery, Throttle, VmidRange,
};
use tpm_store_seaorm::SeaStore;
use tpm_test_support::Postgres;

const TTL: Duration = Duration::from_millis(300);
const RANGE: VmidRange = VmidRange {
    first: Vmid(1000),
    last: Vmid(1099),
};

/// Runs a test on an empty SQLite file and on an empty PostgreSQL database.
async fn on_both<F>(test: impl Fn(Arc<SeaStore>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}", dir.path().join("t.db").display());
    test(Arc::new(SeaStore::open(&url).await?)).await?;
    match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => {
            let url = tokio::task::block_in_place(|| postgres.database())?;
            test(Arc::new(SeaStore::open(&url).await?)).await
        }
        Err(missing) => {
            eprintln!("skipped on PostgreSQL: {missing}");
            Ok(())
        }
    }
}

async fn person(store: &SeaStore) -> anyhow::Result<UserId> {
    let tx = store.begin().await?;
    let id = tx.insert_user("admin", "hash", UserRole::Admin).await?;
    tx.commit().await?;
    Ok(id)
}

fn new_server(name: &str, vmid: u32) -> NewServer {
    let address = StaticAddress {
        ip: Ipv4Addr::new(10, 0, 0, 5),
        prefix: 24,
        gateway: None,
    };
    NewServer {
        name: ServerName::new(name).expect("a name"),
        spec: ServerSpec {
            role: "web".into(),
            cpu: 2,
            memory_mb: 2048,
            disk_gb: 20,
            nics: vec![Nic {
                bridge: "vmbr0".into(),
                vlan: None,
                address: Some(address),
            }],
        },
        engine: "direct".into(),
        vmid: Vmid(vmid),
        created_by: TaskToken(format!("task_{name}")),
    }
}

/// A server with a task that is due.
async fn job(
    store: &SeaStore,
    by: UserId,
    name: &str,
    vmid: u32,
) -> anyhow::Result<(ServerId, TaskId)> {
    let tx = store.begin().await?;
    let server = tx.insert_server(&new_server(name, vmid)).await?;
    let task = NewTask {
        token: TaskToken(format!("task_{name}")),
        kind: TaskKind::CreateServer,
        server: Some((server, name.into())),
        parent: None,
        requested_by: by,
    };
    let task = tx.insert_task(&task).await?;
    tx.commit().await?;
    Ok((server, task))
}

async fn claim(store: &SeaStore, owner: &str) -> anyhow::Result<Claim> {
    store
        .queue()
        .claim(owner, TTL)
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
async fn servers_are_written_read_changed_and_gone() -> anyhow::Result<()> {
    on_both(|store| async move {
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let two = tx.insert_server(&new_server("two", 1001)).await?;
        tx.commit().await?;
        let mut server = store.reads().server(one).await?.expect("written");
        ensure!(server.state == ServerState::Creating && server.spec == new_server("one", 1).spec);
        server.state = ServerState::Error;
        server.problem = Some(Failure::new(FailureCode::ProxmoxRefused, "no"));
        server.ip_address = Some("10.0.0.9".parse()?);
        let tx = store.begin().await?;
        tx.save_server(&server).await?;
        tx.commit().await?;
        let read = store.reads().server(one).await?.expect("written");
        ensure!(read.problem == server.problem && read.ip_address == server.ip_address);

        let query = ServerQuery {
            order: ServerOrder::Name,
            descending: true,
            limit: Some(1),
            ..Default::default()
        };
        let page = store.reads().servers(&query).await?;
        ensure!(page.total == 2 && page.items.len() == 1 && page.items[0].id == two);
        let wild = ServerQuery {
            name_contains: Some("%".into()),
            ..Default::default()
        };
        ensure!(
            store.reads().servers(&wild).await?.total == 0,
            "a wildcard was not escaped"
        );
        let part = ServerQuery {
            name_contains: Some("ne".into()),
            ..Default::default()
        };
        ensure!(store.reads().servers(&part).await?.total == 1);

        let tx = store.begin().await?;
        tx.delete_server(two).await?;
        tx.commit().await?;
        ensure!(store.reads().server(two).await?.is_none());
        let tx = store.begin().await?;
        let three = tx.insert_server(&new_server("three", 1002)).await?;
        tx.commit().await?;
        ensure!(three > two, "an id was given again");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_transaction_leaves_nothing() -> anyhow::Result<()> {
    on_both(|store| async move {
        let tx = store.begin().await?;
        tx.insert_server(&new_server("one", 1000)).await?;
        drop(tx);
        ensure!(store.reads().servers(&ServerQuery::default()).await?.total == 0);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_have_one_holder_and_vmids_are_never_reused() -> anyhow::Result<()> {
    on_both(|store| async move {
        let address = Ipv4Addr::new(10, 0, 0, 5);
        let name = ServerName::new("one").expect("a name");
        let tx = store.begin().await?;
        let vmids = tx.allocate_vmids(RANGE, 2).await?;
        ensure!(vmids == [Vmid(1000), Vmid(1001)]);
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        tx.hold(one, &name, &[address], Vmid(1000)).await?;
        let spare = tx.insert_server(&new_server("spare", 1001)).await?;
        tx.hold(
            spare,
            &ServerName::new("spare").expect("a name"),
            &[],
            Vmid(1001),
        )
        .await?;
        tx.commit().await?;

        for (other, ip, vmid) in [("one", 6, 1002), ("two", 5, 1002), ("two", 6, 1000)] {
            let tx = store.begin().await?;
            let id = tx.insert_server(&new_server(other, 1050)).await?;
            let name = ServerName::new(other).expect("a name");
            let held = tx
                .hold(id, &name, &[Ipv4Addr::new(10, 0, 0, ip)], Vmid(vmid))
                .await;
            ensure!(
                matches!(held, Err(StoreError::Constraint(_))),
                "{other} {ip} {vmid}: {held:?}"
            );
        }
        let tx = store.begin().await?;
        ensure!(tx.names_taken(std::slice::from_ref(&name)).await? == std::slice::from_ref(&name));
        tx.release(one).await?;
        tx.delete_server(one).await?;
        ensure!(
            tx.names_taken(std::slice::from_ref(&name))
                .await?
                .is_empty()
        );
        ensure!(tx.addresses_taken().await?.is_empty());
        tx.commit().await?;

        // The name and the address are free again, the number is not.
        let tx = store.begin().await?;
        let again = tx.insert_server(&new_server("one", 1060)).await?;
        let held = tx.hold(again, &name, &[address], Vmid(1000)).await;
        ensure!(
            matches!(held, Err(StoreError::Constraint(_))),
            "vmid 1000 was held again"
        );
        drop(tx);
        let tx = store.begin().await?;
        ensure!(tx.allocate_vmids(RANGE, 1).await? == [Vmid(1002)]);
        ensure!(
            tx.allocate_vmids(RANGE, 500).await?.len() == 97,
            "beyond the range"
        );
        tx.commit().await?;
        // A range that is moved down does not bring back what was given inside it.
        let low = VmidRange {
            first: Vmid(900),
            last: Vmid(1001),
        };
        let tx = store.begin().await?;
        let next = tx.allocate_vmids(low, 1).await?;
        ensure!(next.is_empty(), "given before: {next:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_reservations_never_share_a_number() -> anyhow::Result<()> {
    on_both(|store| async move {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let tx = store.begin().await?;
                    let vmids = tx.allocate_vmids(RANGE, 5).await?;
                    let server = tx
                        .insert_server(&new_server(&format!("s{n}"), vmids[0].0))
                        .await?;
                    let name = ServerName::new(&format!("s{n}")).expect("a name");
                    tx.hold(server, &name, &[], vmids[0]).await?;
                    tx.commit().await?;
                    anyhow::Ok(vmids)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        all.sort_unstable();
        let expected: Vec<_> = (1000..1100).map(Vmid).collect();
        ensure!(all == expected, "{all:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_exclusive_until_its_lease_is_over() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        let (_, task) = job(&store, by, "one", 1000).await?;
        let first = claim(&store, "a").await?;
        ensure!(first.lease.task == task && first.lease.epoch == 1);
        ensure!(
            store.queue().claim("b", TTL).await?.is_none(),
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
        let second = claim(&store, "b").await?;
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
        let third = claim(&store, "a").await?;
        ensure!(third.steps == [step(0, StepState::Done)] && third.task.progress == 40);
        ensure!(store.queue().surrender("a").await? == 1);
        let fourth = claim(&store, "b").await?;
        let tx = store.begin().await?;
        ensure!(tx.fence(&fourth.lease).await?);
        tx.end_task(task, TaskState::Completed, None).await?;
        tx.commit().await?;
        ensure!(
            store.queue().claim("c", TTL).await?.is_none(),
            "an ended task was claimed"
        );
        ensure!(store.queue().next_due().await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_claim_each_task_once() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        for n in 0..60 {
            job(&store, by, &format!("s{n}"), 1000 + n).await?;
        }
        let workers: Vec<_> = (0..6)
            .map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let owner = format!("w{n}");
                    let mut claimed = Vec::new();
                    while let Some(claim) =
                        store.queue().claim(&owner, Duration::from_secs(60)).await?
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
        while let Some(claim) = store.queue().claim("last", Duration::from_secs(60)).await? {
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
    on_both(|store| async move {
        let by = person(&store).await?;
        let (server, task) = job(&store, by, "one", 1000).await?;
        let again = NewTask {
            token: TaskToken("task_again".into()),
            kind: TaskKind::DeleteServer,
            server: Some((server, "one".into())),
            parent: None,
            requested_by: by,
        };
        let tx = store.begin().await?;
        let second = tx.insert_task(&again).await;
        ensure!(
            matches!(second, Err(StoreError::Constraint(_))),
            "{second:?}"
        );
        drop(tx);
        let lease = claim(&store, "a").await?.lease;
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

#[tokio::test(flavor = "multi_thread")]
async fn places_are_limited_and_handed_on() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        let (_, one) = job(&store, by, "one", 1000).await?;
        let (_, two) = job(&store, by, "two", 1001).await?;
        let first = claim(&store, "a").await?;
        let second = claim(&store, "a").await?;
        ensure!((first.lease.task, second.lease.task) == (one, two));
        let tx = store.begin().await?;
        ensure!(tx.take_slot(one, 0, "clone", 1).await? == SlotAnswer::Taken);
        ensure!(
            tx.take_slot(one, 0, "clone", 1).await? == SlotAnswer::Taken,
            "lost its own place"
        );
        ensure!(tx.take_slot(two, 0, "clone", 1).await? == SlotAnswer::Full);
        tx.park(two, Duration::from_secs(3600), Some("clone"))
            .await?;
        tx.commit().await?;
        ensure!(
            store.queue().claim("a", TTL).await?.is_none(),
            "claimed while it waits"
        );
        let tx = store.begin().await?;
        tx.free_slot(one, 0).await?;
        tx.commit().await?;
        ensure!(claim(&store, "a").await?.lease.task == two, "was not woken");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_sums_up_children_that_end_at_once() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        let tx = store.begin().await?;
        let parent = NewTask {
            token: TaskToken("task_bulk".into()),
            kind: TaskKind::BulkCreate,
            server: None,
            parent: None,
            requested_by: by,
        };
        let parent = tx.insert_task(&parent).await?;
        for n in 0..8 {
            let name = format!("s{n}");
            let server = tx.insert_server(&new_server(&name, 1000 + n)).await?;
            let task = NewTask {
                token: TaskToken(format!("task_{name}")),
                kind: TaskKind::CreateServer,
                server: Some((server, name)),
                parent: Some(parent),
                requested_by: by,
            };
            tx.insert_task(&task).await?;
        }
        tx.commit().await?;
        let mut ends = Vec::new();
        for n in 0..8 {
            let lease = claim(&store, "a").await?.lease;
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

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_makes_waiting_tasks_due() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        let (_, task) = job(&store, by, "one", 1000).await?;
        claim(&store, "a").await?;
        let tx = store.begin().await?;
        tx.park(task, Duration::from_secs(3600), Some("clone"))
            .await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(tx.request_cancel(task).await? == 1);
        tx.commit().await?;
        let again = claim(&store, "a").await?;
        ensure!(again.task.cancel_requested);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_notifications_when_people_are_told() -> anyhow::Result<()> {
    on_both(|store| async move {
        let event = |kind| Event {
            kind,
            server: ServerId(1),
            server_name: "one".into(),
            task: TaskToken("task_x".into()),
        };
        let tx = store.begin().await?;
        tx.add_event(&event(EventKind::CreateRequested)).await?;
        tx.add_event(&event(EventKind::Created)).await?;
        let failure = Failure::new(FailureCode::ProxmoxRefused, "it's \"no\"\n'; DROP");
        tx.add_event(&event(EventKind::CreateFailed { failure }))
            .await?;
        tx.commit().await?;
        let page = store
            .reads()
            .notifications(&NotificationQuery {
                limit: Some(5),
                offset: 0,
            })
            .await?;
        ensure!(page.total == 2, "{page:?}");
        ensure!(
            matches!(page.items[0].event.kind, EventKind::CreateFailed { .. }),
            "newest first"
        );
        let tx = store.begin().await?;
        ensure!(tx.delete_notification(page.items[0].id).await?);
        ensure!(!tx.delete_notification(page.items[0].id).await?);
        tx.commit().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_throttles() -> anyhow::Result<()> {
    on_both(|store| async move {
        let by = person(&store).await?;
        let tx = store.begin().await?;
        tx.insert_session("digest", by).await?;
        tx.set_throttle(
            "ip:1",
            Throttle {
                failures: 3,
                not_before_ms: 77,
            },
        )
        .await?;
        tx.set_throttle(
            "ip:1",
            Throttle {
                failures: 4,
                not_before_ms: 78,
            },
        )
        .await?;
        tx.commit().await?;
        let session = store.reads().session("digest").await?.expect("a session");
        ensure!(session.user.username == "admin");
        ensure!(
            store.reads().throttle("ip:1").await?
                == Throttle {
                    failures: 4,
                    not_before_ms: 78
                }
        );
        let tx = store.begin().await?;
        tx.set_throttle("ip:1", Throttle::default()).await?;
        let later = tpm_domain::Timestamp(session.created_at.0 + 1);
        ensure!(tx.sweep_sessions(tpm_domain::Timestamp(0), later).await? == 1);
        tx.commit().await?;
        ensure!(store.reads().session("digest").await?.is_none());
        ensure!(store.reads().throttle("ip:1").await? == Throttle::default());
        Ok(())
    })
    .await
}

/// Several processes bring a new database up to date at once.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_do_not_race() -> anyhow::Result<()> {
    async fn open_many(url: String) -> anyhow::Result<()> {
        let opens: Vec<_> = (0..6)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { SeaStore::open(&url).await?.instance_id().await })
            })
            .collect();
        let mut ids = Vec::new();
        for open in opens {
            ids.push(open.await??);
        }
        ids.dedup();
        ensure!(ids.len() == 1, "{ids:?}");
        Ok(())
    }
    let dir = tempfile::tempdir()?;
    open_many(format!("sqlite://{}", dir.path().join("t.db").display())).await?;
    match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => open_many(tokio::task::block_in_place(|| postgres.database())?).await,
        Err(missing) => {
            eprintln!("skipped on PostgreSQL: {missing}");
            Ok(())
        }
    }
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
            eprintln!("skipped on PostgreSQL: {missing}");
            Ok(())
        }
    }
}
