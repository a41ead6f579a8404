//! The task engine: UPIDs, logs, exit states, interruption.
//!
//! A task is a real asynchronous task. What it does is the caller's body; what surrounds it
//! (numbering, injected failures, the last log line) is here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::acl::Who;
use crate::faults::{Effects, Gate};
use crate::sim::Sim;

/// A task as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) upid: String,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) pstart: u64,
    pub(crate) starttime: i64,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) tokenid: Option<String>,
    pub(crate) log: Vec<String>,
    /// Exit status and end time.
    pub(crate) exit: Option<(String, i64)>,
    #[serde(skip)]
    pub(crate) cancel: CancellationToken,
    /// Ends the task where it stands.
    #[serde(skip)]
    pub(crate) kill: CancellationToken,
}

impl Record {
    fn base(&self) -> Value {
        let mut value = json!({
            "upid": self.upid, "node": self.node, "pid": self.pid, "pstart": self.pstart,
            "starttime": self.starttime, "type": self.kind, "id": self.id, "user": self.user,
        });
        if let Some(token) = &self.tokenid {
            value["tokenid"] = json!(token);
        }
        value
    }

    /// `GET .../tasks/{upid}/status`.
    pub(crate) fn status(&self) -> Value {
        let mut value = self.base();
        match &self.exit {
            Some((text, _)) => {
                value["status"] = json!("stopped");
                value["exitstatus"] = json!(text);
            }
            None => value["status"] = json!("running"),
        }
        value
    }

    /// An entry of a node's list of finished tasks.
    pub(crate) fn archived(&self) -> Value {
        let mut value = self.base();
        if let Some((text, end)) = &self.exit {
            value["status"] = json!(text);
            value["endtime"] = json!(end);
        }
        value
    }

    /// An entry of a node's list of active tasks: the user is the full token id there.
    pub(crate) fn active(&self) -> Value {
        let mut value = self.base();
        if let Some(object) = value.as_object_mut() {
            object.remove("tokenid");
        }
        value["user"] = json!(self.full_user());
        value["status"] = json!("RUNNING");
        value["saved"] = json!("0");
        value
    }

    /// An entry of `/cluster/tasks`.
    pub(crate) fn broadcast(&self) -> Value {
        let mut value = self.archived();
        if let Some(object) = value.as_object_mut() {
            object.remove("pstart");
            if self.exit.is_some() {
                object.remove("pid");
            }
        }
        value["saved"] = json!(if self.exit.is_some() { "1" } else { "0" });
        value
    }

    pub(crate) fn full_user(&self) -> String {
        match &self.tokenid {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.exit.as_ref().is_some_and(|(text, _)| text == "OK")
    }
}

/// Every task since the start, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Vec<Record>>);

impl Tasks {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Vec<Record>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn find(&self, upid: &str) -> Option<Record> {
        self.with(|records| {
            records
                .iter()
                .rev()
                .find(|record| record.upid == upid)
                .cloned()
        })
    }

    fn update(&self, upid: &str, work: impl FnOnce(&mut Record)) {
        self.with(|records| {
            if let Some(record) = records.iter_mut().rev().find(|record| record.upid == upid) {
                work(record);
            }
        });
    }

    fn running(&self, kind: Option<&str>) -> usize {
        self.with(|records| {
            records
                .iter()
                .filter(|record| {
                    record.exit.is_none() && kind.is_none_or(|kind| record.kind == kind)
                })
                .count()
        })
    }

    /// Restored tasks that were running lost their worker.
    pub(crate) fn restore(&self, mut records: Vec<Record>) {
        for record in &mut records {
            if record.exit.is_none() {
                record.exit = Some(("unexpected status".into(), record.starttime));
            }
        }
        self.with(|current| *current = records);
    }
}

/// What a task's body works with.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) sim: Arc<Sim>,
    pub(crate) upid: String,
    effects: Effects,
    cancel: CancellationToken,
}

impl Task {
    pub(crate) fn log(&self, line: impl Into<String>) {
        let line = line.into();
        self.sim
            .tasks
            .update(&self.upid, |record| record.log.push(line));
    }

    pub(crate) fn warn(&self, text: &str) {
        self.log(format!("WARN: {text}"));
    }

    pub(crate) async fn interrupted(&self) {
        self.cancel.cancelled().await;
    }

