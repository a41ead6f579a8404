//! Carries out the plan: kills, pauses, and everything that others and failing machines do to a cluster.

use super::args::Mode;
use super::book::{Stage, Told};
use super::installation::NODES;
use super::judge;
use super::plan::{self, Trouble, Victim};
use super::process::Process;
use super::random::Random;
use super::rows::Rows;
use super::storm::Storm;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tpm_pve_simulator::{Fault, FaultKind, GuestView, HoldAt};

/// Which act comes next in the tasks at work, as its place in [`plan::WRITES`].
pub(crate) const NEXT_ACT: &str = "SELECT vmid, CASE
        WHEN kind = 'create_server' AND done < 3 THEN done
        WHEN kind = 'create_server' THEN 3
        WHEN kind = 'delete_server' AND done = 0 THEN 4
        WHEN kind = 'delete_server' THEN 7
        WHEN kind = 'start_server' THEN 3
        WHEN kind = 'stop_server' THEN 5
        ELSE 6 END AS place
    FROM (SELECT s.vmid AS vmid, t.kind AS kind, t.id AS id,
            (SELECT COUNT(*) FROM steps st WHERE st.task_id = t.id AND st.state = 'done') AS done
        FROM tasks t JOIN servers s ON s.id = t.server_id
        WHERE t.state IN ('pending', 'running') AND NOT t.undoing) AS open
    ORDER BY id";

/// How long a process may take to begin before it is killed all the same.
const START: Duration = Duration::from_secs(3);

/// How long a request is waited for that is to be held.
pub(crate) const HOLD: Duration = Duration::from_millis(800);

/// Injected faults that stay in force at most; older ones were met long ago, or never will be.
const FAULTS: usize = 40;

pub(crate) struct Nemesis {
    storm: Arc<Storm>,
    rows: Rows,
    /// What ends by itself after a while: pauses, absences, locks that a person removes.
    later: JoinSet<()>,
    faults: VecDeque<u64>,
}

impl Nemesis {
    pub(crate) fn new(storm: Arc<Storm>) -> Self {
        let rows = Rows::of(&storm.installation.database);
        Self {
            storm,
            rows,
            later: JoinSet::new(),
            faults: VecDeque::new(),
        }
    }

    /// Kills as often as told, then heals everything.
    ///
    /// # Errors
    /// When a process cannot be started again.
    pub(crate) async fn rage(mut self) -> anyhow::Result<()> {
        let storm = Arc::clone(&self.storm);
        let postgres = storm.installation.postgres.is_some();
        for kill in 1..=storm.args.kills {
            if storm.over.is_cancelled() {
                break;
            }
            let round = match storm.args.mode {
                Mode::Takeover => plan::plain_round(storm.seed, kill),
                _ => plan::round(storm.seed, kill, postgres),
            };
            if round.patient {
                storm.wait_until_up().await;
            }
            let pause = storm.args.interval().mul_f64(round.pause);
            let mut slept = 0.0;
            for (at, trouble) in round.troubles {
                tokio::time::sleep(pause.mul_f64(at - slept)).await;
                slept = at;
                self.trouble(trouble)?;
            }
            tokio::time::sleep(pause.mul_f64(1.0 - slept)).await;
            self.kill(round.victim).await?;
            storm.kill.store(kill, Ordering::SeqCst);
        }
        self.heal().await;
        Ok(())
    }

    async fn kill(&mut self, victim: Victim) -> anyhow::Result<()> {
        let storm = Arc::clone(&self.storm);
        let installation = &storm.installation;
        match victim {
            Victim::Api(which) => {
                let api = one_of(&installation.apis, which);
                tokio::task::block_in_place(|| api.kill())?;
                storm.note(&format!("killed {}", api.name));
                storm.count(|counts| counts.apis += 1);
            }
            Victim::Worker(which) => {
                let worker = one_of(&installation.workers, which);
                let killed = tokio::task::block_in_place(|| worker.kill())?;
                storm.note(&format!("killed {}, {:?}", worker.name, killed.owner));
                storm.count(|counts| counts.workers += 1);
                if let Some(owner) = killed.owner {
                    // A database that does not answer just now has no figures to give.
                    storm.takeovers.died(&self.rows, &owner).await.ok();
                }
            }
            Victim::Postgres => {
                if let Some(postgres) = &installation.postgres {
                    storm.note("kills PostgreSQL");
                    tokio::task::block_in_place(|| {
                        let mut postgres = postgres.lock().unwrap_or_else(PoisonError::into_inner);
                        postgres.kill()?;
                        postgres.start_again()
                    })?;
                    storm.note("PostgreSQL answers again");
                    storm.count(|counts| counts.postgres += 1);
                }
            }
        }
        Ok(())
    }

