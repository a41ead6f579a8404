//! The database's surroundings: its troubles, and an eye on everything that is committed.

use crate::profile::StoreTrouble;
use crate::random::Dice;
use crate::scene::Scene;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tpm_domain::{EventKind, StepRecord, StepState, TaskId, TaskToken, Timestamp, Vmid};
use tpm_provisioner::StepCall;
use tpm_store_memory::{
    Commit, Fence, Moment, Outcome, Refusal, StepChange, Surroundings, TaskBrief, TaskChange,
    Verdict,
};

#[derive(Debug)]
struct Seen {
    calm: bool,
    down_until: Timestamp,
    /// Until when something may have kept every worker from claiming.
    hindered_until: Timestamp,
    /// Events that end a task, by task.
    ends: BTreeMap<TaskToken, u32>,
    /// How tasks stand.
    tasks: BTreeMap<TaskId, (TaskToken, TaskBrief)>,
    /// Most acts of a step that were ever written down before one.
    acts: BTreeMap<(TaskToken, bool, String), u32>,
    /// Numbers that people were told belong to somebody else.
    foreign: BTreeSet<Vmid>,
    takeovers: u64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tasks taken over from an owner whose lease was over.
    pub(crate) takeovers: u64,
}

/// The surroundings.
#[derive(Debug)]
pub(crate) struct Watch {
    scene: Arc<Scene>,
    dice: Dice,
    trouble: StoreTrouble,
    /// How long a task that can be claimed may be left alone when nothing hinders the workers.
    patience: Duration,
    concurrency: usize,
    seen: Mutex<Seen>,
}

/// Whether an event is the last word on its task.
fn ends_a_task(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Created
            | EventKind::CreatedWithoutAgent
            | EventKind::CreateFailed { .. }
            | EventKind::CreateCancelled
            | EventKind::Deleted
            | EventKind::DeleteFailed { .. }
            | EventKind::PowerChanged { .. }
            | EventKind::PowerFailed { .. }
            | EventKind::Changed { .. }
            | EventKind::ChangeFailed { .. }
            | EventKind::Cancelled
            | EventKind::OrphanRemoved { .. }
            | EventKind::OrphanLeft { .. }
            | EventKind::NeedsOperator { .. }
    )
}

