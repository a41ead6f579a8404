//! Turns over schedules on a given clock: what is due is begun once, whoever sleeps or dies, and across changes of
//! clocks.

use anyhow::{Context as _, ensure};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tpm_domain::{
    BackupMode, BackupState, Clock, Compression, Expiry, Identity, Nic, NodeName, ProjectId,
    Retention, Role, RunItemState, RunState, ScheduleId, ScheduleRun, ScheduleSpec, ServerName,
    ServerSelector, ServerSpec, ServerState, TaskToken, Timestamp, UserId, Vmid,
};
use tpm_jobs::{
    ExporterSettings, Heartbeat, NoFaults, Rounds, ScheduleSettings, Worker, WorkerParts,
    WorkerSettings,
};
use tpm_store::{BackupQuery, NewServer, NotificationQuery, Store, TaskQuery, VmidRange};
use tpm_store_memory::MemoryStore;

/// A clock that stands still until it is set.
#[derive(Default)]
pub(super) struct Hands(AtomicI64);

impl Hands {
    pub(super) fn set(&self, text: &str) -> anyhow::Result<()> {
        let at = chrono::DateTime::parse_from_rfc3339(text)?;
        self.0.store(at.timestamp_millis(), Ordering::SeqCst);
        Ok(())
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn at(text: &str) -> anyhow::Result<Timestamp> {
    let at = chrono::DateTime::parse_from_rfc3339(text)?;
    Ok(Timestamp(at.timestamp_millis()))
}

/// Numbers in `0.0..1.0` that do not come back.
fn drawn() -> f64 {
    static DRAWS: AtomicU32 = AtomicU32::new(1);
    let n = DRAWS.fetch_add(1, Ordering::Relaxed);
    f64::from(n.wrapping_mul(2_654_435_769)) / f64::from(u32::MAX) * 0.999_999
}

/// A worker that has no engine: it follows schedules and does nothing else.
fn worker(store: Arc<dyn Store>) -> Worker {
    let lease = Duration::from_secs(30);
    Worker::new(WorkerParts {
        certificates: Vec::new(),
        store,
        engines: tpm_jobs::Engines::new(),
        metrics: None,
        guests: None,
        courier: None,
        settings: WorkerSettings {
            concurrency: 1,
            lease,
            scan: Duration::from_millis(50),
            retry: tpm_domain::job::RetryPolicy::default(),
            vmids: VmidRange {
                first: Vmid(1000),
                last: Vmid(1999),
                quarantine: Duration::ZERO,
            },
            placement: std::collections::BTreeMap::new(),
            rounds: Rounds::default(),
            exporters: ExporterSettings::default(),
            schedules: ScheduleSettings::default(),
        },
        owner: "w".into(),
        heartbeat: Heartbeat::new(lease),
        random: Arc::new(drawn),
        hook: Arc::new(NoFaults),
    })
}

fn nightly(calendar: &str, zone: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: ServerName::new("nightly").expect("a name"),
        project: None,
        enabled: true,
        calendar: calendar.into(),
        time_zone: zone.into(),
        selector: ServerSelector::All,
        drill: None,
        mode: BackupMode::Snapshot,
        storage: "local".into(),
        compression: Compression::Zstd,
        notes: String::new(),
        jitter_secs: 0,
        window_minutes: None,
        retention: Retention::default(),
        max_age_hours: None,
        verified_within_days: None,
        per_node: None,
        per_storage: None,
    }
}

/// Servers that run, in a store where a schedule is due at a moment.
async fn furnish(
    store: &dyn Store,
    servers: u32,
    spec: &ScheduleSpec,
    next: Timestamp,
) -> anyhow::Result<ScheduleId> {
    let tx = store.begin().await?;
    let everything = tpm_domain::Assignment {
        role: Role::ADMIN.into(),
        project: None,
    };
    let by = tx.insert_user("admin", "hash", &[everything]).await?;
    for n in 0..servers {
        let id = tx
            .insert_server(&NewServer {
                name: ServerName::new(&format!("n{n}")).context("name")?,
                project: ProjectId(1),
                spec: ServerSpec {
                    role: "web".into(),
                    cpu: 1,
                    memory_mb: 512,
                    disk_gb: 10,
                    nics: vec![Nic {
                        bridge: "vmbr0".into(),
                        vlan: None,
                        address: None,
                        dns: Vec::new(),
                    }],
                    tags: None,
                    description: None,
                },
                placement: None,
                expiry: Expiry::default(),
                engine: "direct".into(),
                vmid: Vmid(1000 + n),
                created_by: TaskToken(format!("task_{n}")),
            })
            .await?;
        let mut server = tx.server(id).await?.context("server")?;
        server.state = ServerState::Running;
        server.node = Some(NodeName(format!("pve{}", 1 + n % 3)));
        server.identity = Some(Identity {
            smbios_uuid: None,
            vmgenid: None,
            mark: String::new(),
            created_secs: None,
        });
        tx.save_server(&server).await?;
    }
    let id = tx.insert_schedule(spec, Some(next), by).await?;
    tx.commit().await?;
    Ok(id)
}

fn memory() -> (Arc<Hands>, Arc<MemoryStore>) {
    let hands = Arc::new(Hands::default());
    let store = MemoryStore::new("turns", hands.clone());
    (hands, Arc::new(store))
}

async fn last(store: &dyn Store, id: ScheduleId) -> anyhow::Result<ScheduleRun> {
    let mut all = store.reads().last_runs().await?;
    all.remove(&id).context("no run")
}

async fn backups(store: &dyn Store) -> anyhow::Result<u64> {
    let every = BackupQuery::default();
    Ok(store.reads().backups(&every).await?.total)
}

/// Every backup that is asked for is made, as if an engine had.
async fn make_all(store: &dyn Store) -> anyhow::Result<()> {
    let pending = BackupQuery {
        state: Some(BackupState::Pending),
        ..BackupQuery::default()
    };
    let tx = store.begin().await?;
    for mut backup in tx.backups(&pending).await?.items {
        backup.volume = Some(format!("local:backup/{}", backup.token));
        backup.state = BackupState::Completed;
        backup.finished_at = Some(tx.now());
        tx.save_backup(&backup).await?;
        let task = tx.active_task(backup.server).await?.context("no task")?;
        tx.end_task(task.id, tpm_domain::TaskState::Completed, None)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_that_slept_for_three_days_catches_up_once() -> anyhow::Result<()> {
    let (hands, store) = memory();
    hands.set("2027-05-01T00:00:00+09:00")?;
    let next = at("2027-05-01T02:00:00+09:00")?;
    let id = furnish(&*store, 2, &nightly("0 2 * * *", "Asia/Seoul"), next).await?;
    let worker = worker(store.clone());
    ensure!(worker.follow_schedules().await?.fired == 0, "it is not due");
    hands.set("2027-05-04T01:00:00+09:00")?;
    let done = worker.follow_schedules().await?;
    ensure!(done.fired == 1 && done.begun == 2, "{done:?}");
    let run = last(&*store, id).await?;
    ensure!(
        run.due_at == at("2027-05-03T02:00:00+09:00")? && run.passed_over == 2,
        "{run:?}"
    );
    for _ in 0..3 {
        let done = worker.follow_schedules().await?;
        ensure!(done.fired == 0 && done.begun == 0, "{done:?}");
    }
    ensure!(backups(&*store).await? == 2);
    make_all(&*store).await?;
    worker.follow_schedules().await?;
    let run = last(&*store, id).await?;
    ensure!(
        run.state == RunState::Done && run.tally[&RunItemState::Completed] == 2,
        "{run:?}"
    );
    // The next night is as if nobody had slept.
    hands.set("2027-05-04T02:00:00+09:00")?;
    let done = worker.follow_schedules().await?;
    ensure!(
        done.fired == 1 && last(&*store, id).await?.passed_over == 0,
        "{done:?}"
    );
    ensure!(backups(&*store).await? == 4);
    Ok(())
}

/// A look every ten minutes over the two nights on which clocks change.
#[tokio::test]
async fn each_night_is_seen_to_once_when_clocks_change() -> anyhow::Result<()> {
    for (zone, first, nights) in [
        ("Europe/Berlin", "2027-03-27T00:00:00Z", 3),
        ("Europe/Berlin", "2027-10-30T00:00:00Z", 3),
        ("America/New_York", "2027-03-13T00:00:00Z", 3),
        ("America/New_York", "2027-11-06T00:00:00Z", 3),
        ("Asia/Seoul", "2027-03-27T00:00:00Z", 3),
    ] {
        let (hands, store) = memory();
        hands.set(first)?;
        let spec = nightly("30 2 * * *", zone);
        let zone_of = tpm_calendar::Zone::parse(zone).context("zone")?;
        let calendar = tpm_calendar::Calendar::parse(&spec.calendar, zone_of);
        let next = calendar.and_then(|it| it.next_after(hands.now()));
        let id = furnish(&*store, 1, &spec, next.context("next")?).await?;
        let worker = worker(store.clone());
        let begin = hands.now().0;
        let mut due = Vec::new();
        for look in 0..3 * 24 * 6 {
            hands.0.store(begin + look * 600_000, Ordering::SeqCst);
            if worker.follow_schedules().await?.fired > 0 {
                due.push(last(&*store, id).await?.due_at);
                make_all(&*store).await?;
            }
        }
        ensure!(due.len() == nights, "{zone} {first}: {due:?}");
        ensure!(due.windows(2).all(|pair| pair[0] < pair[1]), "{due:?}");
        ensure!(backups(&*store).await? == nights as u64);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_begun_inside_its_window_is_missed_and_told() -> anyhow::Result<()> {
    let (hands, store) = memory();
    hands.set("2027-05-01T02:00:00+09:00")?;
    let spec = ScheduleSpec {
        window_minutes: Some(60),
        per_node: Some(1),
        ..nightly("0 2 * * *", "Asia/Seoul")
    };
    let next = at("2027-05-01T02:00:00+09:00")?;
    let id = furnish(&*store, 9, &spec, next).await?;
    let worker = worker(store.clone());
    // One of each node is let in; the others wait.
    let done = worker.follow_schedules().await?;
    ensure!(done.fired == 1 && done.begun == 3, "{done:?}");
    hands.set("2027-05-01T03:00:01+09:00")?;
    make_all(&*store).await?;
    let done = worker.follow_schedules().await?;
    ensure!(done.begun == 0, "{done:?}");
    let run = last(&*store, id).await?;
    ensure!(run.state == RunState::Done, "{run:?}");
    ensure!(run.tally[&RunItemState::Missed] == 6 && run.tally[&RunItemState::Completed] == 3);
    // Nobody looked until the window was over.
    hands.set("2027-05-02T03:00:01+09:00")?;
    let done = worker.follow_schedules().await?;
    ensure!(
        done.missed == 1 && done.fired == 0 && done.begun == 0,
        "{done:?}"
    );
    let run = last(&*store, id).await?;
    ensure!(
        run.state == RunState::Missed && run.tally.is_empty(),
        "{run:?}"
    );
    ensure!(backups(&*store).await? == 3);
    let query = NotificationQuery::of(UserId(1));
    let told = store.reads().notifications(&query).await?.items;
    let missed = told.iter().filter(|one| {
        matches!(
            one.notification.event.kind,
            tpm_domain::EventKind::RunMissed { .. }
        )
    });
    ensure!(missed.count() == 2, "{told:?}");
    Ok(())
}

/// A future that is dropped after so many polls, as all that a process does is when it is killed.
struct Killed<F> {
    inner: F,
    left: usize,
}

impl<F: Future + Unpin> Future for Killed<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Pin::new(&mut self.inner).poll(cx).map(Some)
    }
}

/// Killed after each of its awaits, two workers at once, on both databases: one run, one backup of each server.
#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_schedule_is_followed_once() -> anyhow::Result<()> {
    crate::store::on_databases(|store| async move {
        let spec = nightly("0 2 * * *", "Asia/Seoul");
        let tx = store.begin().await?;
        let now = tx.now();
        drop(tx);
        let id = furnish(&*store, 3, &spec, Timestamp(now.0 - 1)).await?;
        let mut ended = 0;
        let mut polls = 0;
        while ended < 3 {
            let (one, two) = (worker(store.clone()), worker(store.clone()));
            let kill = |worker: Worker, left: usize| async move {
                let turn = pin!(worker.follow_schedules());
                Killed { inner: turn, left }.await
            };
            let (one, two) = tokio::join!(kill(one, polls), kill(two, polls / 2));
            ended += usize::from(one.transpose()?.is_some());
            two.transpose()?;
            polls += 1;
        }
        ensure!(polls > 20, "it was never killed in the middle: {polls}");
        let tasks = store.reads().tasks(&TaskQuery::default()).await?;
        ensure!(
            tasks.total == 3 && backups(&*store).await? == 3,
            "{tasks:?}"
        );
        let run = last(&*store, id).await?;
        ensure!(run.tally[&RunItemState::Started] == 3, "{run:?}");
        make_all(&*store).await?;
        for polls in 0..200 {
            let worker = worker(store.clone());
            let turn = pin!(worker.follow_schedules());
            Killed {
                inner: turn,
                left: polls,
            }
            .await
            .transpose()?;
        }
        let run = last(&*store, id).await?;
        ensure!(
            run.state == RunState::Done && run.tally[&RunItemState::Completed] == 3,
            "{run:?}"
        );
        ensure!(backups(&*store).await? == 3);
        Ok(())
    })
    .await
}
