//! The end of a task: what it means for the server, the reservations and the people, in one transaction.

use crate::point::PointKind;
use crate::run::{Run, Stop};
use tpm_domain::{
    Event, EventKind, Failure, FailureCode, GuestView, PowerState, PowerTarget, Server,
    ServerState, StepState, TaskState,
};
use tpm_provisioner::{Operation, ProvisionError};

impl Run<'_> {
    pub(crate) fn event(&self, kind: EventKind) -> Event {
        Event {
            kind,
            server: Some(self.server.id),
            server_name: self.server.name.to_string(),
            task: Some(self.claim.task.token.clone()),
        }
    }

    fn target(&self) -> PowerTarget {
        self.claim
            .task
            .kind
            .power_target()
            .unwrap_or(PowerTarget::Running)
    }

    /// All steps are done.
    pub(crate) async fn finish(&mut self) -> Result<(), Stop> {
        self.pass(PointKind::BeforeFinish, "finish", 1).await?;
        if self.claim.undoing {
            return self.finish_undone().await;
        }
        match self.operation {
            Operation::Create => self.finish_created().await,
            Operation::Destroy if self.is_about_the_server() => self.finish_destroyed().await,
            Operation::Destroy => self.finish_orphan().await,
            Operation::Start | Operation::Stop | Operation::Restart => self.finish_power().await,
            Operation::Change => self.finish_changed().await,
            Operation::Backup | Operation::EraseBackup => self.finish_backup().await,
            Operation::Restore => self.finish_restored().await,
            Operation::RestoreNew => self.finish_restored_new().await,
            // What was made for it goes again, and with it the task.
            Operation::Drill => self.turn_round(None).await,
        }
    }

    async fn finish_created(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = ServerState::Running;
        server.problem = None;
        let skipped = self
            .claim
            .steps
            .iter()
            .any(|step| step.state == StepState::Skipped);
        let kind = if skipped {
            EventKind::CreatedWithoutAgent
        } else {
            EventKind::Created
        };
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(kind)).await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    async fn finish_destroyed(&mut self) -> Result<(), Stop> {
        let tx = self.fenced().await?;
        tx.release(self.server.id).await?;
        tx.delete_server(self.server.id).await?;
        tx.add_event(&self.event(EventKind::Deleted)).await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// A left-over guest is gone; the server it was once to be is not touched.
    async fn finish_orphan(&mut self) -> Result<(), Stop> {
        let vmid = self.server.vmid;
        let tx = self.fenced().await?;
        tx.add_event(&self.event(EventKind::OrphanRemoved { vmid }))
            .await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    async fn finish_changed(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = self.seen_state().await;
        server.problem = None;
        server.drift.clear();
        let restart = self.claim.steps.iter().any(|step| {
            let evidence = step.evidence.as_deref();
            let evidence =
                evidence.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            evidence.is_some_and(|value| value["restart"] == true)
        });
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(EventKind::Changed { restart }))
            .await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    async fn finish_power(&mut self) -> Result<(), Stop> {
        let target = self.target();
        let mut server = self.server.clone();
        server.state = match target {
            PowerTarget::Running | PowerTarget::Restarted => ServerState::Running,
            PowerTarget::Stopped => ServerState::Stopped,
        };
        server.problem = None;
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(EventKind::PowerChanged { target }))
            .await?;
        self.end(&tx, TaskState::Completed, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// Nothing is left of a create that failed or was cancelled.
    async fn finish_undone(&mut self) -> Result<(), Stop> {
        if self.operation == Operation::Drill {
            return self.finish_drill().await;
        }
        let tx = self.fenced().await?;
        tx.release(self.server.id).await?;
        match self.claim.task.failure.clone() {
            None => {
                tx.delete_server(self.server.id).await?;
                tx.add_event(&self.event(EventKind::CreateCancelled))
                    .await?;
                self.end(&tx, TaskState::Cancelled, None).await?;
            }
            Some(failure) => {
                let mut server = self.server.clone();
                server.state = ServerState::Error;
                server.problem = Some(failure.clone());
                server.identity = None;
                server.ip_address = None;
                tx.save_server(&server).await?;
                tx.add_event(&self.event(EventKind::CreateFailed {
                    failure: failure.clone(),
                }))
                .await?;
                self.end(&tx, TaskState::Failed, Some(&failure)).await?;
            }
        }
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// A task other than a create was asked to stop and has done nothing that cannot stay.
    pub(crate) async fn end_cancelled(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = self.seen_state().await;
        self.take_back_change(&mut server).await;
        let tx = self.fenced().await?;
        if self.is_about_the_server() {
            tx.save_server(&server).await?;
        }
        self.let_backups_go(&tx, None).await?;
        tx.add_event(&self.event(EventKind::Cancelled)).await?;
        self.end(&tx, TaskState::Cancelled, None).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// The task is given up.
    pub(crate) async fn end_failed(&mut self, failure: Failure) -> Result<(), Stop> {
        let mut server = self.server.clone();
        let before = server.problem.clone();
        let failure = self.with_safety(failure);
        let (seen, failure) = if self.is_about_the_server() {
            self.seen(failure).await
        } else {
            (server.state, failure)
        };
        let in_error = match seen {
            ServerState::Unknown => seen,
            _ => ServerState::Error,
        };
        let (kind, shown) = if self.claim.undoing {
            // The guest may still be there, so name, address and VMID stay held until it is deleted.
            server.state = in_error;
            let left = Failure {
                code: FailureCode::UndoFailed,
                ..failure
            };
            (
                EventKind::NeedsOperator {
                    failure: left.clone(),
                },
                left,
            )
        } else if self.claim.task.kind.is_of_backups() {
            server.state = seen;
            (self.backup_failed(failure.clone()), failure)
        } else if !self.is_about_the_server() {
            (
                EventKind::OrphanLeft {
                    vmid: server.vmid,
                    failure: failure.clone(),
                },
                failure,
            )
        } else if self.operation == Operation::Destroy {
            server.state = match failure.code {
                FailureCode::IdentityConflict => ServerState::IdentityConflict,
                _ => in_error,
            };
            (
                EventKind::DeleteFailed {
                    failure: failure.clone(),
                },
                failure,
            )
        } else {
            server.state = seen;
            let why = failure.clone();
            let kind = if self.operation == Operation::Change {
                self.take_back_change(&mut server).await;
                EventKind::ChangeFailed { failure: why }
            } else if self.operation.makes() {
                EventKind::CreateFailed { failure: why }
            } else {
                let target = self.target();
                EventKind::PowerFailed {
                    target,
                    failure: why,
                }
            };
            (kind, failure)
        };
        // A server is none the worse for a backup that was not made.
        server.problem = match self.operation {
            Operation::Backup if !self.claim.undoing => before,
            _ => Some(shown.clone()),
        };
        let tx = self.fenced().await?;
        self.let_backups_go(&tx, Some(&shown)).await?;
        if self.is_about_the_server() {
            tx.save_server(&server).await?;
        }
        tx.add_event(&self.event(kind)).await?;
        self.end(&tx, TaskState::Failed, Some(&shown)).await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// A change that was not made, or not wholly: the row says what the guest is, or what it was before when
    /// nobody can say.
    async fn take_back_change(&self, server: &mut Server) {
        if self.operation != Operation::Change {
            return;
        }
        if let Some(change) = self.change() {
            server.spec = change.before;
        }
        if let Ok(Some(GuestView {
            size: Some(size),
            conflict: None,
            ..
        })) = self.engine.look(&self.server).await
        {
            server.spec.cpu = size.cpu;
            server.spec.memory_mb = size.memory_mb;
            server.spec.disk_gb = size.disk_gb;
        }
    }

    /// What the guest is now; `unknown` when nobody can say.
    pub(crate) async fn seen_state(&self) -> ServerState {
        let view = self.engine.look(&self.server).await;
        if let Err(error) = &view {
            tracing::warn!(
                server = %self.server.id,
                error = error as &dyn std::error::Error,
                "cannot see the guest"
            );
        }
        state_of(&view)
    }

    /// What the guest is now, unless the failure says it. When nobody can say, the failure tells both views beside
    /// what it was: what the engine keeps, and what the world said when it was asked.
    async fn seen(&self, failure: Failure) -> (ServerState, Failure) {
        match failure.code {
            FailureCode::IdentityConflict => return (ServerState::IdentityConflict, failure),
            FailureCode::GuestMissing => return (ServerState::Missing, failure),
            _ => {}
        }
        let view = self.engine.look(&self.server).await;
        let state = state_of(&view);
        let Err(error) = view else {
            return (state, failure);
        };
        let kept = self.engine.kept(&self.server).await;
        let world = error.failure.detail.unwrap_or_default();
        let world = format!("VM {} cannot be seen: {world}", self.server.vmid);
        let parts = [failure.detail, kept, Some(world)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let told = Failure {
            detail: Some(parts.join("; ")),
            ..failure
        };
        (state, told)
    }
}

/// What a server is by a look at its guest.
fn state_of(view: &Result<Option<GuestView>, ProvisionError>) -> ServerState {
    match view {
        Ok(Some(view)) if view.conflict.is_some() => ServerState::IdentityConflict,
        Ok(Some(view)) => match view.power {
            PowerState::Running => ServerState::Running,
            PowerState::Stopped => ServerState::Stopped,
        },
        Ok(None) => ServerState::Missing,
        Err(_) => ServerState::Unknown,
    }
}
