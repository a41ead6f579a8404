//! Faults: what goes wrong, on which request, how often.
//!
//! Matching is by count and never by chance: the same sequence of requests meets the same faults.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A fault to inject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP method; `None` matches all.
    #[serde(default)]
    pub method: Option<String>,
    /// Path below `/api2/json`; `*` stands for one segment, a final `**` for any rest.
    pub path: String,
    /// Only requests about this guest (path, `newid` or `vmid` parameter).
    #[serde(default)]
    pub vmid: Option<u32>,
    /// Lets this many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// Applies this often; 0 means always.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultKind {
    /// Answers with a status; 595 and above have no body unless one is given.
    Status {
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: String,
        /// JSON text sent as body.
        #[serde(default)]
        body: Option<String>,
        /// The request takes effect all the same.
        #[serde(default)]
        applied: bool,
    },
    /// Waits before the request is worked on (not scaled).
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Closes the connection; nothing happened.
    DropBefore,
    /// The request takes effect, then the connection closes without an answer.
    DropAfter,
    /// The task starts and ends with this text; its effect does not happen.
    TaskFails {
        /// Exit status.
        text: String,
    },
    /// The task succeeds with a warning.
    TaskWarns {
        /// Text of the warning.
        text: String,
    },
    /// The lock cannot be had: an error at once, or in the task.
    Lock {
        /// The error, e.g. `VM is locked (backup)`; by default the lock file's time-out.
        #[serde(default)]
        text: Option<String>,
        /// Fails the task instead of the request.
        #[serde(default)]
        in_task: bool,
    },
    /// `got no worker upid - start worker failed`; nothing happened.
    NoWorkerUpid,
    /// Waits until released.
    Hold {
        /// Where it waits.
        #[serde(default)]
        at: HoldAt,
    },
}

/// Where a held request or task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldAt {
    /// Before the request is worked on.
    #[default]
    Request,
    /// The answer with the UPID is out, the task has done nothing.
    TaskStart,
    /// The task has its locks and is about to take effect.
    TaskEffect,
}

impl Fault {
    /// A fault that applies once to `method path`.
    #[must_use]
    pub fn once(method: &str, path: &str, kind: FaultKind) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: path.to_owned(),
            vmid: None,
            skip: 0,
            times: 1,
            kind,
        }
    }

    /// Restricts the fault to one guest.
    #[must_use]
    pub fn on_vm(mut self, vmid: u32) -> Self {
        self.vmid = Some(vmid);
        self
    }

    /// Applies `times` times (0: always).
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Lets `skip` matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }
}

/// An injected fault and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct FaultState {
    /// Handle for `release` and `remove`.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// How often it applied.
    pub hits: u32,
    /// Requests or tasks that are held right now.
    pub waiting: usize,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    fault: Fault,
    seen: u32,
    hits: u32,
    gate: Arc<Gate>,
}

