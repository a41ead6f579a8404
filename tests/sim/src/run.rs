//! One run: from its seed to rest.

use crate::client::{Person, Wish, app};
use crate::engine::{ENGINE, Engine, INSTANCE};
use crate::last;
use crate::process::{Newcomers, Process};
use crate::profile::Profile;
use crate::pve::Pve;
use crate::random::Dice;
use crate::scene::Scene;
use crate::watch::{Counts, Watch};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tpm_domain::job::RetryPolicy;
use tpm_domain::{
    Assignment, DEFAULT_NETWORK, Ipv4Range, NetworkSpec, Role, ServerName, TaskToken, UserId, Vmid,
};
use tpm_jobs::{
    ExporterSettings, Heartbeat, NoFaults, Rounds, ScheduleSettings, Worker, WorkerParts,
    WorkerSettings,
};
use tpm_provisioner::Provisioner;
use tpm_store::{Result, Store, VmidRange};
use tpm_store_memory::MemoryStore;

/// The first number for guests.
const FIRST_VMID: u32 = 1000;
/// Every task must have ended so long after the last trouble.
const REST: Duration = Duration::from_secs(1800);
/// Everything left over must be gone so long after that.
const SWEPT: Duration = Duration::from_secs(1200);

/// A blow of fate.
#[derive(Clone, Debug)]
enum Blow {
    Kill { worker: usize, back: Duration },
    Pause { worker: usize, time: Duration },
    Drain { worker: usize, back: Duration },
    StoreDown(Duration),
    Squat(Vmid),
}

/// Something that happens at its moment.
#[derive(Debug)]
enum Happening {
    Wish(Wish),
    Blow(Blow),
    Begin(usize),
}

struct Running {
    process: Process,
    stop: CancellationToken,
}

/// A run under way.
struct Simulation {
    scene: Arc<Scene>,
    dice: Dice,
    profile: Profile,
    pve: Arc<Pve>,
    watch: Arc<Watch>,
    store: Arc<MemoryStore>,
    person: UserId,
    vmids: VmidRange,
    workers: BTreeMap<usize, Running>,
    /// How many processes there were.
    born: usize,
    requests: usize,
    agenda: BTreeMap<(Instant, usize), Happening>,
    asking: Vec<JoinHandle<Vec<TaskToken>>>,
    dying: Vec<Process>,
}

/// What a run came to.
pub(crate) struct Rest {
    pub(crate) counts: Counts,
    pub(crate) tasks: usize,
}

/// Runs to the end.
pub(crate) async fn run(seed: u64, scene: &Arc<Scene>) -> Result<Rest> {
    let mut simulation = Simulation::begin(seed, Arc::clone(scene)).await?;
    simulation.plan();
    simulation.be_rough().await;
    let accepted = simulation.calm_down().await;
    simulation.come_to_rest(&accepted).await;
    simulation.stop().await;
    Ok(Rest {
        counts: simulation.watch.counts(),
        tasks: simulation.store.look_inside().tasks.len(),
    })
}

impl Simulation {
    async fn begin(seed: u64, scene: Arc<Scene>) -> Result<Self> {
        let dice = Dice::new(seed);
        let profile = Profile::draw(&dice.split());
        scene.tell("seed", format_args!("{seed}: {profile:?}"));
        let pve = Arc::new(Pve::new(Arc::clone(&scene), dice.split(), profile.cluster));
        let watch = Arc::new(Watch::new(
            Arc::clone(&scene),
            dice.split(),
            profile.store,
            profile.scan,
            profile.concurrency,
        ));
        let store = MemoryStore::within(INSTANCE, scene.clone(), watch.clone());
        let person = furnish(&store).await?;
        watch.set_calm(false);
        let vmids = VmidRange {
            first: Vmid(FIRST_VMID),
            last: Vmid(FIRST_VMID + profile.vmids),
            quarantine: Duration::from_secs(3600),
        };
        Ok(Self {
            scene,
            profile,
            pve,
            watch,
            store: Arc::new(store),
            person,
            vmids,
            workers: BTreeMap::new(),
            born: 0,
            requests: 0,
            agenda: BTreeMap::new(),
            asking: Vec::new(),
            dying: Vec::new(),
            dice,
        })
    }

