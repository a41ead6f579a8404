//! A small cluster: guests, locks, tasks that take time. It knows nothing of the service; what it finds
//! wrong is what an operator would be angry about.
//!
//! What is due happens at the next look at it, in the order of its moments, so no task of the runtime is
//! needed and a request that is under way outlives who sent it.

mod api;

pub(crate) use api::{Fault, Outcome};

use crate::profile::ClusterTrouble;
use crate::random::Dice;
use crate::scene::Scene;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tpm_domain::{Timestamp, Vmid};

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) name: String,
    /// The description; a guest of somebody else has none of our marks.
    pub(crate) mark: String,
    pub(crate) uuid: String,
    pub(crate) running: bool,
    /// Since when it runs.
    pub(crate) running_since: Option<Timestamp>,
    pub(crate) cpu: u32,
    pub(crate) memory_mb: u32,
    /// `clone` while it is made.
    pub(crate) locked: bool,
    /// When the agent answers, once it runs.
    pub(crate) agent_at: Option<Timestamp>,
    /// From when on the cluster's list shows it.
    listed_at: Timestamp,
    foreign: bool,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Clone {
        vmid: Vmid,
        name: String,
        mark: String,
    },
    Configure {
        vmid: Vmid,
        cpu: u32,
        memory_mb: u32,
    },
    Start(Vmid),
    Shutdown(Vmid),
    Stop(Vmid),
    Reboot(Vmid),
    Destroy(Vmid),
}

impl Request {
    fn vmid(&self) -> Vmid {
        match self {
            Self::Clone { vmid, .. }
            | Self::Configure { vmid, .. }
            | Self::Start(vmid)
            | Self::Shutdown(vmid)
            | Self::Stop(vmid)
            | Self::Reboot(vmid)
            | Self::Destroy(vmid) => *vmid,
        }
    }
}

#[derive(Clone, Debug)]
struct PveTask {
    request: Request,
    outcome: Outcome,
    ended: bool,
}

#[derive(Debug)]
enum Due {
    Arrives(Request),
    Ends(u64),
}

#[derive(Debug, Default)]
struct State {
    guests: BTreeMap<Vmid, Guest>,
    tasks: BTreeMap<u64, PveTask>,
    due: BTreeMap<(Timestamp, u64), Due>,
    /// Guests that are gone, and until when the list shows them.
    ghosts: Vec<(Vmid, Guest, Timestamp)>,
    /// Foreign guests as they were made.
    foreign: BTreeMap<Vmid, Guest>,
    last_number: u64,
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// The cluster.
pub(crate) struct Pve {
    scene: Arc<Scene>,
    dice: Dice,
    trouble: ClusterTrouble,
    calm: AtomicBool,
    state: Mutex<State>,
}

impl Pve {
    pub(crate) fn new(scene: Arc<Scene>, dice: Dice, trouble: ClusterTrouble) -> Self {
        Self {
            scene,
            dice,
            trouble,
            calm: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// From now on everything works. What is under way still arrives.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.scene.now()
    }

    fn chance(&self, in_ten_thousand: u32) -> bool {
        // Drawn in any case, so that calm changes no other number.
        self.dice.chance(in_ten_thousand) && !self.calm.load(Ordering::Relaxed)
    }

    /// The state as of now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.scene.now();
        while let Some(entry) = state.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), due) = entry.remove_entry();
            match due {
                Due::Arrives(request) => {
                    self.scene.tell("pve", format_args!("late: {request:?}"));
                    let _ = self.arrive(&mut state, request, at);
                }
                Due::Ends(number) => self.end(&mut state, number, at),
            }
        }
        state
    }

    /// Something that the runs must never do.
    fn angry(&self, what: impl std::fmt::Display) {
        self.scene.wrong(format_args!("the cluster: {what}"));
    }

    /// Somebody else makes a guest under a number, unless it is taken. A request that is on its way to a
    /// number meets whoever is there when it arrives, and the cluster takes no condition with a request:
    /// nobody can do anything about that, so it is not tried.
    pub(crate) fn squat(&self, vmid: Vmid) {
        let mut state = self.state();
        let awaited = |due: &Due| matches!(due, Due::Arrives(request) if request.vmid() == vmid);
        if state.guests.contains_key(&vmid) || state.due.values().any(awaited) {
            return;
        }
        let guest = Guest {
            name: format!("foreign-{vmid}"),
            mark: String::new(),
            uuid: format!("{:016x}", self.dice.next()),
            running: true,
            running_since: Some(self.scene.now()),
            cpu: 1,
            memory_mb: 512,
            locked: false,
            agent_at: None,
            listed_at: self.scene.now(),
            foreign: true,
        };
        state.foreign.insert(vmid, guest.clone());
        state.guests.insert(vmid, guest);
        drop(state);
        self.scene
            .tell("pve", format_args!("a stranger takes {vmid}"));
    }

    /// Whether guests of others are as they were made.
    pub(crate) fn check_foreign(&self) {
        let state = self.state();
        for (vmid, made) in &state.foreign {
            if state.guests.get(vmid) != Some(made) {
                self.angry(format_args!("foreign guest {vmid} was touched"));
            }
        }
    }

    /// Every guest that is not somebody else's.
    pub(crate) fn guests(&self) -> Vec<(Vmid, Guest)> {
        let state = self.state();
        state
            .guests
            .iter()
            .filter(|(_, guest)| !guest.foreign)
            .map(|(vmid, guest)| (*vmid, guest.clone()))
            .collect()
    }

    /// The moment the last thing that is under way happens.
    pub(crate) fn quiet_at(&self) -> Option<Timestamp> {
        self.state().due.last_key_value().map(|((at, _), _)| *at)
    }
}
