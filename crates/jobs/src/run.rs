//! One claimed task, from where it stands as far as it goes.
//!
//! The order inside [`Run::step`] is what makes a crash harmless: look, intent, act, evidence.
//! Refuses to act without a written intent, and to write without the fence.

use crate::backup::Backups;
use crate::measure;
use crate::orphan;
use crate::point::{Point, PointKind, Verdict};
use crate::progress::percent;
use crate::slots;
use crate::worker::Worker;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tpm_domain::{
    ChangePayload, Failure, FailureCode, RungReached, Server, StepRecord, StepState, TaskKind,
    TaskNote, Timestamp,
};
use tpm_provisioner::{Learned, Observed, Operation, Provisioner, Slot, StepCall, StepSpec};
use tpm_store::{Claim, SlotAnswer, StoreError, UnitOfWork};

/// A transaction of the store.
pub(crate) type Tx = Box<dyn UnitOfWork + Send + Sync>;

/// Why a run ends before the task does.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The task waits for a time or a place; nobody holds it.
    Parked,
    /// Its end is written.
    Ended,
    /// The lease has passed to somebody else; nothing was written.
    Stale,
    /// The worker is stopping; the task is between two checkpoints.
    Leaving,
    /// A test stopped it.
    Died,
    /// The store does not answer; the lease runs out and the task is claimed again.
    Store(StoreError),
    /// The task makes no sense to this version.
    Broken(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The operation a kind of task is.
pub(crate) fn operation(kind: TaskKind) -> Option<Operation> {
    match kind {
        TaskKind::CreateServer => Some(Operation::Create),
        TaskKind::DeleteServer | TaskKind::RemoveOrphan => Some(Operation::Destroy),
        TaskKind::ChangeServer => Some(Operation::Change),
        TaskKind::StartServer => Some(Operation::Start),
        TaskKind::StopServer => Some(Operation::Stop),
        TaskKind::RestartServer => Some(Operation::Restart),
        TaskKind::CreateBackup => Some(Operation::Backup),
        TaskKind::RestoreBackup => Some(Operation::Restore),
        TaskKind::RestoreNew => Some(Operation::RestoreNew),
        TaskKind::DrillBackup => Some(Operation::Drill),
        TaskKind::DeleteBackup => Some(Operation::EraseBackup),
        // An import has no steps: it changes nothing.
        TaskKind::ImportServer
        | TaskKind::BulkCreate
        | TaskKind::BulkDelete
        | TaskKind::BulkPower => None,
    }
}

/// How long somebody who waits for a place waits at most before looking again by itself. Places that are
/// freed wake who waits in the same transaction, so this is for what nobody foresaw.
const SLOT_PATIENCE: Duration = Duration::from_secs(30);

/// A claimed task and what is known of it.
pub(crate) struct Run<'w> {
    pub(crate) worker: &'w Worker,
    pub(crate) claim: Claim,
    pub(crate) engine: Arc<dyn Provisioner>,
    pub(crate) server: Server,
    pub(crate) operation: Operation,
    pub(crate) backups: Backups,
    claimed: Instant,
}

