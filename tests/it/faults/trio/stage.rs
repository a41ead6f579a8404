//! Where tasks are played: an engine before the direct one and a hook in the worker, which do to each server's
//! task what its part says, once.

use async_trait::async_trait;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tpm_domain::{
    ArchiveSurvey, Backup, BackupBounds, DrillSpec, FailureCode, GuestEntry, GuestView, Server,
    StepRecord, Survey, TaskToken,
};
use tpm_jobs::{Point, PointHook, Verdict};
use tpm_provisioner::{
    Acted, Fate, Inspection, Observed, Operation, ProvisionError, Provisioner, Slot, StepCall,
    StepSpec,
};

/// What happens at a moment of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// The worker dies.
    Die,
    /// Somebody cancels the task.
    Cancel,
    /// The guest that was removed is there again.
    Return,
}

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    /// The look is refused.
    LookRefused,
    /// The act is refused and has no effect.
    Refused,
    /// The act is refused and has its effect all the same.
    DoneAndRefused,
    /// Two workers act one after the other, and the first one goes on.
    TwiceFirst,
    /// Two workers act one after the other, and the second one goes on.
    TwiceSecond,
    /// Two workers act at once.
    TwiceAtOnce,
}

/// A look or an act that was asked of the engine.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) server: Server,
    pub(super) step: String,
    pub(super) undoing: bool,
    operation: Operation,
    task: TaskToken,
    intent: Option<Value>,
    handle: Option<String>,
    attempt: u32,
    elapsed: Duration,
    backup: Option<Backup>,
    safety: Option<Backup>,
    bounds: Option<BackupBounds>,
    drill: Option<DrillSpec>,
    earlier: Vec<StepRecord>,
}

impl Call {
    fn of(call: &StepCall<'_>) -> Self {
        Self {
            server: call.server.clone(),
            step: call.step.to_owned(),
            undoing: call.undoing,
            operation: call.operation,
            task: call.task.clone(),
            intent: call.intent.cloned(),
            handle: call.handle.map(str::to_owned),
            attempt: call.attempt,
            elapsed: call.elapsed,
            backup: call.backup.cloned(),
            safety: call.safety.cloned(),
            bounds: call.bounds,
            drill: call.drill.cloned(),
            earlier: call.earlier.to_vec(),
        }
    }

    /// Whether its step was acted on by then.
    pub(super) fn has_acted(&self) -> bool {
        self.attempt > 0
    }

    /// The same call again.
    pub(super) fn again(&self) -> StepCall<'_> {
        StepCall {
            epoch: 1,
            consent: false,
            operation: self.operation,
            step: &self.step,
            server: &self.server,
            task: &self.task,
            undoing: self.undoing,
            intent: self.intent.as_ref(),
            handle: self.handle.as_deref(),
            attempt: self.attempt,
            elapsed: self.elapsed,
            report: None,
            backup: self.backup.as_ref(),
            safety: self.safety.as_ref(),
            bounds: self.bounds,
            drill: self.drill.as_ref(),
            earlier: &self.earlier,
        }
    }
}

/// A moment that somebody outside has a hand in; the task goes on when `done` is told or dropped.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) server: String,
    pub(super) cue: Cue,
    pub(super) done: oneshot::Sender<()>,
}

/// The stage, before one engine.
pub(super) struct Stage {
    engine: Arc<dyn Provisioner>,
    /// The engine of another process on the same cluster.
    other: OnceLock<Arc<dyn Provisioner>>,
    book: Mutex<Book>,
    asked: mpsc::UnboundedSender<Asked>,
}

#[derive(Default)]
struct Book {
    /// By server and place.
    cues: HashMap<(String, String), Cue>,
    /// By server, direction and step; with the place's name.
    twists: HashMap<(String, bool, String), (Twist, String)>,
    /// Places where something was done.
    met: BTreeSet<String>,
    /// Places that any task passed.
    passed: BTreeSet<String>,
    /// What was asked of the engine while something was removed.
    removals: Vec<Call>,
}

