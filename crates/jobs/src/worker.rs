//! The loop that claims due tasks and runs a limited number of them at once.

use crate::certificates::Heard;
use crate::deliver::Courier;
use crate::exporters::ExporterSettings;
use crate::heartbeat::Heartbeat;
use crate::import::Import;
use crate::measure;
use crate::point::PointHook;
use crate::rounds::Rounds;
use crate::run::{Run, Stop};
use crate::schedules::ScheduleSettings;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tpm_domain::job::RetryPolicy;
use tpm_domain::{Failure, FailureCode, PlacementPolicy, TaskKind, TaskNote, Vmid};
use tpm_monitoring::MetricsReader;
use tpm_provisioner::{Certificates, GuestShell, Provisioner};
use tpm_store::{Claim, ClaimOrder, Lease, RESTORED, Store, StoreError, VmidRange};

/// Longest pause between two tries to claim from a store that does not answer. Each try waits by itself
/// for a connection.
const STORE_PAUSE: Duration = Duration::from_secs(3);
/// One claim in so many takes the oldest task, whatever its turn: under requests that do not end, a large bulk
/// goes on all the same.
const SHARE_OF_THE_OLDEST: usize = 4;
/// How long a task waits that no worker can make sense of.
const SET_ASIDE: Duration = Duration::from_secs(30);

/// The work on one claimed task, to be polled by somebody.
pub type Claimed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Engines by name.
pub type Engines = HashMap<String, Arc<dyn Provisioner>>;

/// What a worker is set to.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Most tasks at once in this process.
    pub concurrency: usize,
    /// How long a claim lasts without being extended; a dead worker's tasks are taken over after it.
    pub lease: Duration,
    /// Longest sleep between two looks for due tasks.
    pub scan: Duration,
    /// When a step is tried again.
    pub retry: RetryPolicy,
    /// Where VMIDs are taken from when one turns out to be a stranger's.
    pub vmids: VmidRange,
    /// How servers are placed, by engine; engines without nodes are not in it.
    pub placement: BTreeMap<String, PlacementPolicy>,
    /// What is looked at and cleared up from time to time.
    pub rounds: Rounds,
    /// What is done about exporters on servers.
    pub exporters: ExporterSettings,
    /// What schedules are followed by.
    pub schedules: ScheduleSettings,
}

/// What a worker is made of.
pub struct WorkerParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The engines.
    pub engines: Engines,
    /// Who measures servers, when somebody does.
    pub metrics: Option<Arc<dyn MetricsReader>>,
    /// Commands inside of guests, when there are guests.
    pub guests: Option<Arc<dyn GuestShell>>,
    /// Where certificates are seen that end one day.
    pub certificates: Vec<Arc<dyn Certificates>>,
    /// Who tells channels, when somebody does.
    pub courier: Option<Courier>,
    /// What it is set to.
    pub settings: WorkerSettings,
    /// Unique among all processes that ever ran: a restarted worker is another one.
    pub owner: String,
    /// Keeps the leases.
    pub heartbeat: Arc<Heartbeat>,
    /// Numbers in `0.0..1.0`, for jitter.
    pub random: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// Asked between the parts of a step.
    pub hook: Arc<dyn PointHook>,
}

impl fmt::Debug for WorkerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerParts")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// A worker. Clones are the same worker.
#[derive(Clone, Debug)]
pub struct Worker {
    parts: Arc<WorkerParts>,
    /// Cancelled when the worker is to stop: runs end at their next checkpoint.
    stop: Arc<OnceLock<CancellationToken>>,
    /// Rings when a run has ended: what it parked may be due before anything the loop knows of.
    parked: Arc<Notify>,
    /// Where the next sweep goes on reading guests that nothing is suspicious about.
    part: Arc<AtomicUsize>,
    /// How often a task was asked for.
    claims: Arc<AtomicUsize>,
    /// Guests in our range that were no server's and were read for what they are.
    judged: Arc<Mutex<BTreeSet<Vmid>>>,
    /// When certificates end.
    heard: Arc<Heard>,
}

