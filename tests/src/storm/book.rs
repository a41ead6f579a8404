//! What the clients were told, and what others did by hand: the half of the truth that the product's
//! database does not write.

use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What was asked of a server's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Whatever the installation gives.
    Pool,
    /// This address.
    Fixed(String),
    /// One of these: the first three parts, first and last number.
    Range(String, u8, u8),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) cpu: u64,
    pub(crate) memory: u64,
    pub(crate) disk: u64,
    pub(crate) network: Network,
}

/// What a server is, by what its client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Accepted; its task has not ended.
    Making,
    /// There is a guest.
    Live,
    /// Its create failed; nothing is left but the row.
    Failed,
    /// It could not be undone or deleted: a person has to look.
    Stuck,
    /// Deleted, or its create cancelled.
    Gone,
}

/// What others did to a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByHand {
    pub(crate) destroyed: bool,
    /// A stranger's machine stands under its number.
    pub(crate) replaced: bool,
    pub(crate) renamed: bool,
    pub(crate) switched: bool,
}

/// A server that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) id: i64,
    pub(crate) client: usize,
    pub(crate) wish: Wish,
    pub(crate) vmid: Option<u32>,
    pub(crate) address: Option<String>,
    pub(crate) stage: Stage,
    /// A task is at work on it, or a person at its guest.
    pub(crate) busy: bool,
    /// What its power must be; `None` when nobody can say.
    pub(crate) power: Option<&'static str>,
    pub(crate) by_hand: ByHand,
    /// It waits for an end that its client does not wait for.
    pub(crate) deleting: bool,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) status: String,
    pub(crate) code: String,
    pub(crate) step: String,
}

/// A task that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) kind: &'static str,
    /// Of a bulk: none.
    pub(crate) server: Option<i64>,
    pub(crate) children: Vec<String>,
    pub(crate) accepted: Instant,
    pub(crate) end: Option<End>,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) servers: BTreeMap<i64, Told>,
    pub(crate) tasks: BTreeMap<String, Work>,
    /// Tasks without an end.
    pub(crate) open: BTreeSet<String>,
    /// VMIDs of servers that are gone.
    pub(crate) freed: Vec<u32>,
    /// The highest VMID that a client was told.
    pub(crate) highest: u32,
    /// Guests whose making was killed on its host: only its root can remove what is left.
    pub(crate) stubs: BTreeSet<u32>,
    /// Answers of "name taken" to a request that had been carried out the first time.
    pub(crate) looked_up: u64,
    /// Creates that were refused for good.
    pub(crate) refused: u64,
    /// Tasks that have ended.
    pub(crate) ended: u64,
}

impl Pages {
    /// Servers of which something may be there.
    pub(crate) fn alive(&self) -> usize {
        let is_there = |told: &&Told| told.stage != Stage::Gone;
        self.servers.values().filter(is_there).count()
    }

    pub(crate) fn accept_task(&mut self, token: &str, kind: &'static str, server: Option<i64>) {
        let work = Work {
            kind,
            server,
            children: Vec::new(),
            accepted: Instant::now(),
            end: None,
        };
        if self.tasks.insert(token.to_owned(), work).is_none() {
            self.open.insert(token.to_owned());
        }
    }

    pub(crate) fn accept_server(&mut self, client: usize, id: i64, wish: Wish, create: &str) {
        self.accept_task(create, "create_server", Some(id));
        let told = Told {
            id,
            client,
            wish,
            vmid: None,
            address: None,
            stage: Stage::Making,
            busy: true,
            power: None,
            by_hand: ByHand::default(),
            deleting: false,
        };
        self.servers.insert(id, told);
    }

    /// Notes a task's end; the one that was noted before when it was another.
    pub(crate) fn end(&mut self, token: &str, end: End) -> Result<(), End> {
        let Some(work) = self.tasks.get_mut(token) else {
            return Ok(());
        };
        if let Some(before) = &work.end {
            return if *before == end {
                Ok(())
            } else {
                Err(before.clone())
            };
        }
        work.end = Some(end.clone());
        let (kind, server) = (work.kind, work.server);
        self.open.remove(token);
        self.ended += 1;
        let Some(told) = server.and_then(|id| self.servers.get_mut(&id)) else {
            return Ok(());
        };
        told.busy = false;
        let done = end.status == "completed";
        match kind {
            "create_server" => {
                told.stage = match end.status.as_str() {
                    "completed" => Stage::Live,
                    "cancelled" => Stage::Gone,
                    _ if end.code == "UNDO_FAILED" => Stage::Stuck,
                    // A guest that is whole and does not start is kept.
                    _ if end.step == "start" => Stage::Live,
                    _ => Stage::Failed,
                };
                told.power = done.then_some("running");
            }
            "delete_server" => {
                told.deleting = false;
                told.power = None;
                if done {
                    told.stage = Stage::Gone;
                } else if end.status == "failed" {
                    told.stage = Stage::Stuck;
                }
            }
            "stop_server" => told.power = done.then_some("stopped"),
            "start_server" | "restart_server" => told.power = done.then_some("running"),
            _ => {}
        }
        if told.stage == Stage::Gone
            && let Some(vmid) = told.vmid
        {
            self.freed.push(vmid);
        }
        Ok(())
    }

    pub(crate) fn learn(&mut self, id: i64, vmid: Option<u32>, address: Option<String>) {
        if let Some(told) = self.servers.get_mut(&id) {
            told.vmid = vmid.or(told.vmid);
            told.address = address.or(told.address.take());
            self.highest = self.highest.max(vmid.unwrap_or_default());
        }
    }

    /// One of the servers that nobody is at, marked as busy.
    pub(crate) fn seize(
        &mut self,
        random: &mut Random,
        fits: impl Fn(&Told) -> bool,
    ) -> Option<Told> {
        let idle: Vec<i64> = self
            .servers
            .values()
            .filter(|told| !told.busy && fits(told))
            .map(|told| told.id)
            .collect();
        let id = random.pick(&idle)?;
        let told = self.servers.get_mut(id)?;
        told.busy = true;
        Some(told.clone())
    }

    /// Gives back what was seized.
    pub(crate) fn let_go(&mut self, id: i64) {
        if let Some(told) = self.servers.get_mut(&id) {
            told.busy = false;
        }
    }
}

/// The book, for many hands.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