    /// Waits, unless interrupted.
    pub(crate) async fn sleep(&self, duration: Duration) -> Result<(), String> {
        tokio::select! {
            () = self.sim.clock.sleep(duration) => Ok(()),
            () = self.cancel.cancelled() => Err("received interrupt".into()),
        }
    }

    /// The working time before an effect; this is where injected faults strike.
    pub(crate) async fn work(&self, duration: Duration) -> Result<(), String> {
        self.sleep(duration).await?;
        self.hold(self.effects.effect_hold.as_deref()).await?;
        if self.cancel.is_cancelled() {
            return Err("received interrupt".into());
        }
        let Some(text) = &self.effects.task_fails else {
            return Ok(());
        };
        if text.starts_with("can't lock file") {
            self.log("trying to acquire lock...");
        }
        Err(text.clone())
    }

    /// A point where the task waits as if at work, without failing.
    pub(crate) async fn pause(&self) -> Result<(), String> {
        self.hold(self.effects.effect_hold.as_deref()).await
    }

    async fn hold(&self, gate: Option<&Gate>) -> Result<(), String> {
        let Some(gate) = gate else { return Ok(()) };
        tokio::select! {
            () = gate.wait() => Ok(()),
            () = self.cancel.cancelled() => Err("received interrupt".into()),
        }
    }

    pub(crate) fn effect(&self, kind: &str, node: &str, vmid: u32, detail: impl Into<String>) {
        self.sim.effect(kind, node, vmid, Some(&self.upid), detail);
    }
}

/// Starts a task and returns its UPID.
pub(crate) fn spawn<F, Fut>(
    sim: &Arc<Sim>,
    who: &Who,
    effects: &Effects,
    node: &str,
    kind: &str,
    id: &str,
    body: F,
) -> String
where
    F: FnOnce(Task) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let cancel = CancellationToken::new();
    let kill = CancellationToken::new();
    let starttime = sim.clock.now();
    let pid = sim.next_pid();
    let pstart = 100_000 + sim.clock.up_millis() / 10;
    let upid = format!(
        "UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{}:{}:",
        id.replace(':', "\\x3a"),
        who.full()
    );
    sim.tasks.with(|records| {
        records.push(Record {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart,
            starttime,
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: who.user.clone(),
            tokenid: who.token.clone(),
            log: Vec::new(),
            exit: None,
            cancel: cancel.clone(),
            kill: kill.clone(),
        });
    });
    sim.ledger.task_began(
        kind,
        sim.tasks.running(None),
        sim.tasks.running(Some("qmclone")),
    );
    let task = Task {
        sim: Arc::clone(sim),
        upid: upid.clone(),
        effects: effects.clone(),
        cancel,
    };
    let working = async move {
        // an interruption while held is seen by the body, which knows how to clean up
        let _ = task.hold(task.effects.start_hold.as_deref()).await;
        let outcome = body(task.clone()).await;
        let outcome = match (outcome, &task.effects.task_fails) {
            (Ok(()), Some(text)) => Err(text.clone()),
            (outcome, _) => outcome,
        };
        if let (Ok(()), Some(text)) = (&outcome, &task.effects.task_warns) {
            task.warn(text);
        }
        finish(&task, outcome);
    };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            // dropped where it stands: nothing is cleaned up
            () = kill.cancelled() => {}
            () = working => {}
        }
    });
    upid
}

fn finish(task: &Task, outcome: Result<(), String>) {
    let now = task.sim.clock.now();
    task.sim.tasks.update(&task.upid, |record| {
        if record.exit.is_some() {
            return;
        }
        let warnings = record
            .log
            .iter()
            .filter(|line| line.starts_with("WARN: "))
            .count();
        let (exit, line) = match outcome {
            Err(text) => (
                text.replace('\n', " "),
                format!("TASK ERROR: {}", text.replace('\n', " ")),
            ),
            Ok(()) if warnings > 0 => (
                format!("WARNINGS: {warnings}"),
                format!("TASK WARNINGS: {warnings}"),
            ),
            Ok(()) => ("OK".to_owned(), "TASK OK".to_owned()),
        };
        record.log.push(line);
        record.exit = Some((exit, now));
    });
    task.sim.mark_changed();
}
