//! The store's promises, in memory, on SQLite and on a real PostgreSQL: each test runs on all three.

mod backups;
mod channels;
mod feed;
mod fleet;
mod keeping;
mod monitoring;
mod queue;
mod schedules;
mod terraform;

use anyhow::{Context, ensure};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tpm_bootstrap::SystemClock;
use tpm_domain::{
    Assignment, Clock, Event, EventKind, Expiry, Failure, FailureCode, Nic, ProjectId, Role,
    ServerId, ServerName, ServerSpec, ServerState, StaticAddress, TaskToken, Timestamp, UserId,
    Vmid,
};
use tpm_store::{
    NewServer, NewSession, NotificationQuery, ServerOrder, ServerQuery, Store, StoreError,
    Throttle, VmidRange,
};
use tpm_store_memory::MemoryStore;
use tpm_store_seaorm::SeaStore;
use tpm_test_support::Postgres;

const RANGE: VmidRange = VmidRange {
    first: Vmid(1000),
    last: Vmid(1099),
    quarantine: Duration::from_secs(3600),
};

/// The real time and a millisecond more for each look: what would seldom differ always does.
struct Onward(AtomicI64);

impl Clock for Onward {
    fn now(&self) -> Timestamp {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp(SystemClock.now().0 + looks)
    }
}

/// Runs a test on an empty store in memory, on an empty SQLite file and on an empty PostgreSQL database.
pub(crate) async fn on_all<F>(test: impl Fn(Arc<dyn Store>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let clock = Onward(AtomicI64::default());
    let memory = MemoryStore::new("memory", Arc::new(clock));
    test(Arc::new(memory)).await.context("in memory")?;
    on_databases(|store| test(store)).await
}

/// The same on the two databases alone.
pub(crate) async fn on_databases<F>(test: impl Fn(Arc<SeaStore>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}", dir.path().join("t.db").display());
    let sqlite = Arc::new(SeaStore::open(&url).await?);
    test(sqlite).await.context("on SQLite")?;
    match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => {
            let url = tokio::task::block_in_place(|| postgres.database())?;
            let postgres = Arc::new(SeaStore::open(&url).await?);
            test(postgres).await.context("on PostgreSQL")
        }
        Err(missing) => {
            tpm_test_support::say(&format!("skipped on PostgreSQL: {missing}"));
            Ok(())
        }
    }
}

pub(crate) async fn person(store: &dyn Store) -> anyhow::Result<UserId> {
    let tx = store.begin().await?;
    let everything = Assignment {
        role: Role::ADMIN.into(),
        project: None,
    };
    let id = tx.insert_user("admin", "hash", &[everything]).await?;
    tx.commit().await?;
    Ok(id)
}

pub(crate) fn new_server(name: &str, vmid: u32) -> NewServer {
    let address = StaticAddress {
        ip: Ipv4Addr::new(10, 0, 0, 5),
        prefix: 24,
        gateway: None,
    };
    NewServer {
        name: ServerName::new(name).expect("a name"),
        spec: ServerSpec {
            tags: None,
            description: None,
            role: "web".into(),
            cpu: 2,
            memory_mb: 2048,
            disk_gb: 20,
            nics: vec![Nic {
                bridge: "vmbr0".into(),
                vlan: None,
                address: Some(address),
                dns: Vec::new(),
            }],
        },
        project: ProjectId(1),
        placement: None,
        expiry: Expiry::default(),
        engine: "direct".into(),
        vmid: Vmid(vmid),
        created_by: TaskToken(format!("task_{name}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_written_read_changed_and_gone() -> anyhow::Result<()> {
    on_all(|store| async move {
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
    on_all(|store| async move {
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
    on_all(|store| async move {
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
        // To the end of the range, and round to the one number that nobody holds and that does not rest.
        let rest = tx.allocate_vmids(RANGE, 500).await?;
        let expected: Vec<_> = (1003..1100).chain([1002]).map(Vmid).collect();
        ensure!(rest == expected, "{rest:?}");
        tx.commit().await?;
        // A range that is moved down does not bring back what was given inside it.
        let low = VmidRange {
            first: Vmid(900),
            last: Vmid(1001),
            ..RANGE
        };
        let tx = store.begin().await?;
        let next = tx.allocate_vmids(low, 500).await?;
        let expected: Vec<_> = (900..1000).map(Vmid).collect();
        ensure!(next == expected, "given before: {next:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_reservations_never_share_a_number() -> anyhow::Result<()> {
    on_all(|store| async move {
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
async fn events_become_notifications_when_people_are_told() -> anyhow::Result<()> {
    on_all(|store| async move {
        let event = |kind| Event {
            kind,
            server: Some(ServerId(1)),
            server_name: "one".into(),
            task: Some(TaskToken("task_x".into())),
        };
        let tx = store.begin().await?;
        tx.add_event(&event(EventKind::CreateRequested)).await?;
        tx.add_event(&event(EventKind::Created)).await?;
        let failure = Failure::new(FailureCode::ProxmoxRefused, "it's \"no\"\n'; DROP");
        tx.add_event(&event(EventKind::CreateFailed { failure }))
            .await?;
        tx.commit().await?;
        let query = NotificationQuery {
            limit: Some(5),
            ..NotificationQuery::of(UserId(1))
        };
        let page = store.reads().notifications(&query).await?;
        ensure!(page.total == 2, "{page:?}");
        let newest = &page.items[0].notification;
        ensure!(
            matches!(newest.event.kind, EventKind::CreateFailed { .. }),
            "newest first"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_throttles() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let tx = store.begin().await?;
        tx.insert_session(&NewSession {
            digest: "digest".into(),
            user: by,
            address: "192.0.2.1".into(),
            agent: "curl".into(),
        })
        .await?;
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
        ensure!(tx.sweep_throttles(tpm_domain::Timestamp(78)).await? == 0);
        let old = Throttle {
            failures: 1,
            not_before_ms: 77,
        };
        tx.set_throttle("ip:2", old).await?;
        ensure!(tx.sweep_throttles(tpm_domain::Timestamp(78)).await? == 1);
        ensure!(tx.throttle("ip:2").await? == Throttle::default());
        ensure!(tx.throttle("ip:1").await?.failures == 4);
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
            tpm_test_support::say(&format!("skipped on PostgreSQL: {missing}"));
            Ok(())
        }
    }
}
