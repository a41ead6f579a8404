//! A server as code to take away: the module, its values, the state, and a block that imports the guest where
//! the state is not wanted.

use crate::diff::diff;
use crate::plan::StateView;
use crate::render::{
    IMPORT_FILE, MODULE, MODULE_DIR, ROOT_FILE, VALUES_FILE, Values, import, pretty, root,
};
use crate::renderer::Renderer;
use crate::room::{RoomError, StateRoom};
use async_trait::async_trait;
use tpm_domain::{Server, ServerId, TaskToken};
use tpm_provisioner::{
    CodeError, CodeFile, Fate, OlderState, PlanView, ProvisionError, RunLine, ServerCode,
    StateChange, StateVersion,
};
use tpm_store::StoreError;

const README: &str = include_str!("../../../terraform/EJECTED.md");

/// The provider's own wait for an agent, which an import brings along. Another one would have the provider write
/// the guest's agent option anew, in words of its own.
const IMPORTED_TIMEOUT: &str = "15m";

/// Tells of servers: from their states, and of guests that have none from looking at them.
#[derive(Debug)]
pub struct TerraformCode {
    room: StateRoom,
    renderer: Option<Renderer>,
}

impl TerraformCode {
    /// From this room, and by these looks where there is a cluster.
    #[must_use]
    pub fn new(room: StateRoom, renderer: Option<Renderer>) -> Self {
        Self { room, renderer }
    }

    /// The values of a guest that Terraform did not make.
    async fn seen(&self, server: &Server) -> Result<Option<Values>, CodeError> {
        match &self.renderer {
            Some(renderer) => {
                let values = renderer.as_it_stands(server).await.map_err(not_seen)?;
                Ok(values.map(|values| Values {
                    agent_timeout: Some(IMPORTED_TIMEOUT.into()),
                    ..values
                }))
            }
            None => Ok(None),
        }
    }
}

fn not_seen(error: ProvisionError) -> CodeError {
    match error.fate {
        Fate::NotSent | Fate::Busy | Fate::Auth | Fate::Ask => CodeError::Unreachable(error.into()),
        _ => CodeError::NotRenderable(error.failure.detail.unwrap_or_default()),
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
fn files(values: &Values, state: Option<(&[u8], &StateView)>) -> Vec<CodeFile> {
    let mut files = vec![
        file("README.md", README),
        file(ROOT_FILE, pretty(&root(values, false))),
        file(VALUES_FILE, pretty(values)),
        file(IMPORT_FILE, pretty(&import(values))),
    ];
    for (name, text) in MODULE {
        files.push(file(format!("{MODULE_DIR}/{name}"), text));
    }
    // The state of a guest that was moved would look for it where it was.
    if let Some((bytes, view)) = state
        && view
            .guest
            .as_ref()
            .is_some_and(|guest| guest.node_name == values.node_name)
    {
        files.push(file("terraform.tfstate", bytes));
    }
    files
}

#[async_trait]
impl ServerCode for TerraformCode {
    async fn eject(&self, server: &Server) -> Result<Option<Vec<CodeFile>>, CodeError> {
        let Some(values) = self.room.latest_values(server.id).await.map_err(told)? else {
            let seen = self.seen(server).await?;
            return Ok(seen.map(|values| files(&values, None)));
        };
        let mut values: Values =
            serde_json::from_str(&values).map_err(|error| CodeError::Broken(error.into()))?;
        // A guest that was moved is where it is now.
        if let Some(node) = &server.node {
            values.node_name.clone_from(&node.0);
        }
        let state = self.room.latest(server.id).await.map_err(told)?;
        let state = state.as_ref().map(|state| (&*state.bytes, &state.view));
        Ok(Some(files(&values, state)))
    }

    async fn states(&self, server: ServerId) -> Result<Vec<StateVersion>, CodeError> {
        let rows = self.room.store().states(server).await.map_err(told)?;
        let version = |row: tpm_store::StateRow| StateVersion {
            serial: row.serial,
            task: row.task,
            at: row.at,
        };
        Ok(rows.into_iter().map(version).collect())
    }

    async fn state(&self, server: ServerId, serial: u64) -> Result<Option<String>, CodeError> {
        let state = self.room.version(server, serial).await.map_err(told)?;
        Ok(state.map(|state| String::from_utf8_lossy(&state.bytes).into_owned()))
    }

    async fn differences(
        &self,
        server: ServerId,
        earlier: Option<u64>,
        serial: u64,
    ) -> Result<Option<Vec<StateChange>>, CodeError> {
        let Some(after) = self.room.version(server, serial).await.map_err(told)? else {
            return Ok(None);
        };
        let before = match earlier {
            None => b"{}".to_vec(),
            Some(earlier) => match self.room.version(server, earlier).await.map_err(told)? {
                Some(before) => before.bytes,
                None => return Ok(None),
            },
        };
        let found = diff(&before, &after.bytes);
        let broken = |error| CodeError::Broken(anyhow::Error::msg(error));
        found.map(Some).map_err(broken)
    }

    async fn older(&self, server: ServerId, serial: u64) -> Result<Option<OlderState>, CodeError> {
        self.room.older(server, serial).await.map_err(told)
    }

    async fn plan(&self, task: &TaskToken) -> Result<Option<PlanView>, CodeError> {
        let Some(row) = self.room.store().plan(task).await.map_err(told)? else {
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
        let lines = self.room.store().log(task).await.map_err(told)?;
        let line = |(at, text)| RunLine { at, text };
        Ok(lines.into_iter().map(line).collect())
    }
}