impl<'w> Run<'w> {
    /// Loads what a claim is about.
    pub(crate) async fn load(worker: &'w Worker, claim: Claim) -> Result<Run<'w>, Stop> {
        let task = &claim.task;
        let operation = operation(task.kind)
            .ok_or_else(|| Stop::Broken(format!("a {} is never due", task.kind.as_str())))?;
        let id = task
            .server
            .ok_or_else(|| Stop::Broken("task without server".into()))?;
        let reads = worker.store().reads();
        let server = match task.kind {
            TaskKind::RemoveOrphan => {
                let server = reads.server_ever(id).await?;
                server
                    .map(|server| orphan::as_server(task, server))
                    .transpose()?
            }
            // The server of a backup may be deleted by now.
            TaskKind::DeleteBackup => reads.server_ever(id).await?,
            _ => reads.server(id).await?,
        };
        let backups = Backups::load(&*reads, task).await?;
        let server = server.ok_or_else(|| Stop::Broken(format!("server {id} is gone")))?;
        let engine = worker
            .engine(&server.engine)
            .ok_or_else(|| Stop::Broken(format!("no engine called {}", server.engine)))?;
        Ok(Run {
            worker,
            claim,
            engine,
            server,
            operation,
            backups,
            claimed: Instant::now(),
        })
    }

    /// Goes on until the task ends or has to wait.
    pub(crate) async fn go(&mut self) -> Stop {
        match self.is_allowed().await {
            Ok(true) => {}
            Ok(false) => {
                if let Err(stop) = self.forbid().await {
                    return stop;
                }
            }
            Err(stop) => return stop,
        }
        loop {
            if self.worker.is_stopping() {
                return Stop::Leaving;
            }
            let done = match self.next_step().await {
                Ok(Some(spec)) => self.step(&spec).await,
                Ok(None) => self.finish().await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = done {
                return stop;
            }
        }
    }

    /// The database's time, as of now.
    pub(crate) fn now(&self) -> Timestamp {
        self.claim.now.plus(self.claimed.elapsed())
    }

    pub(crate) fn specs(&self) -> &[StepSpec] {
        self.engine.steps(if self.claim.undoing {
            Operation::Destroy
        } else {
            self.operation
        })
    }

    /// The step that is next, after a look at whether the task is to stop.
    async fn next_step(&mut self) -> Result<Option<StepSpec>, Stop> {
        let open = self.first_open();
        let settled = match &open {
            Some(spec) => !self.is_settling(spec),
            // All of it is done; what is not undone is told as it is.
            None => self.operation.makes(),
        };
        if self.is_cancelled() && settled {
            return self.cancel().await.map(|()| self.first_open());
        }
        Ok(open)
    }

    fn is_cancelled(&self) -> bool {
        self.claim.task.cancel_requested && !self.claim.undoing
    }

    /// Whether a step of something that is not undone was acted on and what came of it is not known: a
    /// task that is to stop waits until it is. What undoes a create waits for that by itself.
    fn is_settling(&self, spec: &StepSpec) -> bool {
        !self.operation.makes()
            && self.claim.steps.iter().any(|record| {
                record.undo == self.claim.undoing
                    && record.name == spec.name
                    && record.state == StepState::Unknown
            })
    }

    pub(crate) fn first_open(&self) -> Option<StepSpec> {
        let undo = self.claim.undoing;
        self.specs()
            .iter()
            .find(|spec| {
                !self.claim.steps.iter().any(|record| {
                    record.undo == undo
                        && record.name == spec.name
                        && matches!(record.state, StepState::Done | StepState::Skipped)
                })
            })
            .cloned()
    }

    /// A create that is cancelled is undone; anything else just stops between two steps.
    async fn cancel(&mut self) -> Result<(), Stop> {
        if self.operation.makes() {
            self.turn_round(None).await
        } else {
            self.end_cancelled().await
        }
    }

    /// From here on the task undoes.
    pub(crate) async fn turn_round(&mut self, failure: Option<Failure>) -> Result<(), Stop> {
        let tx = self.fenced().await?;
        self.decide_drill(&tx, failure.as_ref()).await?;
        tx.begin_undo(self.claim.task.id, failure.as_ref()).await?;
        for record in &self.claim.steps {
            tx.free_slots(self.claim.task.id, record.seq).await?;
        }
        tx.commit().await?;
        self.claim.task.failure = failure;
        self.claim.undoing = true;
        Ok(())
    }

    /// A transaction in which the lease was checked.
    pub(crate) async fn fenced(&self) -> Result<Tx, Stop> {
        let tx = self.worker.store().begin().await?;
        if tx.fence(&self.claim.lease).await? {
            Ok(tx)
        } else {
            tracing::info!(task = %self.claim.task.token, "the lease has passed to another worker");
            Err(Stop::Stale)
        }
    }

    pub(crate) async fn pass(&self, kind: PointKind, step: &str, attempt: u32) -> Result<(), Stop> {
        let point = Point {
            kind,
            task_kind: self.claim.task.kind.as_str(),
            server: self.server.name.as_str(),
            step,
            undo: self.claim.undoing,
            attempt,
        };
        match self.worker.hook().at(&point).await {
            Verdict::Continue => Ok(()),
            Verdict::Die => Err(Stop::Died),
        }
    }

    fn record_of(&self, spec: &StepSpec) -> StepRecord {
        let known = self
            .claim
            .steps
            .iter()
            .find(|r| r.undo == self.claim.undoing && r.name == spec.name);
        known.cloned().unwrap_or_else(|| StepRecord {
            seq: self
                .claim
                .steps
                .iter()
                .map(|record| record.seq + 1)
                .max()
                .unwrap_or(0),
            undo: self.claim.undoing,
            name: spec.name.to_owned(),
            state: StepState::Pending,
            attempt: 0,
            intent: None,
            handle: None,
            evidence: None,
            started_at: Some(self.now()),
            finished_at: None,
        })
    }

    pub(crate) fn keep(&mut self, record: StepRecord) {
        let steps = &mut self.claim.steps;
        match steps.iter_mut().find(|known| known.seq == record.seq) {
            Some(known) => *known = record,
            None => steps.push(record),
        }
    }

    pub(crate) fn elapsed(&self, record: &StepRecord) -> Duration {
        record
            .started_at
            .map_or(Duration::ZERO, |started| self.now().since(started))
    }

    /// One step as far as it goes: done, or parked.
    async fn step(&mut self, spec: &StepSpec) -> Result<(), Stop> {
        let mut record = self.record_of(spec);
        record.started_at.get_or_insert(self.now());
        self.pass(PointKind::BeforeLook, spec.name, record.attempt)
            .await?;
        let intent: Option<Value> = record
            .intent
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let seen = self
            .engine
            .observe(&self.call(&record, intent.as_ref()))
            .await;
        match seen {
            Ok(Observed::Done { evidence, learned }) => {
                self.done(spec, record, &evidence, learned).await
            }
            Ok(Observed::Wait {
                after,
                percent: within,
            }) => {
                if self.elapsed(&record) > spec.deadline {
                    return self.late(spec, record, None).await;
                }
                let note = TaskNote::Step {
                    step: spec.name.to_owned(),
                };
                self.wait(record, note, within.unwrap_or(0), after).await
            }
            // What was begun has come to nothing, and the task is to stop.
            Ok(Observed::Needed(_)) if self.is_cancelled() => self.cancel().await,
            Ok(Observed::Needed(intent)) => {
                let patient = self.worker.settings().retry.max_attempts;
                if record.attempt >= patient || self.elapsed(&record) > spec.deadline {
                    return self.late(spec, record, None).await;
                }
                // A lease that may be over by then is no ground to act on, and an attempt that is not made is
                // not counted.
                if !self.worker.heartbeat().is_fresh(self.claimed) {
                    return Err(Stop::Stale);
                }
                if record.attempt == 0 && self.is_past_its_window() {
                    let text = "it did not come to its turn within the window of its schedule";
                    let failure = Failure::new(FailureCode::WindowMissed, text);
                    return self.end_failed(failure).await;
                }
                let destroys = matches!(
                    self.operation,
                    Operation::Destroy | Operation::Restore | Operation::EraseBackup
                );
                if destroys && !self.is_allowed().await? {
                    return self.forbid().await;
                }
                record.state = StepState::Unknown;
                record.attempt += 1;
                record.intent = Some(intent.to_string());
                record.handle = None;
                let slots = self.engine.slots(&self.call(&record, None), &intent);
                self.write_intent(spec, &record, &slots).await?;
                self.act(spec, record, &intent).await
            }
            Err(error) => self.trouble(spec, record, error, false).await,
        }
    }

    /// Deleting is asked for by name; a change may carry the consent to lose what there is.
    fn consent(&self) -> bool {
        self.claim.undoing
            || self.claim.task.kind == TaskKind::DeleteServer
            || self.change().is_some_and(|change| change.consent)
    }

    /// What a change was asked for with.
    pub(crate) fn change(&self) -> Option<ChangePayload> {
        serde_json::from_str(self.claim.task.payload.as_deref()?).ok()
    }

    pub(crate) fn call<'a>(
        &'a self,
        record: &'a StepRecord,
        intent: Option<&'a Value>,
    ) -> StepCall<'a> {
        StepCall {
            operation: if self.claim.undoing {
                Operation::Destroy
            } else {
                self.operation
            },
            step: &record.name,
            server: &self.server,
            task: &self.claim.task.token,
            epoch: self.claim.lease.epoch,
            consent: self.consent(),
            undoing: self.claim.undoing,
            intent,
            handle: record.handle.as_deref(),
            attempt: record.attempt,
            elapsed: self.elapsed(record),
            report: None,
            backup: self.backups.subject.as_ref(),
            safety: self.backups.safety.as_ref(),
            bounds: self.backups.bounds,
            drill: self.backups.drill.as_ref().map(|drill| &drill.spec),
            earlier: &self.claim.steps,
        }
    }

