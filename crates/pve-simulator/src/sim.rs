//! The simulator's inside: state, clock, tasks and locks in one place, shared by every handler.
//!
//! No HTTP here; see `server` for connections and `dispatch` for the order of work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Random};
use crate::config::SimulatorConfig;
use crate::faults::Faults;
use crate::ledger::{Effect, Ledger};
use crate::locks::Locks;
use crate::model::World;
use crate::pace::{self, Work};
use crate::tasks::Tasks;

/// Workers of the privileged daemon on each node.
const WORKERS: usize = 3;

#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) config: SimulatorConfig,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    world: Mutex<World>,
    pub(crate) tasks: Tasks,
    pub(crate) locks: Locks,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) workers: BTreeMap<String, Arc<Semaphore>>,
    /// Signs tickets.
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) stop: CancellationToken,
    pid: AtomicU32,
    changed: AtomicBool,
    /// Clones at work, by storage.
    cloning: Mutex<BTreeMap<String, Arc<AtomicUsize>>>,
}

impl Sim {
    pub(crate) fn new(config: SimulatorConfig, world: World, fingerprint: String) -> Self {
        let random = Random::new(config.seed);
        let key = format!("{}{}", random.uuid(), random.uuid());
        Self {
            clock: Clock::new(config.time_scale),
            workers: config
                .nodes
                .iter()
                .map(|node| (node.name.clone(), Arc::new(Semaphore::new(WORKERS))))
                .collect(),
            random,
            world: Mutex::new(world),
            tasks: Tasks::default(),
            locks: Locks::default(),
            faults: Faults::default(),
            ledger: Ledger::default(),
            key,
            fingerprint,
            stop: CancellationToken::new(),
            pid: AtomicU32::new(4000),
            changed: AtomicBool::new(false),
            cloning: Mutex::default(),
            config,
        }
    }

    /// The state, for a moment: never hold this across an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_pid(&self) -> u32 {
        self.pid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn duration(&self, work: Work) -> Duration {
        pace::duration(self.config.profile, &self.random, work)
    }

    pub(crate) fn mac(&self) -> String {
        let prefix = self.world().options.get("mac_prefix").cloned();
        self.random.mac(prefix.as_deref().unwrap_or("BC:24:11"))
    }

    pub(crate) fn mark_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn effect(
        &self,
        kind: &str,
        node: &str,
        vmid: u32,
        task: Option<&str>,
        detail: impl Into<String>,
    ) {
        self.mark_changed();
        self.ledger.effect(Effect {
            seq: 0,
            at_ms: self.clock.now_millis(),
            kind: kind.to_owned(),
            vmid,
            node: node.to_owned(),
            task: task.map(str::to_owned),
            detail: detail.into(),
        });
    }

    /// The node that answers requests about `localhost` and everything not tied to a node.
    pub(crate) fn local_node(&self) -> &str {
        self.config
            .nodes
            .first()
            .map_or("pve", |node| node.name.as_str())
    }

    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.config.nodes.iter().any(|node| node.name == name)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.config.nodes.len() > 1
    }

    /// Clones at work on a storage.
    pub(crate) fn clone_width(&self, storage: &str) -> Arc<AtomicUsize> {
        let mut cloning = self.cloning.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cloning.entry(storage.to_owned()).or_default())
    }
}
