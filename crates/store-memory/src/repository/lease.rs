//! What a worker writes about the task it holds.

use crate::rows::{Tables, TaskRow, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::job::Width;
use tpm_domain::{
    Failure, ServerId, StepRecord, Task, TaskId, TaskNote, TaskState, Timestamp, parent_state,
};
use tpm_store::{Lease, LeaseWrites, Result, SlotAnswer, SlotNeed};

impl Tables {
    /// Places of a slot in use by a bulk.
    fn places_of(&self, slot: &str, bulk: TaskId) -> usize {
        self.slots
            .iter()
            .filter(|((_, _, name), ())| name == slot)
            .filter(|((task, _, _), ())| self.tasks.get(task).is_some_and(|row| row.bulk() == bulk))
            .count()
    }

    /// Of those who wait, one whose bulk has the fewest places; then the oldest.
    fn wake_one(&mut self, slot: &str, now: Timestamp) -> bool {
        let next = self
            .tasks
            .values()
            .filter(|row| row.waits_for(slot, now))
            .min_by_key(|row| (self.places_of(slot, row.bulk()), row.task.id))
            .map(|row| row.task.id);
        let row = next.and_then(|id| self.tasks.get_mut(&id));
        let found = row.is_some();
        if let Some(row) = row {
            // Which place it was woken for stays written until it asks for it.
            row.next_run = Some(now);
        }
        found
    }

    /// The place that a task was parked for and has not asked for since; from here on it does not count on it.
    fn unasked(&mut self, task: TaskId) -> Option<String> {
        self.tasks.get(&task)?.waiting_slot.as_ref()?;
        self.tasks.get_mut(&task)?.waiting_slot.take()
    }

    /// Whoever was woken for a place and goes another way leaves it to the next one.
    fn hand_on(&mut self, task: TaskId, now: Timestamp) {
        if let Some(slot) = self.unasked(task) {
            self.wake_one(&slot, now);
        }
    }

    fn free_slots(&mut self, task: TaskId, seq: u32, now: Timestamp) -> Vec<String> {
        let names: Vec<String> = self
            .slots
            .iter()
            .filter(|((of, step, _), ())| *of == task && *step == seq)
            .map(|((_, _, name), ())| name.clone())
            .collect();
        self.hand_on(task, now);
        for name in &names {
            self.slots.remove(&(task, seq, name.clone()));
        }
        for name in &names {
            self.wake_one(name, now);
        }
        names
    }

    fn refresh_bulk(&mut self, bulk: TaskId, now: Timestamp) {
        let children = self.children_of(bulk);
        let Some(row) = self.tasks.get_mut(&bulk) else {
            return;
        };
        let state = parent_state(&children);
        let progress = if state.is_final() {
            100
        } else {
            (children.progress_sum / children.total.max(1)).min(99)
        };
        row.task.updated_at = now;
        row.task.state = state;
        row.task.note = match (state.is_final(), children.undoing) {
            (true, _) => TaskNote::Ended,
            (false, 0) => TaskNote::Queued,
            (false, _) => TaskNote::Undoing,
        };
        let progress = u8::try_from(progress).unwrap_or(100);
        row.task.progress = row.task.progress.max(progress);
    }

    fn refresh_parent(&mut self, child: TaskId, now: Timestamp) {
        if let Some(bulk) = self.tasks.get(&child).and_then(|row| row.task.parent) {
            self.refresh_bulk(bulk, now);
        }
    }
}

impl Session<Transaction> {
    fn hand_on(&self, task: TaskId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            tables.hand_on(task, now);
            Ok(())
        })
    }
}

fn is_held(row: &TaskRow, lease: &Lease) -> bool {
    row.owner.as_ref() == Some(&lease.owner) && row.epoch == lease.epoch
}

fn take(
    tables: &mut Tables,
    task: TaskId,
    seq: u32,
    needs: &[SlotNeed],
    now: Timestamp,
) -> SlotAnswer {
    let unasked = tables.unasked(task);
    if let Some(slot) = unasked
        && needs.iter().all(|need| need.name != slot)
    {
        tables.wake_one(&slot, now);
    }
    let mut needs: Vec<&SlotNeed> = needs.iter().collect();
    needs.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut missing, mut full) = (Vec::new(), None);
    for need in needs {
        let key = (task, seq, need.name.clone());
        if tables.slots.contains(&key) {
            continue;
        }
        let name = &need.name;
        let used = tables
            .slots
            .iter()
            .filter(|((_, _, slot), ())| slot == name);
        if used.count() < usize::try_from(need.limit).unwrap_or(usize::MAX) {
            missing.push(key);
        } else if full.is_none() {
            full = Some(need.name.clone());
        }
    }
    if let Some(full) = full {
        for (_, _, slot) in missing {
            tables.wake_one(&slot, now);
        }
        return SlotAnswer::Full(full);
    }
    for key in missing {
        tables.slots.set(key, ());
    }
    SlotAnswer::Taken
}