impl Stage {
    pub(super) fn before(
        engine: Arc<dyn Provisioner>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Asked>) {
        let (asked, outside) = mpsc::unbounded_channel();
        let stage = Self {
            engine,
            other: OnceLock::new(),
            book: Mutex::default(),
            asked,
        };
        (Arc::new(stage), outside)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_other(&self, other: Arc<dyn Provisioner>) {
        self.other.set(other).ok();
    }

    pub(super) fn other(&self) -> &dyn Provisioner {
        &**self.other.get().unwrap_or(&self.engine)
    }

    pub(super) fn cue(&self, server: &str, place: String, cue: Cue) {
        self.book().cues.insert((server.to_owned(), place), cue);
    }

    pub(super) fn twist(&self, server: &str, undo: bool, step: &str, twist: (Twist, String)) {
        let key = (server.to_owned(), undo, step.to_owned());
        self.book().twists.insert(key, twist);
    }

    pub(super) fn met(&self) -> BTreeSet<String> {
        self.book().met.clone()
    }

    pub(super) fn passed(&self) -> BTreeSet<String> {
        self.book().passed.clone()
    }

    pub(super) fn removals(&self) -> Vec<Call> {
        self.book().removals.clone()
    }

    /// What is to happen to an act, or to a look, of this step.
    fn take_twist(&self, call: &StepCall<'_>, of_look: bool) -> Option<Twist> {
        let key = (
            call.server.name.to_string(),
            call.undoing,
            call.step.to_owned(),
        );
        let mut book = self.book();
        let known = book.twists.get(&key)?;
        if (known.0 == Twist::LookRefused) != of_look {
            return None;
        }
        let (twist, place) = book.twists.remove(&key)?;
        book.met.insert(place);
        Some(twist)
    }

    fn note(&self, call: &StepCall<'_>) {
        if call.operation == Operation::Destroy {
            self.book().removals.push(Call::of(call));
        }
    }
}

fn no() -> ProvisionError {
    ProvisionError::new(Fate::Refused, FailureCode::ProxmoxRefused, "not today")
}

#[async_trait]
impl PointHook for Stage {
    async fn at(&self, point: &Point<'_>) -> Verdict {
        let undo = if point.undo { "undo:" } else { "" };
        let (kind, step) = (point.task_kind, point.step);
        let place = format!("{kind}/{undo}{step}/{}", point.kind.as_str());
        let cue = {
            let mut book = self.book();
            book.passed.insert(place.clone());
            let cue = book.cues.remove(&(point.server.to_owned(), place.clone()));
            if cue.is_some() {
                book.met.insert(place);
            }
            cue
        };
        match cue {
            None => {}
            Some(Cue::Die) => return Verdict::Die,
            Some(cue) => {
                let (done, outside) = oneshot::channel();
                let server = point.server.to_owned();
                self.asked.send(Asked { server, cue, done }).ok();
                outside.await.ok();
            }
        }
        Verdict::Continue
    }
}

#[async_trait]
impl Provisioner for Stage {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn steps(&self, operation: Operation) -> &[StepSpec] {
        self.engine.steps(operation)
    }

    fn slots<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Vec<Slot> {
        self.engine.slots(call, intent)
    }

    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        self.note(call);
        match self.take_twist(call, true) {
            Some(_) => Err(no()),
            None => self.engine.observe(call).await,
        }
    }

    async fn act<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Result<Acted, ProvisionError> {
        self.note(call);
        let (one, two) = (&self.engine, self.other());
        match self.take_twist(call, false) {
            None | Some(Twist::LookRefused) => one.act(call, intent).await,
            Some(Twist::Refused) => Err(no()),
            Some(Twist::DoneAndRefused) => {
                one.act(call, intent).await?;
                Err(no())
            }
            Some(Twist::TwiceFirst) => {
                let first = one.act(call, intent).await;
                two.act(call, intent).await.ok();
                first
            }
            Some(Twist::TwiceSecond) => {
                one.act(call, intent).await.ok();
                two.act(call, intent).await
            }
            Some(Twist::TwiceAtOnce) => {
                tokio::join!(one.act(call, intent), two.act(call, intent)).0
            }
        }
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        self.engine.look(server).await
    }

    async fn archives(&self) -> Result<Option<ArchiveSurvey>, ProvisionError> {
        self.engine.archives().await
    }

    async fn survey(&self) -> Result<Option<Survey>, ProvisionError> {
        self.engine.survey().await
    }

    async fn inspect(&self, guest: &GuestEntry) -> Result<Option<Inspection>, ProvisionError> {
        self.engine.inspect(guest).await
    }
}