    fn trouble(&mut self, trouble: Trouble) -> anyhow::Result<()> {
        let storm = Arc::clone(&self.storm);
        let simulator = &storm.installation.simulator;
        let hand = simulator.behind_the_back();
        match trouble {
            Trouble::Fault(fault) => {
                storm.note(&format!("fault {fault:?}"));
                storm.count(|counts| counts.faults += 1);
                self.faults.push_back(simulator.faults().inject(fault));
                if self.faults.len() > FAULTS
                    && let Some(oldest) = self.faults.pop_front()
                {
                    simulator.faults().remove(oldest);
                }
            }
            Trouble::KillTask(which) => self.kill_task(which),
            Trouble::Offline { node, ms } => {
                let node = *one_of(&NODES, node);
                storm.note(&format!("{node} is off the network for {ms} ms"));
                storm.count(|counts| counts.offline += 1);
                hand.set_offline(node, true);
                self.after(Duration::from_millis(ms), move |storm| {
                    storm
                        .installation
                        .simulator
                        .behind_the_back()
                        .set_offline(node, false);
                });
            }
            Trouble::SquatAhead { ahead, node } => {
                let highest = storm.book.open().highest;
                let vmid = highest + u32::try_from(ahead).unwrap_or(1);
                if highest > 0 {
                    storm.squat(vmid, one_of::<&str>(&NODES, node));
                }
            }
            Trouble::SquatFreed { which, node } => {
                let vmid = {
                    let book = storm.book.open();
                    (!book.freed.is_empty()).then(|| *one_of(&book.freed, which))
                };
                if let Some(vmid) = vmid {
                    storm.squat(vmid, one_of::<&str>(&NODES, node));
                }
            }
            Trouble::Rename(which) => {
                storm.tamper(which, |storm, told, guest| {
                    let name = format!("by-hand-{}", guest.vmid);
                    let hand = storm.installation.simulator.behind_the_back();
                    hand.set_option(guest.vmid, "name", Some(&name)).ok();
                    told.by_hand.renamed = true;
                    "renamed"
                });
            }
            Trouble::Destroy(which) => {
                storm.tamper(which, |storm, told, guest| {
                    let hand = storm.installation.simulator.behind_the_back();
                    hand.destroy(guest.vmid).ok();
                    told.by_hand.destroyed = true;
                    "destroyed"
                });
            }
            Trouble::Replace(which) => {
                storm.tamper(which, |storm, told, guest| {
                    let simulator = &storm.installation.simulator;
                    simulator.behind_the_back().destroy(guest.vmid).ok();
                    told.by_hand.destroyed = true;
                    told.by_hand.replaced =
                        storm.strangers.squat(simulator, guest.vmid, &guest.node);
                    "replaced"
                });
            }
            Trouble::Migrate { which, node } => {
                if let Some(guest) = storm.some_guest(which) {
                    let node = *one_of(&NODES, node);
                    storm.note(&format!("{} is moved to {node}", guest.vmid));
                    storm.count(|counts| counts.by_hand += 1);
                    hand.migrate(guest.vmid, node).ok();
                }
            }
            Trouble::PowerOff(which) => {
                if let Some(guest) = storm.some_guest(which)
                    && let Some(id) = judge::marked_for(&guest)
                {
                    storm.note(&format!("{} loses its power", guest.vmid));
                    storm.count(|counts| counts.by_hand += 1);
                    let mut book = storm.book.open();
                    if let Some(told) = book.servers.get_mut(&id) {
                        told.by_hand.switched = true;
                        hand.power_off(guest.vmid).ok();
                    }
                }
            }
            Trouble::Pause { worker, leases } => {
                let at = usize::try_from(worker).unwrap_or(0) % storm.installation.workers.len();
                let worker = &storm.installation.workers[at];
                let starts = tokio::task::block_in_place(|| worker.pause())?;
                storm.note(&format!(
                    "{} is stopped for {leases:.2} leases",
                    worker.name
                ));
                storm.count(|counts| counts.pauses += 1);
                self.after(storm.args.lease().mul_f64(leases), move |storm| {
                    let worker = &storm.installation.workers[at];
                    storm.note(&format!("{} goes on", worker.name));
                    tokio::task::block_in_place(|| worker.resume(starts)).ok();
                });
            }
            Trouble::HoldAndRead(which) => {
                let rows = self.rows.clone();
                self.later
                    .spawn(async move { storm.hold_and_read(&rows, which).await });
            }
            Trouble::CutConnections => {
                if let Some(postgres) = &storm.installation.postgres {
                    storm.note("every connection to the database is cut");
                    storm.count(|counts| counts.cuts += 1);
                    tokio::task::block_in_place(|| {
                        let postgres = postgres.lock().unwrap_or_else(PoisonError::into_inner);
                        postgres.cut_connections()
                    })?;
                }
            }
        }
        Ok(())
    }