#[async_trait]
impl LeaseWrites for Session<Transaction> {
    async fn fence(&self, lease: &Lease) -> Result<bool> {
        self.0.fenced(lease);
        let now = self.0.now();
        self.0.change(|tables| {
            let held = tables
                .tasks
                .get(&lease.task)
                .is_some_and(|row| is_held(row, lease));
            if held && let Some(row) = tables.tasks.get_mut(&lease.task) {
                row.task.updated_at = now;
            }
            Ok(held)
        })
    }

    async fn cancel_requested(&self, task: TaskId) -> Result<bool> {
        let tables = self.0.look().await?;
        let row = tables.tasks.get(&task);
        row.map(|row| row.task.cancel_requested)
            .ok_or_else(|| broken("task is gone"))
    }

    async fn save_step(&self, task: TaskId, step: &StepRecord) -> Result<()> {
        self.0.in_lease(task);
        self.0.change(|tables| {
            if !tables.tasks.contains(&task) {
                return Err(constraint(format!("step of no task {task}")));
            }
            let mut step = step.clone();
            if let Some(known) = tables.steps.get(&(task, step.seq)) {
                // What a step is never changes.
                step.undo = known.undo;
                step.name = known.name.clone();
            }
            tables.steps.set((task, step.seq), step);
            Ok(())
        })
    }

    async fn take_slots(&self, task: TaskId, seq: u32, needs: &[SlotNeed]) -> Result<SlotAnswer> {
        self.0.in_lease(task);
        let now = self.0.now();
        self.0
            .change(|tables| Ok(take(tables, task, seq, needs, now)))
    }

    async fn free_slots(&self, task: TaskId, seq: u32) -> Result<Vec<String>> {
        self.0.in_lease(task);
        let now = self.0.now();
        self.0
            .change(|tables| Ok(tables.free_slots(task, seq, now)))
    }

    async fn wake_waiting(&self, slot: &str, count: u32) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            for _ in 0..count {
                if !tables.wake_one(slot, now) {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn width(&self, slot: &str) -> Result<(Option<Width>, bool)> {
        let tables = self.0.look().await?;
        let now = self.0.now();
        let waits = |row: &TaskRow| row.waits_for(slot, now);
        let known = tables.widths.get(&slot.to_owned()).cloned();
        Ok((known, tables.tasks.values().any(waits)))
    }

    async fn save_width(&self, slot: &str, width: &Width) -> Result<()> {
        self.0.change(|tables| {
            tables.widths.set(slot.to_owned(), width.clone());
            Ok(())
        })
    }

    async fn set_task_server(&self, task: TaskId, server: ServerId, name: &str) -> Result<()> {
        self.0.change_task(task, |row| {
            row.task.server = Some(server);
            row.task.server_name = Some(name.to_owned());
        })
    }

    async fn save_progress(&self, task: TaskId, note: &TaskNote, progress: u8) -> Result<()> {
        let now = self.0.now();
        self.0.change_task(task, |row| {
            row.task.note = note.clone();
            row.task.state = TaskState::Running;
            row.task.updated_at = now;
            row.task.progress = row.task.progress.max(progress.min(100));
        })?;
        self.0.change(|tables| {
            tables.refresh_parent(task, now);
            Ok(())
        })
    }

    async fn to_take_back(&self, bulk: TaskId) -> Result<Vec<Task>> {
        let tables = self.0.look().await?;
        Ok(tables.to_take_back(bulk).cloned().collect())
    }

    async fn begin_undo(&self, task: TaskId, failure: Option<&Failure>) -> Result<()> {
        self.hand_on(task)?;
        self.0.change_task(task, |row| {
            row.undoing = true;
            row.task.failure = failure.cloned();
            row.task.note = TaskNote::Undoing;
        })
    }

    async fn park(
        &self,
        task: TaskId,
        after: Duration,
        waiting_for_slot: Option<&str>,
    ) -> Result<()> {
        let due = self.0.now().plus(after);
        self.hand_on(task)?;
        self.0.change_task(task, |row| {
            row.owner = None;
            row.lease_until = None;
            row.next_run = Some(due);
            row.waiting_slot = waiting_for_slot.map(str::to_owned);
        })
    }

    async fn refresh_bulk(&self, bulk: TaskId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            tables.refresh_bulk(bulk, now);
            tables.check_task(bulk)
        })
    }

    async fn end_task(
        &self,
        task: TaskId,
        state: TaskState,
        failure: Option<&Failure>,
    ) -> Result<()> {
        let now = self.0.now();
        self.hand_on(task)?;
        self.0.change_task(task, |row| {
            row.task.state = state;
            row.task.failure = failure.cloned();
            row.task.note = TaskNote::Ended;
            row.task.updated_at = now;
            row.task.progress = 100;
            row.owner = None;
            row.lease_until = None;
            row.next_run = None;
            row.waiting_slot = None;
        })?;
        self.0.change(|tables| {
            // Whatever places the task still had.
            let mut seqs: Vec<u32> = tables
                .slots
                .iter()
                .filter(|((of, _, _), ())| *of == task)
                .map(|((_, seq, _), ())| *seq)
                .collect();
            seqs.dedup();
            for seq in seqs {
                tables.free_slots(task, seq, now);
            }
            tables.refresh_parent(task, now);
            Ok(())
        })
    }
}
