//! What many ask for, asked once: the cluster's list, its recent tasks, and a guest's configuration that was
//! read a moment ago. Callers that come while a question is under way share the answer, and two questions
//! of a kind are never closer together than a gap.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tpm_pve_client::{Client, Error, GuestConfig, Interface, Resource, TaskStatus, Upid};

/// Least time between two questions.
const GAP: Duration = Duration::from_millis(250);
/// The list of tasks may be behind by some seconds, so one that it shows as running is asked about by itself
/// this often.
const ASK_ALONE: Duration = Duration::from_secs(5);
/// A configuration that was read within this time need not be read again for a look that decides nothing
/// for good: what follows is sent with its digest, or changes nothing that cannot be changed back.
const JUST_READ: Duration = Duration::from_secs(2);
/// The share of its usual time after which something is looked at first.
const EARLY: f64 = 0.9;
/// What answered at the first question may have been there earlier: it is asked so much earlier next time.
const EARLIER: f64 = 0.9;
/// How much a new duration counts beside those before.
const NEW: f64 = 0.3;

#[derive(Debug, Default)]
struct Tasks {
    asked: Option<Instant>,
    states: HashMap<String, TaskStatus>,
    alone: HashMap<String, Instant>,
}

#[derive(Debug)]
pub(crate) struct Watch {
    client: Client,
    last: Mutex<Option<(Instant, Arc<Vec<Resource>>)>>,
    tasks: Mutex<Tasks>,
    /// Configurations that were just read, by VMID.
    read: std::sync::Mutex<HashMap<u32, (Instant, String, GuestConfig)>>,
    /// How long things take here, in seconds.
    paces: std::sync::Mutex<HashMap<String, f64>>,
    /// Guests whose agent was asked and has not answered so far.
    silent: std::sync::Mutex<HashSet<u32>>,
    /// What agents said of their guests' interfaces a moment ago.
    heard: std::sync::Mutex<HashMap<u32, (Instant, Vec<Interface>)>>,
    /// Since when nodes were seen to be away, of those that were asked about.
    away: Mutex<HashMap<String, Instant>>,
}

