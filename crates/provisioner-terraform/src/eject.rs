//! A server as code to take away: the module, its values, the state, and a block that imports the guest where
//! the state is not wanted.

use crate::plan::StateView;
use crate::render::{
    IMPORT_FILE, MODULE, MODULE_DIR, ROOT_FILE, VALUES_FILE, Values, import, pretty, root,
};
use crate::room::{RoomError, StateRoom};
use async_trait::async_trait;
use tpm_domain::{Server, ServerId, TaskToken};
use tpm_provisioner::{
    CodeError, CodeFile, OlderState, PlanView, RunLine, ServerCode, StateVersion,
};
use tpm_store::StoreError;

const README: &str = include_str!("../../../terraform/EJECTED.md");

/// Tells of servers that this engine made.
#[derive(Debug)]
pub struct TerraformCode(StateRoom);

impl TerraformCode {
    /// From this room.
    #[must_use]
    pub fn new(room: StateRoom) -> Self {
        Self(room)
    }
}

fn told(error: impl Into<RoomError>) -> CodeError {
    match error.into() {
        error @ RoomError::Store(StoreError::Unavailable(_)) => {
            CodeError::Unavailable(error.into())
        }
        error => CodeError::Broken(error.into()),
    }
}

fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> CodeFile {
    CodeFile {
        path: path.into(),
        content: content.into(),
    }
}

/// The files of a server, from its values and its latest state.
fn files(server: &Server, mut values: Values, state: Option<(&[u8], &StateView)>) -> Vec<CodeFile> {
    // A guest that was moved is where it is now; its old state would look for it where it was.
    let node = server.node.as_ref().map(|node| node.0.clone());
    if let Some(node) = &node {
        values.node_name.clone_from(node);
    }
    let mut files = vec![
        file("README.md", README),
        file(ROOT_FILE, pretty(&root(&values, false))),
        file(VALUES_FILE, pretty(&values)),
        file(IMPORT_FILE, pretty(&import(&values))),
    ];
    for (name, text) in MODULE {
        files.push(file(format!("{MODULE_DIR}/{name}"), text));
    }
    if let Some((bytes, view)) = state
        && view
            .guest
            .as_ref()
            .is_some_and(|guest| node.is_none_or(|node| guest.node_name == node))
    {
        files.push(file("terraform.tfstate", bytes));
    }
    files
}

#[async_trait]
impl ServerCode for TerraformCode {
    async fn eject(&self, server: &Server) -> Result<Option<Vec<CodeFile>>, CodeError> {
        let Some(values) = self.0.latest_values(server.id).await.map_err(told)? else {
            return Ok(None);
        };
        let values =
            serde_json::from_str(&values).map_err(|error| CodeError::Broken(error.into()))?;
        let state = self.0.latest(server.id).await.map_err(told)?;
        let state = state.as_ref().map(|state| (&*state.bytes, &state.view));
        Ok(Some(files(server, values, state)))
    }

    async fn states(&self, server: ServerId) -> Result<Vec<StateVersion>, CodeError> {
        let rows = self.0.store().states(server).await.map_err(told)?;
        let version = |row: tpm_store::StateRow| StateVersion {
            serial: row.serial,
            task: row.task,
            at: row.at,
        };
        Ok(rows.into_iter().map(version).collect())
    }

    async fn state(&self, server: ServerId, serial: u64) -> Result<Option<String>, CodeError> {
        let state = self.0.version(server, serial).await.map_err(told)?;
        Ok(state.map(|state| String::from_utf8_lossy(&state.bytes).into_owned()))
    }

    async fn older(&self, server: ServerId, serial: u64) -> Result<Option<OlderState>, CodeError> {
        self.0.older(server, serial).await.map_err(told)
    }

    async fn plan(&self, task: &TaskToken) -> Result<Option<PlanView>, CodeError> {
        let Some(row) = self.0.store().plan(task).await.map_err(told)? else {
            return Ok(None);
        };
        let change =
            serde_json::from_str(&row.summary).map_err(|error| CodeError::Broken(error.into()))?;
        Ok(Some(PlanView {
            hash: row.hash,
            base_serial: row.base_serial,
            change,
        }))
    }

    async fn log(&self, task: &TaskToken) -> Result<Vec<RunLine>, CodeError> {
        let lines = self.0.store().log(task).await.map_err(told)?;
        let line = |(at, text)| RunLine { at, text };
        Ok(lines.into_iter().map(line).collect())
    }
}
