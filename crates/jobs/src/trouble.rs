//! What becomes of a step that did not work out: again later, given up, another number, undone.
//!
//! Decides by the error's [`Fate`] and the step's deadline alone; what an error means is the engine's
//! business.

use crate::measure;
use crate::run::{Run, Stop};
use crate::slots;
use std::time::Duration;
use tpm_domain::{EventKind, Failure, FailureCode, StepRecord, StepState, TaskNote};
use tpm_provisioner::{Fate, OnFailure, ProvisionError, Slot, StepSpec, WhenLate};

/// Refused credentials cost the cluster three seconds each time they are tried.
const AUTH_PAUSE: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Sorts an error by its fate. `acted` tells a look's error from an act's.
    pub(crate) async fn trouble(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        error: ProvisionError,
        acted: bool,
    ) -> Result<(), Stop> {
        let mut failure = error.failure.clone();
        failure.step = Some(spec.name.to_owned());
        tracing::warn!(
            task = %self.claim.task.token,
            server = %self.server.id,
            vmid = %self.server.vmid,
            step = spec.name,
            fate = ?error.fate,
            error = &error as &dyn std::error::Error,
            "step did not work out"
        );
        if error.settled {
            record.handle = None;
        }
        if acted && matches!(error.fate, Fate::NotSent | Fate::Busy | Fate::Auth) {
            // Nothing happened, so it is not counted.
            record.attempt = record.attempt.saturating_sub(1);
            record.state = StepState::Pending;
        }
        match error.fate {
            Fate::Refused => self.fail(spec, record, failure).await,
            Fate::VmidTaken => self.other_vmid(spec, record, failure).await,
            Fate::NodeLost => self.other_node(spec, record, failure, &error).await,
            _ if self.elapsed(&record) > spec.deadline => {
                self.late(spec, record, Some(failure)).await
            }
            Fate::NotSent | Fate::Busy | Fate::Auth => {
                // Nothing of it is under way, so its place is given up meanwhile. A look that failed says
                // nothing about what is under way.
                if acted || error.settled {
                    let places = self.places(&record);
                    let tx = self.fenced().await?;
                    tx.free_slots(self.claim.task.id, record.seq).await?;
                    if error.fate == Fate::Busy {
                        slots::busy(&tx, &places).await?;
                    }
                    tx.commit().await?;
                }
                let after = self.pause(&record, &error);
                self.wait(record, TaskNote::Retrying { failure }, 0, after)
                    .await
            }
            Fate::Ask => {
                let after = self.pause(&record, &error);
                self.wait(record, TaskNote::Retrying { failure }, 0, after)
                    .await
            }
        }
    }

    fn places(&self, record: &StepRecord) -> Vec<Slot> {
        let intent = record.intent.as_deref();
        match intent.and_then(|text| serde_json::from_str(text).ok()) {
            Some(intent) => self.engine.slots(&self.call(record, None), &intent),
            None => Vec::new(),
        }
    }

    /// A quarter of the time that has passed, so that it grows; jittered, and not less than asked for.
    fn pause(&self, record: &StepRecord, error: &ProvisionError) -> Duration {
        let policy = &self.worker.settings().retry;
        let grown = (self.elapsed(record) / 4).clamp(policy.first, policy.cap);
        let least = match error.fate {
            Fate::Auth => AUTH_PAUSE,
            _ => error.retry_after.unwrap_or_default(),
        };
        grown.mul_f64(0.5 + 0.5 * self.worker.random()).max(least)
    }

    pub(crate) async fn late(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        last: Option<Failure>,
    ) -> Result<(), Stop> {
        if spec.when_late == WhenLate::Warn {
            record.state = StepState::Skipped;
            return self.close_step(spec, record, None).await;
        }
        let failure = last
            .or_else(|| self.last_trouble(spec))
            .unwrap_or_else(|| Failure {
                code: FailureCode::DeadlineExceeded,
                step: Some(spec.name.to_owned()),
                detail: Some(format!(
                    "{} attempts in {:?}",
                    record.attempt,
                    self.elapsed(&record)
                )),
            });
        self.fail(spec, record, failure).await
    }

    /// What the outside said when the step was put off last.
    fn last_trouble(&self, spec: &StepSpec) -> Option<Failure> {
        match &self.claim.task.note {
            TaskNote::Retrying { failure } if failure.step.as_deref() == Some(spec.name) => {
                Some(failure.clone())
            }
            _ => None,
        }
    }

    /// The VMID is a stranger's: take another one and begin the step anew.
    async fn other_vmid(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        failure: Failure,
    ) -> Result<(), Stop> {
        if self.claim.undoing || !self.operation.makes() {
            return self.fail(spec, record, failure).await;
        }
        let burnt = self.server.vmid;
        record.state = StepState::Pending;
        record.intent = None;
        record.handle = None;
        let tx = self.fenced().await?;
        let fresh = tx
            .replace_vmid(self.server.id, self.worker.settings().vmids)
            .await?;
        let Some(fresh) = fresh else {
            drop(tx);
            let failure = Failure {
                code: FailureCode::VmidsExhausted,
                step: Some(spec.name.to_owned()),
                detail: failure.detail,
            };
            return self.fail(spec, record, failure).await;
        };
        tx.save_step(self.claim.task.id, &record).await?;
        tx.commit().await?;
        tracing::warn!(server = %self.server.id, %burnt, %fresh, "vmid belongs to a stranger");
        self.server.vmid = fresh;
        self.keep(record);
        Ok(())
    }

    /// The node is not there: the server goes to another one, under another number when a clone to the lost
    /// one may have begun. Without another node it is waited for.
    async fn other_node(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        failure: Failure,
        error: &ProvisionError,
    ) -> Result<(), Stop> {
        let policy = self.worker.settings().placement.get(&self.server.engine);
        let (Some(policy), Some(old)) = (policy, self.server.placement.clone()) else {
            return self.fail(spec, record, failure).await;
        };
        if self.claim.undoing || !self.operation.makes() {
            return self.fail(spec, record, failure).await;
        }
        if self.elapsed(&record) > spec.deadline {
            return self.late(spec, record, Some(failure)).await;
        }
        let wait = self.pause(&record, error);
        let note = TaskNote::Retrying {
            failure: failure.clone(),
        };
        let mut wish = old.wish.clone();
        wish.exclude.insert(old.node.clone());
        let tx = self.fenced().await?;
        tx.lock_reservations().await?;
        let picture = tx.picture().await?;
        let mut promised = tx.promised(&picture).await?;
        let Ok(mut placement) = policy.place(&picture, &mut promised, &self.server.spec, &wish)
        else {
            drop(tx);
            return self.wait(record, note, 0, wait).await;
        };
        placement.wish = old.wish;
        placement.reason.instead_of = Some(old.node.clone());
        let mut server = self.server.clone();
        if record.intent.is_some() {
            let range = self.worker.settings().vmids;
            let Some(fresh) = tx.replace_vmid(server.id, range).await? else {
                drop(tx);
                let failure = Failure {
                    code: FailureCode::VmidsExhausted,
                    ..failure
                };
                return self.fail(spec, record, failure).await;
            };
            server.vmid = fresh;
        }
        let moved = EventKind::PlacedAgain {
            from: old.node,
            to: placement.node.clone(),
        };
        tracing::warn!(server = %server.id, ?moved, "the node was lost");
        server.placement = Some(placement);
        server.node = None;
        record.state = StepState::Pending;
        record.intent = None;
        record.handle = None;
        tx.free_slots(self.claim.task.id, record.seq).await?;
        tx.save_step(self.claim.task.id, &record).await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(moved)).await?;
        tx.commit().await?;
        self.server = server;
        self.keep(record);
        Ok(())
    }

    /// The step is given up, and with it the task: undone when it is a create, ended otherwise.
    async fn fail(
        &mut self,
        spec: &StepSpec,
        mut record: StepRecord,
        failure: Failure,
    ) -> Result<(), Stop> {
        record.state = StepState::Failed;
        record.finished_at = Some(self.now());
        let tx = self.fenced().await?;
        tx.save_step(self.claim.task.id, &record).await?;
        tx.free_slots(self.claim.task.id, record.seq).await?;
        tx.commit().await?;
        let took = self.elapsed(&record);
        measure::step_over(self.engine.name(), spec.name, "failed", took);
        self.keep(record);
        if self.operation.makes() && !self.claim.undoing && spec.on_failure == OnFailure::Undo {
            return self.turn_round(Some(failure)).await;
        }
        self.end_failed(failure).await
    }
}