    /// Writes what is about to be done, or parks the task where there is no place for it now. Both are in the
    /// transaction that asks for the place: one that is freed in between would wake nobody.
    async fn write_intent(
        &mut self,
        spec: &StepSpec,
        record: &StepRecord,
        slots: &[Slot],
    ) -> Result<(), Stop> {
        let task = self.claim.task.id;
        let tx = self.fenced().await?;
        if tx.cancel_requested(task).await? {
            self.claim.task.cancel_requested = true;
            if !self.claim.undoing {
                drop(tx);
                self.cancel().await?;
                // Turned round: this step is not taken, the undoing begins with the next claim.
                let tx = self.fenced().await?;
                tx.park(task, Duration::ZERO, None).await?;
                tx.commit().await?;
                return Err(Stop::Parked);
            }
        }
        if !slots.is_empty() {
            let needs = slots::needs(&tx, slots).await?;
            if let SlotAnswer::Full(name) = tx.take_slots(task, record.seq, &needs).await? {
                let waiting = StepRecord {
                    state: StepState::Pending,
                    attempt: record.attempt - 1,
                    intent: None,
                    // Its time runs from when it has its place: how long the queue is says nothing of it.
                    started_at: None,
                    ..record.clone()
                };
                let note = TaskNote::WaitingForSlot {
                    step: spec.name.to_owned(),
                };
                return self
                    .park(tx, waiting, note, 0, SLOT_PATIENCE, Some(&name))
                    .await;
            }
        }
        tx.save_step(task, record).await?;
        let note = TaskNote::Step {
            step: spec.name.to_owned(),
        };
        let progress = percent(self.specs(), &self.claim.steps, self.claim.undoing, 0);
        tx.save_progress(task, &note, self.shown(progress)).await?;
        tx.commit().await?;
        self.keep(record.clone());
        Ok(())
    }