    fn note(&mut self, after: Duration, happening: Happening) {
        let key = (Instant::now() + after, self.agenda.len() + self.born * 1000);
        let mut key = key;
        while self.agenda.contains_key(&key) {
            key.1 += 1;
        }
        self.agenda.insert(key, happening);
    }

    fn moment(&self) -> Duration {
        let rough = u64::try_from(self.profile.rough.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.dice.below(rough))
    }

    fn plan(&mut self) {
        for worker in 0..self.profile.workers {
            self.note(Duration::ZERO, Happening::Begin(worker));
        }
        for index in 0..self.profile.requests {
            let wish = if index == 0 {
                Wish::Create
            } else {
                Wish::draw(&self.dice)
            };
            let at = if index == 0 {
                Duration::from_millis(100)
            } else {
                self.moment()
            };
            self.note(at, Happening::Wish(wish));
        }
        for _ in 0..self.profile.blows {
            let (at, blow) = (self.moment(), self.draw_blow());
            self.note(at, Happening::Blow(blow));
        }
    }

    fn draw_blow(&self) -> Blow {
        let dice = &self.dice;
        let worker = usize::try_from(dice.below(self.profile.workers as u64)).unwrap_or(0);
        let millis = |first, last| Duration::from_millis(dice.between(first, last));
        match dice.below(10) {
            0..=2 => Blow::Kill {
                worker,
                back: millis(200, 9000),
            },
            3..=6 => Blow::Pause {
                worker,
                time: millis(200, 14_000),
            },
            7 => Blow::Drain {
                worker,
                back: millis(200, 5000),
            },
            8 => Blow::StoreDown(millis(500, 12_000)),
            _ => {
                let offset = dice.below(u64::from(self.profile.vmids).min(20));
                Blow::Squat(Vmid(FIRST_VMID + u32::try_from(offset).unwrap_or(0)))
            }
        }
    }