    /// A task of the cluster dies on its host, and what it was in the middle of stays.
    fn kill_task(&mut self, which: u64) {
        let storm = &self.storm;
        let simulator = &storm.installation.simulator;
        let running = simulator.running_tasks();
        if running.is_empty() {
            return;
        }
        let task = one_of(&running, which);
        let vmid = if task.kind == "qmclone" {
            // The new number stands in the log only; without it nobody could say later whose stub that is.
            let line = task
                .log
                .iter()
                .find_map(|line| line.split("with ID ").nth(1));
            line.and_then(|text| text.parse::<u32>().ok())
        } else {
            task.id.parse().ok()
        };
        let Some(vmid) = vmid else { return };
        storm.note(&format!("{} of {vmid} is killed on its host", task.kind));
        storm.count(|counts| counts.tasks_killed += 1);
        if task.kind == "qmclone" {
            storm.book.open().stubs.insert(vmid);
        }
        simulator.behind_the_back().kill_task(&task.upid);
        if task.kind == "qmdestroy" {
            // Root finds the lock of a destroy that is not under way any more.
            self.after(Duration::from_millis(400), move |storm| {
                let simulator = &storm.installation.simulator;
                let locked = simulator
                    .guest(vmid)
                    .is_some_and(|g| g.config.get("lock").is_some_and(|l| l == "destroyed"));
                let again = simulator
                    .running_tasks()
                    .iter()
                    .any(|t| t.kind == "qmdestroy" && t.id == vmid.to_string());
                if locked && !again {
                    simulator.behind_the_back().set_lock(vmid, None).ok();
                }
            });
        }
    }

    fn after(&mut self, wait: Duration, then: impl FnOnce(&Storm) + Send + 'static) {
        let storm = Arc::clone(&self.storm);
        self.later.spawn(async move {
            tokio::time::sleep(wait).await;
            then(&storm);
        });
    }

    /// Nothing goes wrong any more.
    async fn heal(mut self) {
        while self.later.join_next().await.is_some() {}
        let simulator = &self.storm.installation.simulator;
        simulator.faults().clear();
        for node in NODES {
            simulator.behind_the_back().set_offline(node, false);
        }
        self.storm.note("healed");
    }
}

pub(crate) fn one_of<T>(of: &[T], which: u64) -> &T {
    let at = which % (of.len() as u64);
    &of[usize::try_from(at).unwrap_or_default()]
}