impl Worker {
    /// A worker of these parts.
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        Self {
            parts: Arc::new(parts),
            stop: Arc::new(OnceLock::new()),
            parked: Arc::new(Notify::new()),
            part: Arc::new(AtomicUsize::new(0)),
            claims: Arc::default(),
            judged: Arc::default(),
            heard: Arc::default(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(crate) fn engines(&self) -> &Engines {
        &self.parts.engines
    }

    pub(crate) fn engine(&self, name: &str) -> Option<Arc<dyn Provisioner>> {
        self.parts.engines.get(name).cloned()
    }

    pub(crate) fn metrics(&self) -> Option<&dyn MetricsReader> {
        self.parts.metrics.as_deref()
    }

    pub(crate) fn guests(&self) -> Option<&dyn GuestShell> {
        self.parts.guests.as_deref()
    }

    pub(crate) fn certificate_sources(&self) -> &[Arc<dyn Certificates>] {
        &self.parts.certificates
    }

    pub(crate) fn heard_of_certificates(&self) -> &Heard {
        &self.heard
    }

    pub(crate) fn courier(&self) -> Option<&Courier> {
        self.parts.courier.as_ref()
    }

    pub(crate) fn settings(&self) -> &WorkerSettings {
        &self.parts.settings
    }

    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        &self.parts.heartbeat
    }

    pub(crate) fn hook(&self) -> &dyn PointHook {
        &*self.parts.hook
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// Where to begin in a list of `len`, further on each time.
    pub(crate) fn next_part(&self, len: usize) -> usize {
        self.part.fetch_add(16, Ordering::Relaxed) % len.max(1)
    }

    pub(crate) fn was_judged(&self, vmid: Vmid) -> bool {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.contains(&vmid)
    }

    pub(crate) fn judged(&self, vmid: Vmid) {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.insert(vmid);
    }

    pub(crate) fn random(&self) -> f64 {
        (self.parts.random)()
    }

    /// Works until `stop`, then lets what is under way come to its next checkpoint and gives back the
    /// rest.
    pub async fn run(&self, stop: CancellationToken) {
        self.run_with(stop, |claimed| {
            tokio::spawn(claimed);
        })
        .await;
    }

    /// The same, with claimed tasks given to `carry` to be polled: who owns all that a worker does can
    /// stop it as a whole, as the death of its process would.
    pub async fn run_with(&self, stop: CancellationToken, carry: impl Fn(Claimed) + Send + Sync) {
        let stop = self.stop.get_or_init(|| stop).clone();
        let places = Arc::new(Semaphore::new(self.settings().concurrency.max(1)));
        let tracker = TaskTracker::new();
        let mut failures: u32 = 0;
        measure::begun();
        while !stop.is_cancelled() {
            let place = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            match self.claim().await {
                Ok(Some(claim)) => {
                    failures = 0;
                    let worker = self.clone();
                    carry(Box::pin(tracker.track_future(async move {
                        worker.work(claim).await;
                        drop(place);
                        worker.parked.notify_one();
                    })));
                }
                Ok(None) => {
                    failures = 0;
                    drop(place);
                    self.rest(&stop).await;
                }
                Err(error) => {
                    drop(place);
                    failures = failures.saturating_add(1);
                    let pause = self.store_pause(failures);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        pause_ms = pause.as_millis(),
                        "cannot claim tasks"
                    );
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        tracker.close();
        tracker.wait().await;
        if let Err(error) = self.store().queue().surrender(&self.parts.owner).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot give back leases"
            );
        }
    }

    /// Runs everything that is due, one after the other, until nothing is due any more; returns how
    /// many claims that were. For tests and for one-shot tools.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn drain(&self) -> Result<usize, StoreError> {
        let mut claims = 0;
        loop {
            match self.claim().await? {
                Some(claim) => {
                    claims += 1;
                    self.work(claim).await;
                }
                None => match self.next_due().await? {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Ok(claims),
                },
            }
        }
    }

    /// Whether the database is an older copy that nobody has accepted: the world is looked at, and left as it is.
    pub(crate) async fn is_a_copy(&self) -> Result<bool, StoreError> {
        let reads = self.store().reads();
        Ok(reads.run_time_setting(RESTORED).await?.is_some())
    }

    /// In how long a task falls due that may be claimed.
    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        match self.is_a_copy().await? {
            true => Ok(None),
            false => self.store().queue().next_due().await,
        }
    }