impl Watch {
    pub(crate) fn new(
        scene: Arc<Scene>,
        dice: Dice,
        trouble: StoreTrouble,
        scan: Duration,
        concurrency: usize,
    ) -> Self {
        let now = scene.now();
        Self {
            scene,
            dice,
            trouble,
            patience: scan + Duration::from_millis(1500),
            concurrency,
            seen: Mutex::new(Seen {
                calm: true,
                down_until: now,
                hindered_until: now,
                ends: BTreeMap::new(),
                tasks: BTreeMap::new(),
                acts: BTreeMap::new(),
                foreign: BTreeSet::new(),
                takeovers: 0,
            }),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it never fails, or does so by chance.
    pub(crate) fn set_calm(&self, calm: bool) {
        let mut seen = self.seen();
        seen.calm = calm;
        seen.down_until = self.scene.now();
    }

    /// Answers nobody until then.
    pub(crate) fn go_down(&self, until: Timestamp) {
        self.seen().down_until = until;
        self.hinder(until);
    }

    /// Something keeps workers from claiming until then.
    pub(crate) fn hinder(&self, until: Timestamp) {
        let mut seen = self.seen();
        seen.hindered_until = seen.hindered_until.max(until);
    }

    /// How often an event said the last word on a task.
    pub(crate) fn ends_of(&self, task: &TaskToken) -> u32 {
        self.seen().ends.get(task).copied().unwrap_or(0)
    }

    /// Whether people were told that a guest in our range is not ours.
    pub(crate) fn is_foreign(&self, vmid: Vmid) -> bool {
        self.seen().foreign.contains(&vmid)
    }

    pub(crate) fn counts(&self) -> Counts {
        let seen = self.seen();
        Counts {
            takeovers: seen.takeovers,
        }
    }

    fn check_change(&self, seen: &mut Seen, commit: &Commit, change: &TaskChange) {
        let TaskChange {
            task,
            before: Some(before),
            after,
            ..
        } = change
        else {
            return;
        };
        if after.progress < before.progress {
            let (from, to) = (before.progress, after.progress);
            self.scene
                .wrong(format_args!("progress of {task} went back: {from} to {to}"));
        }
        if before.state.is_final() && after.state != before.state {
            let (from, to) = (before.state, after.state);
            self.scene
                .wrong(format_args!("task {task} was {from:?} and is {to:?}"));
        }
        if before.undoing && !after.undoing {
            self.scene.wrong(format_args!("task {task} turned back"));
        }
        if before.cancel_requested && !after.cancel_requested {
            self.scene
                .wrong(format_args!("task {task} forgot its cancel"));
        }
        if after.epoch < before.epoch {
            self.scene.wrong(format_args!("epoch of {task} went back"));
        }
        if after.epoch > before.epoch {
            self.check_claim(seen, commit, change);
        }
    }

    /// A claim: nobody else may have held the task, and it must not have waited without a reason.
    fn check_claim(&self, seen: &mut Seen, commit: &Commit, change: &TaskChange) {
        let Some(before) = &change.before else { return };
        let task = change.task;
        let mut since = before.next_run.unwrap_or(commit.at);
        if let (Some(owner), Some(until)) = (&before.owner, before.lease_until) {
            seen.takeovers += 1;
            if until >= commit.at {
                self.scene
                    .wrong(format_args!("task {task} was taken from {owner} too early"));
            }
            since = since.max(Timestamp(until.0 + 1));
        }
        let waited = commit.at.since(since);
        let held = |(_, brief): &&(TaskToken, TaskBrief)| brief.owner.is_some();
        let held = seen.tasks.values().filter(held).count();
        if since > seen.hindered_until && held < self.concurrency && waited > self.patience {
            self.scene
                .wrong(format_args!("task {task} waited {waited:?} for a worker"));
        }
    }

    /// A step: its intent may only be written while the task is to go on.
    fn check_step(&self, seen: &mut Seen, change: &StepChange) {
        let StepChange {
            task,
            before,
            after,
        } = change;
        let Some((token, brief)) = seen.tasks.get(task) else {
            return;
        };
        let begun = before.as_ref().map_or(0, |step| step.attempt) < after.attempt;
        if begun && !after.undo && brief.cancel_requested {
            let step = &after.name;
            self.scene.wrong(format_args!(
                "task {task} was cancelled and goes on with {step}"
            ));
        }
        let ended = |step: &StepRecord| matches!(step.state, StepState::Done | StepState::Skipped);
        if before.as_ref().is_some_and(ended) && !ended(after) {
            let step = &after.name;
            self.scene
                .wrong(format_args!("step {step} of {task} was done and is not"));
        }
        let key = (token.clone(), after.undo, after.name.clone());
        let most = seen.acts.entry(key).or_default();
        *most = (*most).max(after.attempt);
    }

    /// Something is about to be done outside: it must have been written down before.
    pub(crate) fn check_act(&self, call: &StepCall<'_>) {
        let key = (call.task.clone(), call.undoing, call.step.to_owned());
        let written = self.seen().acts.get(&key).copied().unwrap_or(0);
        if written < call.attempt || call.attempt == 0 {
            let (task, step) = (call.task, call.step);
            self.scene.wrong(format_args!(
                "{step} of {task} is done and not written down"
            ));
        }
    }

    fn tell(&self, commit: &Commit) {
        let mut text = String::new();
        for fence in &commit.fences {
            text.push_str(&format!(
                "[{} {} e{}{}] ",
                fence.lease.owner,
                fence.lease.task,
                fence.lease.epoch,
                if fence.held { "" } else { " LOST" }
            ));
        }
        for TaskChange {
            task,
            before,
            after,
            ..
        } in &commit.tasks
        {
            if before.as_ref() == Some(after) {
                continue;
            }
            text.push_str(&format!(
                "{task}:{:?} {}%{}{} {}e{}{}{}; ",
                after.state,
                after.progress,
                if after.undoing { " undoing" } else { "" },
                if after.cancel_requested {
                    " cancel"
                } else {
                    ""
                },
                after.owner.as_deref().unwrap_or("-"),
                after.epoch,
                after
                    .next_run
                    .map(|at| format!(" due {}", self.scene.age(at)))
                    .unwrap_or_default(),
                after
                    .waiting_slot
                    .as_ref()
                    .map(|slot| format!(" wants {slot}"))
                    .unwrap_or_default(),
            ));
        }
        for event in &commit.events {
            text.push_str(&format!("{:?} ", event.kind));
        }
        self.scene.tell("db", text);
    }
}

impl Surroundings for Watch {
    fn at(&self, moment: Moment) -> Verdict {
        let mut seen = self.seen();
        if seen.calm {
            return Verdict::default();
        }
        let now = self.scene.now();
        let millis = Duration::from_millis;
        let mut verdict = Verdict::default();
        if now < seen.down_until {
            verdict.before = millis(self.dice.between(1, 300));
            verdict.outcome = Outcome::Refused(Refusal::Unavailable);
            return verdict;
        }
        if self.dice.chance(self.trouble.slow) {
            let most = if self.dice.chance(300) { 1500 } else { 40 };
            verdict.before = millis(self.dice.below(most));
            verdict.after = millis(self.dice.below(most));
        }
        if self.dice.chance(self.trouble.refused) {
            let crossed = matches!(moment, Moment::Commit) && self.dice.chance(3000);
            let why = if crossed {
                Refusal::Crossed
            } else {
                Refusal::Unavailable
            };
            verdict.outcome = Outcome::Refused(why);
        } else if self.dice.chance(self.trouble.answer_lost) {
            verdict.outcome = Outcome::AnswerLost;
        }
        if verdict != Verdict::default() {
            let until = now.plus(verdict.before + verdict.after);
            seen.hindered_until = seen.hindered_until.max(until);
        }
        if verdict.outcome != Outcome::Done {
            drop(seen);
            self.scene
                .tell("db", format_args!("{moment:?}: {:?}", verdict.outcome));
        }
        verdict
    }

    fn committed(&self, commit: &Commit) {
        self.tell(commit);
        let mut seen = self.seen();
        for task in &commit.in_lease {
            let held = |fence: &Fence| fence.lease.task == *task && fence.held;
            if !commit.fences.iter().any(held) {
                self.scene
                    .wrong(format_args!("task {task} was written without its lease"));
            }
        }
        // By how tasks stood before this commit.
        for change in &commit.steps {
            self.check_step(&mut seen, change);
        }
        for change in &commit.tasks {
            self.check_change(&mut seen, commit, change);
            let stands = (change.token.clone(), change.after.clone());
            seen.tasks.insert(change.task, stands);
        }
        for event in &commit.events {
            if let EventKind::ForeignInRange { vmid } = event.kind {
                seen.foreign.insert(vmid);
            }
            if let Some(task) = &event.task
                && ends_a_task(&event.kind)
            {
                *seen.ends.entry(task.clone()).or_default() += 1;
            }
        }
    }
}