impl Storm {
    /// Waits until an api and a worker are ready: on a machine that is slow, kills would otherwise only ever
    /// meet processes that begin.
    async fn wait_until_up(&self) {
        let began = std::time::Instant::now();
        let ready = |of: &[Process]| of.iter().any(|process| !process.ready().is_null());
        while began.elapsed() < START
            && !(ready(&self.installation.apis) && ready(&self.installation.workers))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Whatever is done to the cluster stands in the database before it is done. Of a server that a task is
    /// at, the next request of a kind is held on its way, and the intent is looked for.
    async fn hold_and_read(&self, rows: &Rows, which: u64) {
        // A database that is away just now has nothing to tell.
        let Ok(open) = rows.numbers(NEXT_ACT, &["vmid", "place"]).await else {
            return;
        };
        if open.is_empty() {
            return;
        }
        let next = one_of(&open, which);
        let (Ok(vmid), Ok(place)) = (u32::try_from(next[0]), usize::try_from(next[1])) else {
            return;
        };
        let (method, path) = plan::WRITES[place];
        let faults = self.installation.simulator.faults();
        let hold = FaultKind::Hold {
            at: HoldAt::Request,
        };
        let held = faults.inject(Fault::once(method, path, hold).on_vm(vmid));
        let met = tokio::time::timeout(HOLD, faults.wait_until_held(held)).await;
        if met.is_ok() {
            let sql = format!(
                "SELECT COUNT(*) AS written FROM steps st
                 JOIN tasks t ON t.id = st.task_id JOIN servers s ON s.id = t.server_id
                 WHERE s.vmid = {vmid} AND st.intent IS NOT NULL AND st.name IN ({})",
                plan::STEPS[place]
            );
            self.count(|counts| counts.intents += 1);
            if let Ok(written) = rows.numbers(&sql, &["written"]).await
                && written[0][0] == 0
            {
                let text = format!("{method} {path} of VMID {vmid} was not written down before");
                self.violate("intent", &text, &[vmid]);
            }
        }
        faults.remove(held);
    }

    /// A stranger takes a number; whether it was free.
    pub(crate) fn squat(&self, vmid: u32, node: &str) -> bool {
        let taken = self
            .strangers
            .squat(&self.installation.simulator, vmid, node);
        if taken {
            self.note(&format!("a stranger takes {vmid}"));
            self.count(|counts| counts.squatted += 1);
        }
        taken
    }

    /// One of our guests that nobody has locked.
    fn some_guest(&self, which: u64) -> Option<GuestView> {
        let mut guests = self.installation.simulator.guests();
        guests.retain(|guest| {
            judge::marked_for(guest).is_some() && !guest.config.contains_key("lock")
        });
        (!guests.is_empty()).then(|| one_of(&guests, which).clone())
    }

    /// Does something by hand to the guest of a server that no task is at: between reading an identity
    /// and the call that follows Proxmox VE leaves a moment that no client can close, and a machine that
    /// is replaced exactly then cannot be told from the one that was there.
    fn tamper(&self, which: u64, how: impl FnOnce(&Storm, &mut Told, &GuestView) -> &'static str) {
        let mut random = Random::new(which, 3, 0);
        let fits = |told: &Told| {
            told.stage == Stage::Live && told.vmid.is_some() && !told.by_hand.destroyed
        };
        let told = self.book.open().seize(&mut random, fits);
        let Some(mut told) = told else { return };
        let guest = told
            .vmid
            .and_then(|vmid| self.installation.simulator.guest(vmid));
        let free = guest.filter(|guest| {
            judge::marked_for(guest) == Some(told.id) && !guest.config.contains_key("lock")
        });
        if let Some(guest) = free {
            let what = how(self, &mut told, &guest);
            self.note(&format!("{} is {what} by hand", guest.vmid));
            self.count(|counts| counts.by_hand += 1);
        }
        let mut book = self.book.open();
        if let Some(kept) = book.servers.get_mut(&told.id) {
            kept.by_hand.destroyed = told.by_hand.destroyed;
            kept.by_hand.replaced = told.by_hand.replaced;
            kept.by_hand.renamed = told.by_hand.renamed;
        }
        book.let_go(told.id);
    }
}