    /// Undoing shows no progress of its own: progress never goes back.
    fn shown(&self, progress: u8) -> u8 {
        if self.claim.undoing { 0 } else { progress }
    }

    async fn act(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        intent: &Value,
    ) -> Result<(), Stop> {
        self.pass(PointKind::BeforeAct, spec.name, record.attempt)
            .await?;
        if !self.worker.heartbeat().is_fresh(self.claimed) {
            // The lease may be over. Whoever claims next looks before it acts.
            return Err(Stop::Stale);
        }
        let acted = self.act_shown(&record, intent).await;
        self.pass(PointKind::AfterAct, spec.name, record.attempt)
            .await?;
        match acted {
            Ok(acted) => {
                let task = self.claim.task.id;
                record.handle = acted.handle;
                let tx = self.fenced().await?;
                tx.save_step(task, &record).await?;
                let wait = !acted.look_after.is_zero();
                if wait {
                    tx.park(task, acted.look_after, None).await?;
                }
                tx.commit().await?;
                let attempt = record.attempt;
                self.keep(record);
                self.pass(PointKind::AfterRecord, spec.name, attempt)
                    .await?;
                if wait { Err(Stop::Parked) } else { Ok(()) }
            }
            Err(error) => self.trouble(spec, record, error, true).await,
        }
    }

