//! The end of a task: what it means for the server, the reservations and the people, in one transaction.

use crate::point::PointKind;
use crate::run::{Run, Stop};
use tpm_domain::{
    Event, EventKind, Failure, FailureCode, PowerState, PowerTarget, ServerState, StepState,
    TaskState,
};
use tpm_provisioner::Operation;

impl Run<'_> {
    fn event(&self, kind: EventKind) -> Event {
        Event {
            kind,
            server: self.server.id,
            server_name: self.server.name.to_string(),
            task: self.claim.task.token.clone(),
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
            Operation::Destroy => self.finish_destroyed().await,
            Operation::Start | Operation::Stop | Operation::Restart => self.finish_power().await,
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
        tx.end_task(self.claim.task.id, TaskState::Completed, None)
            .await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    async fn finish_destroyed(&mut self) -> Result<(), Stop> {
        let tx = self.fenced().await?;
        tx.release(self.server.id).await?;
        tx.delete_server(self.server.id).await?;
        tx.add_event(&self.event(EventKind::Deleted)).await?;
        tx.end_task(self.claim.task.id, TaskState::Completed, None)
            .await?;
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
        tx.end_task(self.claim.task.id, TaskState::Completed, None)
            .await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// Nothing is left of a create that failed or was cancelled.
    async fn finish_undone(&mut self) -> Result<(), Stop> {
        let task = self.claim.task.id;
        let tx = self.fenced().await?;
        tx.release(self.server.id).await?;
        match self.claim.task.failure.clone() {
            None => {
                tx.delete_server(self.server.id).await?;
                tx.add_event(&self.event(EventKind::CreateCancelled))
                    .await?;
                tx.end_task(task, TaskState::Cancelled, None).await?;
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
                tx.end_task(task, TaskState::Failed, Some(&failure)).await?;
            }
        }
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// A task other than a create was asked to stop and has done nothing that cannot stay.
    pub(crate) async fn end_cancelled(&mut self) -> Result<(), Stop> {
        let mut server = self.server.clone();
        server.state = self.seen_state().await;
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(EventKind::Cancelled)).await?;
        tx.end_task(self.claim.task.id, TaskState::Cancelled, None)
            .await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// The task is given up.
    pub(crate) async fn end_failed(&mut self, failure: Failure) -> Result<(), Stop> {
        let mut server = self.server.clone();
        let (kind, shown) = if self.claim.undoing {
            // The guest may still be there, so name, address and VMID stay held until it is deleted.
            server.state = ServerState::Error;
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
        } else if self.operation == Operation::Destroy {
            server.state = ServerState::Error;
            (
                EventKind::DeleteFailed {
                    failure: failure.clone(),
                },
                failure,
            )
        } else {
            server.state = match failure.code {
                FailureCode::IdentityConflict => ServerState::Error,
                FailureCode::GuestMissing => ServerState::Missing,
                _ => self.seen_state().await,
            };
            let target = self.target();
            (
                EventKind::PowerFailed {
                    target,
                    failure: failure.clone(),
                },
                failure,
            )
        };
        server.problem = Some(shown.clone());
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        tx.add_event(&self.event(kind)).await?;
        tx.end_task(self.claim.task.id, TaskState::Failed, Some(&shown))
            .await?;
        tx.commit().await?;
        Err(Stop::Ended)
    }

    /// What the guest is now; `unknown` when nobody can say.
    async fn seen_state(&self) -> ServerState {
        match self.engine.look(&self.server).await {
            Ok(Some(view)) => match view.power {
                PowerState::Running => ServerState::Running,
                PowerState::Stopped => ServerState::Stopped,
            },
            Ok(None) => ServerState::Missing,
            Err(error) => {
                tracing::warn!(
                    server = %self.server.id,
                    error = &error as &dyn std::error::Error,
                    "cannot see the guest"
                );
                ServerState::Unknown
            }
        }
    }
}
