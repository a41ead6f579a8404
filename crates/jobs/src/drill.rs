//! Drills: how one came out is written in the transaction from which on its guest is destroyed, with what was seen of
//! it; so a drill that has passed stays one, whatever becomes of the removal.

use crate::run::{Run, Stop, Tx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tpm_domain::{Drill, DrillState, EventKind, Failure, StepRecord, TaskState, Verified};

/// A step of a drill, for its evidence.
fn told(step: &StepRecord) -> Value {
    let evidence = step.evidence.as_deref();
    let evidence: Option<Value> = evidence.and_then(|text| serde_json::from_str(text).ok());
    json!({
        "step": step.name,
        "state": step.state,
        "attempts": step.attempt,
        "started_at_ms": step.started_at.map(|at| at.0),
        "finished_at_ms": step.finished_at.map(|at| at.0),
        "seen": evidence,
    })
}

impl Run<'_> {
    /// Everything that was seen, as the text whose digest is kept with it.
    fn evidence(&self, drill: &Drill) -> String {
        let steps = self.claim.steps.iter().filter(|step| !step.undo);
        json!({
            "backup": drill.backup_token,
            "volume": self.backups.subject.as_ref().and_then(|backup| backup.volume.clone()),
            "size_bytes": self.backups.subject.as_ref().and_then(|backup| backup.size_bytes),
            "task": self.claim.task.token,
            "goal": drill.spec.goal,
            "vmid": self.server.vmid,
            "node": self.server.node,
            "ip_address": self.server.ip_address,
            "steps": steps.map(told).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// How the drill came out, once: passed when every step is done, failed for a reason, cancelled otherwise.
    pub(crate) async fn decide_drill(
        &self,
        tx: &Tx,
        failure: Option<&Failure>,
    ) -> Result<(), Stop> {
        let Some(drill) = &self.backups.drill else {
            return Ok(());
        };
        let state = match failure {
            Some(_) => DrillState::Failed,
            None if self.first_open().is_none() => DrillState::Passed,
            None => DrillState::Cancelled,
        };
        let evidence = self.evidence(drill);
        let decided = Drill {
            state,
            failure: failure.cloned(),
            digest: Some(hex::encode(Sha256::digest(evidence.as_bytes()))),
            evidence: Some(evidence),
            ..drill.clone()
        };
        if !tx.decide_drill(&decided).await? {
            return Ok(());
        }
        if state == DrillState::Passed
            && let Some(mut backup) = tx.backup(drill.backup).await?
        {
            backup.verified = Some(Verified {
                at: self.now(),
                how: "drill".into(),
            });
            tx.save_backup(&backup).await?;
        }
        let backup = drill.backup_token.0.clone();
        let kind = match (state, failure) {
            (DrillState::Passed, _) => EventKind::Drilled { backup },
            (_, Some(failure)) => EventKind::DrillFailed {
                backup,
                failure: failure.clone(),
            },
            _ => return Ok(()),
        };
        let mut event = self.event(kind);
        event.server = Some(drill.server);
        event.server_name.clone_from(&drill.server_name);
        tx.add_event(&event).await?;
        Ok(())
    }

    /// Nothing is left of the guest.
    pub(crate) async fn finish_drill(&mut self) -> Result<(), Stop> {
        let id = self.backups.drill.as_ref().map(|drill| drill.id);
        let tx = self.fenced().await?;
        tx.release(self.server.id).await?;
        tx.delete_server(self.server.id).await?;
        let mut state = DrillState::Cancelled;
        if let Some(id) = id {
            tx.clear_drill(id).await?;
            state = tx.drill(id).await?.map_or(state, |drill| drill.state);
        }
        let failure = self.claim.task.failure.clone();
        let ended = match state {
            DrillState::Passed => TaskState::Completed,
            DrillState::Failed => TaskState::Failed,
            DrillState::Running | DrillState::Cancelled => TaskState::Cancelled,
        };
        if ended == TaskState::Cancelled {
            tx.add_event(&self.event(EventKind::Cancelled)).await?;
        }
        self.end(&tx, ended, failure.as_ref()).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }
}