fn unpoisoned<T>(lock: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::new(None),
            tasks: Mutex::default(),
            read: std::sync::Mutex::default(),
            paces: std::sync::Mutex::default(),
            silent: std::sync::Mutex::default(),
            heard: std::sync::Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// Keeps what an agent said for the look that follows.
    pub(crate) fn hear(&self, vmid: u32, said: Vec<Interface>) {
        let mut heard = unpoisoned(&self.heard);
        heard.retain(|_, (at, _)| at.elapsed() < JUST_READ);
        heard.insert(vmid, (Instant::now(), said));
    }

    /// What an agent said a moment ago; once.
    pub(crate) fn heard(&self, vmid: u32) -> Option<Vec<Interface>> {
        let heard = unpoisoned(&self.heard).remove(&vmid);
        heard
            .filter(|(at, _)| at.elapsed() < JUST_READ)
            .map(|(_, said)| said)
    }

    /// A list that was asked for at `moment` or later: what changed before is in it.
    pub(crate) async fn since(&self, moment: Instant) -> Result<Arc<Vec<Resource>>, Error> {
        let mut last = self.last.lock().await;
        if let Some((asked, list)) = &*last {
            if *asked >= moment {
                return Ok(Arc::clone(list));
            }
            tokio::time::sleep(GAP.saturating_sub(asked.elapsed())).await;
        }
        let asked = Instant::now();
        let list = Arc::new(self.client.cluster_resources(None).await?);
        *last = Some((asked, Arc::clone(&list)));
        Ok(list)
    }

    /// For how long a node has been seen to be away; `None` when it takes part. A process that has just
    /// begun knows of no absence before its own first look.
    pub(crate) async fn away(&self, node: &str, age: Duration) -> Result<Option<Duration>, Error> {
        let list = self.recent(age).await?;
        let online = list.iter().any(|r| {
            r.kind == "node"
                && r.node.as_deref() == Some(node)
                && r.status.as_deref() == Some("online")
        });
        let mut away = self.away.lock().await;
        if online {
            away.remove(node);
            return Ok(None);
        }
        let since = away.entry(node.to_owned()).or_insert_with(Instant::now);
        Ok(Some(since.elapsed()))
    }

    /// A list that is not older than `age`.
    pub(crate) async fn recent(&self, age: Duration) -> Result<Arc<Vec<Resource>>, Error> {
        let now = Instant::now();
        self.since(now.checked_sub(age).unwrap_or(now)).await
    }

    /// How a task stands: by the list of all of them, and by itself when the list does not know it or has
    /// shown it as running for a while.
    pub(crate) async fn task(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        match self.listed(upid).await {
            Some(listed) => Ok(listed),
            None => self.client.task_status(upid).await,
        }
    }

    async fn listed(&self, upid: &Upid) -> Option<TaskStatus> {
        let mut tasks = self.tasks.lock().await;
        if tasks.asked.is_none_or(|asked| asked.elapsed() >= GAP) {
            tasks.asked = Some(Instant::now());
            // Without the list, or the right to see it, each is asked about by itself.
            let list = self.client.cluster_tasks().await.unwrap_or_default();
            let before = std::mem::take(&mut tasks.states);
            for entry in list {
                let name = entry.upid.as_str().to_owned();
                // Newly ended: the host itself says how long it took, to the second.
                if entry.status.is_success()
                    && before.get(&name).is_none_or(|known| !known.is_finished())
                    && let Some(secs) = entry
                        .endtime
                        .and_then(|end| end.checked_sub(entry.upid.starttime))
                {
                    self.took(&entry.upid.kind, Duration::from_secs(secs));
                }
                tasks.states.insert(name, entry.status);
            }
            tasks
                .alone
                .retain(|_, asked| asked.elapsed() < ASK_ALONE * 4);
        }
        let state = tasks.states.get(upid.as_str())?.clone();
        if state.is_finished() {
            return Some(state);
        }
        let now = Instant::now();
        let asked = tasks.alone.entry(upid.as_str().to_owned()).or_insert(now);
        if asked.elapsed() >= ASK_ALONE {
            *asked = now;
            return None;
        }
        Some(state)
    }

    /// A configuration that was read a moment ago, with its node.
    pub(crate) fn just_read(&self, vmid: u32) -> Option<(String, GuestConfig)> {
        let read = unpoisoned(&self.read);
        read.get(&vmid)
            .filter(|(at, _, _)| at.elapsed() < JUST_READ)
            .map(|(_, node, config)| (node.clone(), config.clone()))
    }

    pub(crate) fn keep(&self, vmid: u32, node: &str, config: &GuestConfig) {
        let mut read = unpoisoned(&self.read);
        if read.len() > 4096 {
            read.retain(|_, (at, _, _)| at.elapsed() < JUST_READ);
        }
        read.insert(vmid, (Instant::now(), node.to_owned(), config.clone()));
    }

    /// Something was sent that changes the guest.
    pub(crate) fn forget(&self, vmid: u32) {
        unpoisoned(&self.read).remove(&vmid);
    }

    /// When to look for the first time at something of this kind: a little before it usually ends.
    pub(crate) fn first_look(&self, kind: &str) -> Duration {
        let usual = unpoisoned(&self.paces).get(kind).copied().unwrap_or(0.0);
        Duration::from_secs_f64((usual * EARLY).clamp(0.1, 30.0))
    }

    /// A guest's agent was asked and did not answer.
    pub(crate) fn is_silent(&self, vmid: u32) {
        let mut silent = unpoisoned(&self.silent);
        if silent.len() > 4096 {
            silent.clear();
        }
        silent.insert(vmid);
    }

    /// A guest's agent answers, so long after the guest was started. When it had not been asked before it may
    /// have been there for long: next time it is asked earlier.
    pub(crate) fn answers(&self, vmid: u32, kind: &str, after: Duration) {
        let was_silent = unpoisoned(&self.silent).remove(&vmid);
        let usual = if was_silent { 1.0 } else { EARLIER };
        self.took(kind, after.mul_f64(usual));
    }

    /// Something of this kind took so long.
    fn took(&self, kind: &str, time: Duration) {
        let mut paces = unpoisoned(&self.paces);
        let usual = paces.entry(kind.to_owned()).or_insert(time.as_secs_f64());
        *usual += (time.as_secs_f64() - *usual) * NEW;
    }
}
