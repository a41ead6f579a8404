//! States and plans as they are kept: sealed, one version after the other.

use crate::plan::StateView;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;
use tpm_domain::{PlannedChange, ServerId, TaskToken};
use tpm_provisioner::OlderState;
use tpm_secrets::{Seal, SealError};
use tpm_store::{Fence, PlanRow, StateRow, StoreError, TerraformStore};

/// Why a state or plan could not be read or kept.
#[derive(Debug, Error)]
pub enum RoomError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is not what Terraform writes.
    #[error("this is no state or plan of Terraform: {0}")]
    Unreadable(String),
    /// The claim is over: another worker has the task.
    #[error("the task is another worker's by now")]
    Stale,
}

/// A version of a state, opened.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OpenState {
    /// As Terraform wrote it.
    pub(crate) bytes: Vec<u8>,
    /// What matters of it.
    pub(crate) view: StateView,
}

/// A plan, opened.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OpenPlan {
    pub(crate) hash: String,
    pub(crate) base_serial: u64,
    pub(crate) guest_digest: Option<String>,
    pub(crate) file: Vec<u8>,
    pub(crate) change: PlannedChange,
    /// The values it was made from.
    pub(crate) values: String,
}

/// A plan and its values, sealed together.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed {
    values: String,
    /// Base64.
    file: String,
}

/// Where they are kept.
#[derive(Clone)]
pub struct StateRoom {
    store: Arc<dyn TerraformStore>,
    seal: Arc<Seal>,
}

impl fmt::Debug for StateRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateRoom").finish_non_exhaustive()
    }
}

fn state_name(server: ServerId, serial: u64) -> String {
    format!("state/{server}/{serial}")
}

fn plan_name(server: ServerId, task: &TaskToken) -> String {
    format!("plan/{server}/{task}")
}

impl StateRoom {
    /// In this store, under this seal.
    #[must_use]
    pub fn new(store: Arc<dyn TerraformStore>, seal: Seal) -> Self {
        Self {
            store,
            seal: Arc::new(seal),
        }
    }

    pub(crate) fn store(&self) -> &dyn TerraformStore {
        &*self.store
    }

    fn opened(&self, server: ServerId, row: &StateRow) -> Result<OpenState, RoomError> {
        let bytes = self
            .seal
            .open(&state_name(server, row.serial), &row.sealed)?;
        let view = StateView::read(&bytes).map_err(RoomError::Unreadable)?;
        Ok(OpenState { bytes, view })
    }

    /// The latest state.
    pub(crate) async fn latest(&self, server: ServerId) -> Result<Option<OpenState>, RoomError> {
        match self.store.latest_state(server).await? {
            Some(row) => self.opened(server, &row).map(Some),
            None => Ok(None),
        }
    }

    /// One version.
    pub(crate) async fn version(
        &self,
        server: ServerId,
        serial: u64,
    ) -> Result<Option<OpenState>, RoomError> {
        match self.store.state(server, serial).await? {
            Some(row) => self.opened(server, &row).map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a version under its own serial.
    pub(crate) async fn put(
        &self,
        server: ServerId,
        fence: &Fence,
        bytes: &[u8],
    ) -> Result<(), RoomError> {
        let view = StateView::read(bytes).map_err(RoomError::Unreadable)?;
        let sealed = self.seal.seal(&state_name(server, view.serial), bytes)?;
        if self
            .store
            .put_state(server, fence, view.serial, &sealed)
            .await?
        {
            Ok(())
        } else {
            Err(RoomError::Stale)
        }
    }

    /// The content of an older version under the next serial.
    pub(crate) async fn older(
        &self,
        server: ServerId,
        serial: u64,
    ) -> Result<Option<OlderState>, RoomError> {
        let Some(old) = self.version(server, serial).await? else {
            return Ok(None);
        };
        let latest = self.store.latest_state(server).await?;
        let next = latest.map_or(serial, |row| row.serial) + 1;
        let unreadable = |error: serde_json::Error| RoomError::Unreadable(error.to_string());
        let mut state: serde_json::Value =
            serde_json::from_slice(&old.bytes).map_err(unreadable)?;
        state["serial"] = next.into();
        let bytes = serde_json::to_vec(&state).map_err(unreadable)?;
        let sealed = self.seal.seal(&state_name(server, next), &bytes)?;
        Ok(Some(OlderState {
            serial: next,
            sealed,
        }))
    }

    /// Keeps a task's plan.
    pub(crate) async fn put_plan(
        &self,
        server: ServerId,
        fence: &Fence,
        plan: &OpenPlan,
    ) -> Result<(), RoomError> {
        use base64::Engine as _;
        let whole = Sealed {
            values: plan.values.clone(),
            file: base64::engine::general_purpose::STANDARD.encode(&plan.file),
        };
        let unreadable = |error: serde_json::Error| RoomError::Unreadable(error.to_string());
        let whole = serde_json::to_vec(&whole).map_err(unreadable)?;
        let row = PlanRow {
            hash: plan.hash.clone(),
            base_serial: plan.base_serial,
            guest_digest: plan.guest_digest.clone(),
            sealed: self.seal.seal(&plan_name(server, &fence.task), &whole)?,
            summary: serde_json::to_string(&plan.change).map_err(unreadable)?,
        };
        if self.store.save_plan(server, fence, &row).await? {
            Ok(())
        } else {
            Err(RoomError::Stale)
        }
    }

    /// A task's plan.
    pub(crate) async fn plan(
        &self,
        server: ServerId,
        task: &TaskToken,
    ) -> Result<Option<OpenPlan>, RoomError> {
        match self.store.plan(task).await? {
            Some(row) => self.opened_plan(server, task, row).map(Some),
            None => Ok(None),
        }
    }

    /// The values that a server was planned with last.
    pub(crate) async fn latest_values(
        &self,
        server: ServerId,
    ) -> Result<Option<String>, RoomError> {
        match self.store.latest_plan(server).await? {
            Some((task, row)) => Ok(Some(self.opened_plan(server, &task, row)?.values)),
            None => Ok(None),
        }
    }

    fn opened_plan(
        &self,
        server: ServerId,
        task: &TaskToken,
        row: PlanRow,
    ) -> Result<OpenPlan, RoomError> {
        use base64::Engine as _;
        let unreadable = |error: serde_json::Error| RoomError::Unreadable(error.to_string());
        let whole = self.seal.open(&plan_name(server, task), &row.sealed)?;
        let whole: Sealed = serde_json::from_slice(&whole).map_err(unreadable)?;
        let file = base64::engine::general_purpose::STANDARD
            .decode(&whole.file)
            .map_err(|error| RoomError::Unreadable(error.to_string()))?;
        Ok(OpenPlan {
            hash: row.hash,
            base_serial: row.base_serial,
            guest_digest: row.guest_digest,
            change: serde_json::from_str(&row.summary).map_err(unreadable)?,
            file,
            values: whole.values,
        })
    }
}