/// Where held requests wait.
#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    fn new() -> Self {
        Self {
            open: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn wait(&self) {
        let mut open = self.open.subscribe();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _ = open.wait_for(|open| *open).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The faults that are in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    last_id: u64,
    entries: Vec<Entry>,
}

impl Faults {
    /// Puts a fault in force and returns its handle.
    pub fn inject(&self, fault: Fault) -> u64 {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.last_id += 1;
        let id = ledger.last_id;
        ledger.entries.push(Entry {
            id,
            fault,
            seen: 0,
            hits: 0,
            gate: Arc::new(Gate::new()),
        });
        id
    }

    /// Lets everything go that a `Hold` fault holds, now and in the future.
    pub fn release(&self, id: u64) -> bool {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger
            .entries
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| entry.gate.open.send_replace(true))
            .is_some()
    }

    /// Takes a fault out of force, releasing what it holds.
    pub fn remove(&self, id: u64) -> bool {
        let released = self.release(id);
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.entries.retain(|entry| entry.id != id);
        released
    }

    /// Takes every fault out of force.
    pub fn clear(&self) {
        for state in self.list() {
            self.remove(state.id);
        }
    }

    /// All faults, spent ones included.
    pub fn list(&self) -> Vec<FaultState> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger
            .entries
            .iter()
            .map(|entry| FaultState {
                id: entry.id,
                fault: entry.fault.clone(),
                hits: entry.hits,
                waiting: entry.gate.waiting.load(Ordering::SeqCst),
            })
            .collect()
    }

    /// Waits until at least one request or task is held by the fault.
    pub async fn wait_until_held(&self, id: u64) {
        loop {
            let held = self
                .list()
                .iter()
                .any(|state| state.id == id && state.waiting > 0);
            if held {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// The faults that apply to this request; each is used up by one.
    pub(crate) fn take(&self, method: &str, segments: &[String], vmids: &[u32]) -> Effects {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effects = Effects::default();
        for entry in &mut ledger.entries {
            let fault = &entry.fault;
            let is_spent = fault.times > 0 && entry.hits >= fault.times;
            if is_spent
                || fault
                    .method
                    .as_deref()
                    .is_some_and(|wanted| !wanted.eq_ignore_ascii_case(method))
                || fault.vmid.is_some_and(|wanted| !vmids.contains(&wanted))
                || !matches(&fault.path, segments)
            {
                continue;
            }
            entry.seen += 1;
            if entry.seen <= fault.skip {
                continue;
            }
            entry.hits += 1;
            effects.add(
                &fault.kind,
                vmids.first().copied().unwrap_or_default(),
                &entry.gate,
            );
        }
        effects
    }
}

/// What the matched faults add up to for one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    pub(crate) delay_ms: u64,
    pub(crate) hold: Option<Arc<Gate>>,
    pub(crate) drop_before: bool,
    pub(crate) drop_after: bool,
    pub(crate) status: Option<(u16, String, Option<String>, bool)>,
    pub(crate) error: Option<String>,
    pub(crate) start_hold: Option<Arc<Gate>>,
    pub(crate) effect_hold: Option<Arc<Gate>>,
    pub(crate) task_fails: Option<String>,
    pub(crate) task_warns: Option<String>,
}

impl Effects {
    fn add(&mut self, kind: &FaultKind, vmid: u32, gate: &Arc<Gate>) {
        match kind.clone() {
            FaultKind::Status {
                code,
                reason,
                body,
                applied,
            } => {
                self.status = Some((code, reason, body, applied));
            }
            FaultKind::Delay { ms } => self.delay_ms += ms,
            FaultKind::DropBefore => self.drop_before = true,
            FaultKind::DropAfter => self.drop_after = true,
            FaultKind::TaskFails { text } => self.task_fails = Some(text),
            FaultKind::TaskWarns { text } => self.task_warns = Some(text),
            FaultKind::Lock { text, in_task } => {
                let text = text.unwrap_or_else(|| crate::locks::vm_timeout(vmid));
                if in_task {
                    self.task_fails = Some(text);
                } else {
                    self.error = Some(text);
                }
            }
            FaultKind::NoWorkerUpid => {
                self.error = Some("got no worker upid - start worker failed".into());
            }
            FaultKind::Hold {
                at: HoldAt::Request,
            } => self.hold = Some(Arc::clone(gate)),
            FaultKind::Hold {
                at: HoldAt::TaskStart,
            } => self.start_hold = Some(Arc::clone(gate)),
            FaultKind::Hold {
                at: HoldAt::TaskEffect,
            } => self.effect_hold = Some(Arc::clone(gate)),
        }
    }
}

fn matches(pattern: &str, segments: &[String]) -> bool {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate() {
        match segments.get(at) {
            _ if *part == "**" => return true,
            Some(segment) if *part == "*" || part == segment => {}
            _ => return false,
        }
    }
    parts.len() == segments.len()
}

fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_match_uses_up_one() {
        let faults = Faults::default();
        faults.inject(
            Fault::once("POST", "/nodes/*/qemu/*/clone", FaultKind::NoWorkerUpid)
                .skip(1)
                .times(2),
        );
        let clone = path("/nodes/pve1/qemu/9000/clone");
        let hits: Vec<bool> = (0..4)
            .map(|_| faults.take("POST", &clone, &[9000]).error.is_some())
            .collect();
        assert_eq!(hits, [false, true, true, false]);
        assert!(faults.take("GET", &clone, &[9000]).error.is_none());
    }

    #[test]
    fn faults_read_as_flat_json() {
        let fault: Fault = serde_json::from_str(
            r#"{"path":"/nodes/**","kind":"status","code":596,"reason":"Connection timed out","applied":true}"#,
        )
        .expect("fault");
        assert_eq!(fault.times, 1);
        assert!(matches!(
            fault.kind,
            FaultKind::Status { applied: true, .. }
        ));
    }
}
