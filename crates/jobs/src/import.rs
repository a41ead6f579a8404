//! Taking over a guest that others made, as it is: read, written down in one transaction, and given to the
//! engine that was asked for when that one would change nothing on it, else to the one that needs nothing
//! changed. Nothing is done to the guest, so that all of it may be repeated and nothing is undone.

use crate::adopt::write;
use crate::run::{Stop, Tx};
use crate::worker::Worker;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{
    Event, EventKind, Expiry, Failure, FailureCode, GuestEntry, ImportPayload, Kept, MARK_PREFIX,
    PlannedField, Server, ServerId, ServerName, TaskNote, TaskState,
};
use tpm_provisioner::{Fate, Inspection, Operation, ProvisionError, Provisioner, StepCall};
use tpm_store::{Claim, NewServer, StoreError};

/// The one step.
const STEP: &str = "import";
/// What cannot be read for so long is given up.
const PATIENCE: Duration = Duration::from_secs(600);
/// After so long it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// The role of a guest that no role's tags fit.
const NO_ROLE: &str = "imported";

/// Why an import does not come to its end now.
enum Trouble {
    Stop(Stop),
    /// Given up.
    Failed(Failure),
    /// Again later.
    Later(ProvisionError),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Stop(error.into())
    }
}

impl From<ProvisionError> for Trouble {
    fn from(error: ProvisionError) -> Self {
        match error.fate {
            Fate::NotSent | Fate::Busy | Fate::Auth | Fate::Ask => Self::Later(error),
            Fate::Refused | Fate::VmidTaken | Fate::NodeLost => Self::Failed(error.failure),
        }
    }
}

fn refused(why: impl Into<String>) -> Trouble {
    Trouble::Failed(Failure::new(FailureCode::NotImportable, why))
}

/// A claimed import.
pub(crate) struct Import<'w> {
    worker: &'w Worker,
    claim: Claim,
    asked: ImportPayload,
}