    async fn done(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        evidence: &Value,
        learned: Learned,
    ) -> Result<(), Stop> {
        record.state = StepState::Done;
        record.evidence = Some(evidence.to_string());
        self.close_step(spec, record, Some(learned)).await
    }

    /// Writes the end of a step, what it taught about the server, and the rung it reached.
    pub(crate) async fn close_step(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        learned: Option<Learned>,
    ) -> Result<(), Stop> {
        let task = self.claim.task.id;
        let now = self.now();
        record.finished_at = Some(now);
        let mut server = self.server.clone();
        let reached = learned.is_some();
        if let Some(learned) = learned.clone() {
            server.node = learned.node.or(server.node);
            server.identity = learned.identity.or(server.identity);
            server.ip_address = learned.ip_address.or(server.ip_address);
        }
        if let (Some(rung), true, false) = (spec.rung, self.operation.makes(), self.claim.undoing)
            && !server.readiness.iter().any(|known| known.rung == rung)
        {
            let before = server.readiness.iter().filter_map(|known| known.at).max();
            let began = before.unwrap_or(self.claim.task.created_at);
            let took_ms = u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX);
            server.readiness.push(RungReached {
                rung,
                at: reached.then_some(now),
                took_ms,
            });
        }
        let intent: Option<Value> = record
            .intent
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let places = intent.map_or_else(Vec::new, |intent| {
            self.engine.slots(&self.call(&record, None), &intent)
        });
        self.keep(record.clone());
        let progress = percent(self.specs(), &self.claim.steps, self.claim.undoing, 0);
        let next = self
            .first_open()
            .map_or(TaskNote::Ended, |next| TaskNote::Step {
                step: next.name.to_owned(),
            });
        let note = if self.claim.undoing {
            TaskNote::Undoing
        } else {
            next
        };
        let tx = self.fenced().await?;
        tx.save_step(task, &record).await?;
        let freed = tx.free_slots(task, record.seq).await?;
        slots::ended(&tx, &places, &freed, self.server.id).await?;
        let backups = self.keep_archive(&tx, spec.name, learned.as_ref()).await?;
        self.keep_disk(&tx, &mut server, learned.as_ref()).await?;
        if self.is_about_the_server() {
            tx.save_server(&server).await?;
        }
        tx.save_progress(task, &note, self.shown(progress)).await?;
        self.claim.task.cancel_requested = tx.cancel_requested(task).await?;
        tx.commit().await?;
        let outcome = if reached { "done" } else { "skipped" };
        let took = self.elapsed(&record);
        measure::step_over(self.engine.name(), spec.name, outcome, took);
        self.server = server;
        self.backups = backups;
        if !freed.is_empty() {
            self.worker.store().queue().wake().await;
        }
        Ok(())
    }

    /// Whether what is found out belongs on the server's row. A left-over guest is none of its, nor is an archive.
    pub(crate) fn is_about_the_server(&self) -> bool {
        !matches!(
            self.claim.task.kind,
            TaskKind::RemoveOrphan | TaskKind::DeleteBackup
        )
    }

    /// Writes where the step stands and gives the task back for a while.
    pub(crate) async fn wait(
        &mut self,
        record: StepRecord,
        note: TaskNote,
        within: u8,
        after: Duration,
    ) -> Result<(), Stop> {
        let tx = self.fenced().await?;
        self.park(tx, record, note, within, after, None).await
    }

    async fn park(
        &self,
        tx: Tx,
        record: StepRecord,
        note: TaskNote,
        within: u8,
        after: Duration,
        slot: Option<&str>,
    ) -> Result<(), Stop> {
        let task = self.claim.task.id;
        let progress = percent(self.specs(), &self.claim.steps, self.claim.undoing, within);
        tx.save_step(task, &record).await?;
        tx.save_progress(task, &note, self.shown(progress)).await?;
        tx.park(task, after, slot).await?;
        tx.commit().await?;
        Err(Stop::Parked)
    }
}