    /// Lets everything happen that was planned.
    async fn be_rough(&mut self) {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            tokio::time::sleep_until(at).await;
            self.scene.tell("fate", format_args!("{happening:?}"));
            match happening {
                Happening::Wish(wish) => self.wish(wish),
                Happening::Blow(blow) => self.strike(blow),
                Happening::Begin(worker) => self.begin_worker(worker),
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.requests += 1;
        let person = Person {
            app: app(self.store.clone(), &self.scene, &self.dice, self.vmids),
            scene: Arc::clone(&self.scene),
            dice: self.dice.split(),
            id: self.person,
            number: self.requests,
        };
        self.asking.push(tokio::spawn(person.insist(wish)));
    }

    fn begin_worker(&mut self, worker: usize) {
        if self.workers.contains_key(&worker) {
            return;
        }
        self.born += 1;
        let owner = format!("w{}", self.born);
        let stop = CancellationToken::new();
        let engine: Arc<dyn Provisioner> = Arc::new(Engine::new(
            Arc::clone(&self.pve),
            Arc::clone(&self.watch),
            self.profile.clones,
        ));
        let heartbeat = Heartbeat::new(self.profile.lease);
        let jitter = self.dice.split();
        let parts = WorkerParts {
            metrics: None,
            courier: None,
            guests: None,
            certificates: Vec::new(),
            store: self.store.clone(),
            engines: [(ENGINE.to_owned(), engine)].into(),
            settings: WorkerSettings {
                concurrency: self.profile.concurrency,
                lease: self.profile.lease,
                scan: self.profile.scan,
                retry: RetryPolicy::default(),
                vmids: self.vmids,
                placement: BTreeMap::new(),
                rounds: Rounds {
                    look: Duration::from_secs(3),
                    sweep: Duration::from_secs(6),
                    orphan_after: Duration::from_secs(8),
                    ..Rounds::default()
                },
                exporters: ExporterSettings::default(),
                schedules: ScheduleSettings::default(),
            },
            owner: owner.clone(),
            heartbeat: Arc::clone(&heartbeat),
            random: Arc::new(move || jitter.fraction()),
            hook: Arc::new(NoFaults),
        };
        let worker_of_this = Worker::new(parts);
        let lives = Newcomers::default();
        let (runner, token, carried) = (worker_of_this.clone(), stop.clone(), lives.clone());
        lives.add(Box::pin(async move {
            let carry = |claimed| carried.add(claimed);
            runner.run_with(token.clone(), carry).await;
            token.cancel();
        }));
        let (store, token) = (self.store.clone(), stop.clone());
        lives.add(Box::pin(async move {
            heartbeat.run(&*store, &owner, token).await;
        }));
        let token = stop.clone();
        lives.add(Box::pin(async move {
            worker_of_this.make_rounds(token).await;
        }));
        let process = Process::spawn(lives);
        self.workers.insert(worker, Running { process, stop });
    }

    fn strike(&mut self, blow: Blow) {
        let now = self.scene.now();
        match blow {
            Blow::Kill { worker, back } => {
                if let Some(running) = self.workers.remove(&worker) {
                    running.process.kill();
                    self.dying.push(running.process);
                    self.note(back, Happening::Begin(worker));
                    self.mind_the_gap(back);
                }
            }
            Blow::Pause { worker, time } => {
                if let Some(running) = self.workers.get(&worker) {
                    running.process.pause(Instant::now() + time);
                    // It may hold the database's one writer meanwhile.
                    self.watch.hinder(now.plus(time));
                }
            }
            Blow::Drain { worker, back } => {
                if let Some(running) = self.workers.remove(&worker) {
                    running.stop.cancel();
                    self.dying.push(running.process);
                    self.note(back, Happening::Begin(worker));
                    self.mind_the_gap(back);
                }
            }
            Blow::StoreDown(time) => self.watch.go_down(now.plus(time)),
            Blow::Squat(vmid) => self.pve.squat(vmid),
        }
    }

    /// When nobody is left, nobody claims.
    fn mind_the_gap(&self, back: Duration) {
        if self.workers.is_empty() {
            self.watch.hinder(self.scene.now().plus(back));
        }
    }

    /// The end of all trouble; what people were told was accepted.
    async fn calm_down(&mut self) -> Vec<TaskToken> {
        self.scene.tell("fate", "calm");
        self.watch.set_calm(true);
        self.pve.calm_down();
        for worker in 0..self.profile.workers {
            self.begin_worker(worker);
        }
        let mut accepted = Vec::new();
        for asking in std::mem::take(&mut self.asking) {
            match asking.await {
                Ok(tasks) => accepted.extend(tasks),
                Err(error) => self.scene.wrong(format_args!("a request: {error}")),
            }
        }
        accepted
    }

    async fn come_to_rest(&mut self, accepted: &[TaskToken]) {
        let calm = Instant::now();
        while !last::unended(&self.store).is_empty() && calm.elapsed() < REST {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // What is under way on the cluster still arrives, and is swept if need be.
        let quiet = self.pve.quiet_at();
        let wait = quiet.map_or(Duration::ZERO, |at| at.since(self.scene.now()));
        tokio::time::sleep(wait + Duration::from_secs(15)).await;
        let ended = Instant::now();
        let mut faults;
        loop {
            faults = last::faults(&self.store, &self.pve, &self.watch, accepted);
            if faults.is_empty() || ended.elapsed() > SWEPT {
                break;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        for fault in faults {
            self.scene.wrong(format_args!("at rest: {fault}"));
        }
        self.pve.check_foreign();
    }

    async fn stop(&mut self) {
        for running in self.workers.values() {
            running.stop.cancel();
        }
        let running = std::mem::take(&mut self.workers);
        let processes = running.into_values().map(|running| running.process);
        let dying = std::mem::take(&mut self.dying);
        for process in processes.chain(dying) {
            match tokio::time::timeout(Duration::from_secs(60), process.ended()).await {
                Ok(false) => {}
                Ok(true) => self.scene.wrong("a worker panicked"),
                Err(_) => self.scene.wrong("a worker does not stop"),
            }
        }
    }
}

/// Somebody who may ask, and a network to take addresses from.
async fn furnish(store: &MemoryStore) -> Result<UserId> {
    let tx = store.begin().await?;
    let everything = Assignment {
        role: Role::ADMIN.to_owned(),
        project: None,
    };
    let person = tx.insert_user("sim", "-", &[everything]).await?;
    let (first, last) = (Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 250));
    if let (Some(name), Ok(range)) = (
        ServerName::new(DEFAULT_NETWORK),
        Ipv4Range::new(first, last),
    ) {
        let spec = NetworkSpec {
            range,
            prefix: 24,
            gateway: None,
            dns: Vec::new(),
            bridge: "vmbr0".to_owned(),
            vlan: None,
            exclusions: Vec::new(),
        };
        tx.insert_network(&name, &spec).await?;
    }
    tx.commit().await?;
    Ok(person)
}