impl<'w> Import<'w> {
    pub(crate) fn load(worker: &'w Worker, claim: Claim) -> Result<Self, Stop> {
        let asked = claim
            .task
            .payload
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Stop::Broken("import_server without its payload".into()))?;
        Ok(Self {
            worker,
            claim,
            asked,
        })
    }

    pub(crate) async fn go(&self) -> Stop {
        let ended = match self.take().await {
            Ok(stop) | Err(Trouble::Stop(stop)) => return stop,
            Err(Trouble::Failed(failure)) => self.end_failed(failure).await,
            Err(Trouble::Later(error)) => self.later(error).await,
        };
        ended.unwrap_or_else(|stop| stop)
    }

    fn engine(&self, name: &str) -> Result<Arc<dyn Provisioner>, Stop> {
        let engine = self.worker.engine(name);
        engine.ok_or_else(|| Stop::Broken(format!("no engine called {name}")))
    }

    async fn fenced(&self) -> Result<Tx, Stop> {
        let tx = self.worker.store().begin().await?;
        match tx.fence(&self.claim.lease).await? {
            true => Ok(tx),
            false => Err(Stop::Stale),
        }
    }

    async fn take(&self) -> Result<Stop, Trouble> {
        let wanted = self.engine(&self.asked.engine)?;
        let base = self.engine(wanted.surveyed_by())?;
        let id = match self.claim.task.server {
            Some(id) => id,
            None if self.claim.task.cancel_requested => return Ok(self.end_cancelled().await?),
            None => match self.write_down(&*base).await? {
                Some(id) => id,
                None => return Ok(self.end_cancelled().await?),
            },
        };
        let server = self.worker.store().reads().server(id).await?;
        let server = server.ok_or_else(|| Stop::Broken(format!("server {id} is gone")))?;
        if wanted.name() == base.name() {
            return Ok(self.finish(server, base.name(), Vec::new(), None).await?);
        }
        match self.give(&*wanted, &server).await {
            Ok(differs) if differs.is_empty() => {
                Ok(self.finish(server, wanted.name(), differs, None).await?)
            }
            Ok(differs) => Ok(self.finish(server, base.name(), differs, None).await?),
            Err(Trouble::Failed(why)) => Ok(self
                .finish(server, base.name(), Vec::new(), Some(why))
                .await?),
            Err(Trouble::Later(error)) if self.is_late() => {
                let why = Some(error.failure);
                Ok(self.finish(server, base.name(), Vec::new(), why).await?)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Reads the guest and writes its server; `None` when the task is to stop.
    async fn write_down(&self, base: &dyn Provisioner) -> Result<Option<ServerId>, Trouble> {
        let vmid = self.asked.vmid;
        let absent = || {
            Failure::new(
                FailureCode::GuestMissing,
                format!("VM {vmid} does not exist"),
            )
        };
        let survey = base.survey().await?;
        let survey = survey.ok_or_else(|| refused("this engine has no guests of others"))?;
        let guest = survey.guests.iter().find(|guest| guest.vmid == vmid);
        let guest = guest.ok_or_else(|| Trouble::Failed(absent()))?;
        if !guest.machine {
            return Err(refused(format!("{vmid} is a container")));
        }
        if guest.template {
            return Err(refused(format!("VM {vmid} is a template")));
        }
        let found = base.inspect(guest).await?;
        let found = found.ok_or_else(|| Trouble::Failed(absent()))?;
        let new = self.as_server(base, guest, &found)?;
        let tx = self.fenced().await?;
        tx.lock_reservations().await?;
        if tx.cancel_requested(self.claim.task.id).await? {
            return Ok(None);
        }
        if !tx
            .names_taken(std::slice::from_ref(&new.name))
            .await?
            .is_empty()
        {
            return Err(refused(format!("another server is called {}", new.name)));
        }
        // Its number may rest because a server of ours had it once; its addresses are no longer others'.
        tx.end_quarantine(vmid).await?;
        tx.save_foreign_addresses(vmid, &[]).await?;
        let kept = Kept {
            imported: true,
            ..Kept::default()
        };
        let id = match write(&*tx, &new, guest, &found, kept).await {
            Ok(id) => id,
            Err(StoreError::Constraint(why)) => {
                tracing::warn!(%vmid, %why, "no place for a guest that is to be imported");
                return Err(refused(
                    "its number or an address of it is another server's, or its node or project has no room",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let task = self.claim.task.id;
        tx.set_task_server(task, id, new.name.as_str()).await?;
        tx.save_progress(task, &note(), 50).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// What is written, when it can be told from other guests and is nobody's.
    fn as_server(
        &self,
        base: &dyn Provisioner,
        guest: &GuestEntry,
        found: &Inspection,
    ) -> Result<NewServer, Trouble> {
        let vmid = guest.vmid;
        if let Some(lock) = &found.lock {
            return Err(refused(format!("VM {vmid} is locked ({lock})")));
        }
        if found.identity.mark.starts_with(MARK_PREFIX) {
            return Err(refused(format!(
                "VM {vmid} carries the mark of an installation of this service"
            )));
        }
        if found.identity.smbios_uuid.is_none() && found.identity.vmgenid.is_none() {
            return Err(refused(format!(
                "VM {vmid} has neither an SMBIOS uuid nor a vmgenid to be told by"
            )));
        }
        let described = found.described.as_ref().ok_or_else(|| {
            refused(format!(
                "VM {vmid} has no disk to boot from, or an interface without a bridge"
            ))
        })?;
        let name: Option<ServerName> = self.asked.name.clone().or_else(|| described.name.clone());
        let name = name.ok_or_else(|| {
            let name = guest.name.clone().unwrap_or_default();
            refused(format!("no server can be called {name:?}: send a name"))
        })?;
        let role = self.asked.role.clone().or_else(|| described.role.clone());
        Ok(NewServer {
            name,
            project: self.asked.project,
            spec: tpm_domain::ServerSpec {
                // What it is tagged with is its own.
                tags: None,
                ..described.spec(role.unwrap_or_else(|| NO_ROLE.into()))
            },
            placement: None,
            expiry: Expiry::default(),
            engine: base.name().to_owned(),
            vmid,
            created_by: self.claim.task.token.clone(),
        })
    }

    /// Gives the guest to the engine that was asked for; what that one would change when it cannot be.
    async fn give(
        &self,
        wanted: &dyn Provisioner,
        server: &Server,
    ) -> Result<Vec<PlannedField>, Trouble> {
        let call = StepCall {
            operation: Operation::Change,
            step: STEP,
            server,
            task: &self.claim.task.token,
            epoch: self.claim.lease.epoch,
            consent: false,
            undoing: false,
            intent: None,
            handle: None,
            attempt: 0,
            elapsed: Duration::ZERO,
            report: None,
            backup: None,
            safety: None,
            bounds: None,
            drill: None,
            earlier: &[],
        };
        Ok(wanted.adopt(&call).await?)
    }

    fn event(&self, server: Option<&Server>, kind: EventKind) -> Event {
        Event {
            kind,
            server: server.map(|server| server.id),
            server_name: match (server, &self.asked.name) {
                (Some(server), _) => server.name.to_string(),
                (None, Some(name)) => name.to_string(),
                (None, None) => format!("VM {}", self.asked.vmid),
            },
            task: Some(self.claim.task.token.clone()),
        }
    }

    async fn finish(
        &self,
        mut server: Server,
        engine: &str,
        differs: Vec<PlannedField>,
        failure: Option<Failure>,
    ) -> Result<Stop, Stop> {
        engine.clone_into(&mut server.engine);
        server.kept.differs = differs;
        let tx = self.fenced().await?;
        tx.save_server(&server).await?;
        let kind = EventKind::Imported {
            vmid: server.vmid,
            engine: server.engine.clone(),
            other_engine: server.engine != self.asked.engine,
        };
        tx.add_event(&self.event(Some(&server), kind)).await?;
        let task = self.claim.task.id;
        tx.end_task(task, TaskState::Completed, failure.as_ref())
            .await?;
        tx.commit().await?;
        Ok(Stop::Ended)
    }

    async fn end_cancelled(&self) -> Result<Stop, Stop> {
        let tx = self.fenced().await?;
        tx.add_event(&self.event(None, EventKind::Cancelled))
            .await?;
        tx.end_task(self.claim.task.id, TaskState::Cancelled, None)
            .await?;
        tx.commit().await?;
        Ok(Stop::Ended)
    }

    /// Nothing was written.
    async fn end_failed(&self, failure: Failure) -> Result<Stop, Stop> {
        let tx = self.fenced().await?;
        let (task, vmid) = (self.claim.task.id, self.asked.vmid);
        let kind = EventKind::ImportFailed {
            vmid,
            failure: failure.clone(),
        };
        tx.add_event(&self.event(None, kind)).await?;
        tx.end_task(task, TaskState::Failed, Some(&failure)).await?;
        tx.commit().await?;
        Ok(Stop::Ended)
    }

    fn is_late(&self) -> bool {
        self.claim.now.since(self.claim.task.created_at) > PATIENCE
    }

    async fn later(&self, error: ProvisionError) -> Result<Stop, Stop> {
        tracing::warn!(
            task = %self.claim.task.token,
            vmid = %self.asked.vmid,
            error = &error as &dyn std::error::Error,
            "import did not work out"
        );
        if self.is_late() {
            return self.end_failed(error.failure).await;
        }
        let tx = self.fenced().await?;
        let task = self.claim.task.id;
        let wait = error.retry_after.unwrap_or_default().max(AGAIN);
        let retrying = TaskNote::Retrying {
            failure: error.failure,
        };
        tx.save_progress(task, &retrying, 0).await?;
        tx.park(task, wait, None).await?;
        tx.commit().await?;
        Ok(Stop::Parked)
    }
}

fn note() -> TaskNote {
    TaskNote::Step {
        step: STEP.to_owned(),
    }
}