    async fn claim(&self) -> Result<Option<Claim>, StoreError> {
        if self.is_a_copy().await? {
            return Ok(None);
        }
        // A worker that does not live long has begun with what waits longest.
        let order = match self.claims.fetch_add(1, Ordering::Relaxed) % SHARE_OF_THE_OLDEST {
            0 => ClaimOrder::OldestFirst,
            _ => ClaimOrder::SmallTurns,
        };
        let queue = self.store().queue();
        let claim = queue
            .claim(&self.parts.owner, self.settings().lease, order)
            .await?;
        if let Some(claim) = &claim {
            measure::claimed(claim.task.kind);
        }
        Ok(claim)
    }

    /// Grows with each failure in a row, jittered, so that many workers do not come back together.
    fn store_pause(&self, failures: u32) -> Duration {
        let doubled = self
            .settings()
            .scan
            .saturating_mul(1 << failures.saturating_sub(1).min(10));
        doubled.min(STORE_PAUSE).mul_f64(0.5 + 0.5 * self.random())
    }

    /// Sleeps until a task falls due, somebody rings, or the scan's interval is over.
    async fn rest(&self, stop: &CancellationToken) {
        let queue = self.store().queue();
        let due = self.next_due().await.ok().flatten();
        let nap = due.map_or(self.settings().scan, |due| due.min(self.settings().scan));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.parked.notified() => {}
            () = queue.woken() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }

    /// One claim, from where it stands as far as it goes.
    async fn work(&self, claim: Claim) {
        let kind = claim.task.kind;
        let (id, token, lease) = (claim.task.id, claim.task.token.clone(), claim.lease.clone());
        self.heartbeat().hold(id);
        let stop = match claim.task.kind {
            TaskKind::ImportServer => match Import::load(self, claim) {
                Ok(import) => import.go().await,
                Err(stop) => stop,
            },
            _ => match Run::load(self, claim).await {
                Ok(mut run) => run.go().await,
                Err(stop) => stop,
            },
        };
        self.heartbeat().let_go(id);
        match stop {
            // Leases that a stopping worker still holds are given back all at once, at its end.
            Stop::Parked | Stop::Died | Stop::Leaving => {}
            Stop::Stale => measure::stale(),
            Stop::Ended => {
                self.store().queue().wake().await;
                self.follow_up(kind).await;
            }
            Stop::Store(error) => {
                tracing::warn!(
                    task = %token,
                    error = &error as &dyn std::error::Error,
                    "the store failed in the middle of a task; it is claimed again"
                );
            }
            Stop::Broken(why) => {
                tracing::error!(task = %token, why, "a task cannot be carried out");
                if let Err(error) = self.set_aside(&lease, why).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot set it aside"
                    );
                }
            }
        }
    }

    /// A task that this worker cannot make sense of waits, with the reason in its message: another
    /// worker, or this one with other settings, may.
    async fn set_aside(&self, lease: &Lease, why: String) -> Result<(), StoreError> {
        let tx = self.store().begin().await?;
        if tx.fence(lease).await? {
            let failure = Failure::new(FailureCode::Internal, why);
            tx.save_progress(lease.task, &TaskNote::Retrying { failure }, 0)
                .await?;
            tx.park(lease.task, SET_ASIDE, None).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
