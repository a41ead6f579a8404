//! A guest of ours that was left over by a create that is over: what its removal knows of it.

use crate::run::Stop;
use serde::{Deserialize, Serialize};
use tpm_domain::{NodeName, Server, Task, TaskToken, Vmid};

/// The payload of a `remove_orphan` task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orphan {
    /// The guest.
    pub(crate) vmid: Vmid,
    /// Where it was seen.
    pub(crate) node: NodeName,
    /// The create whose mark it carries.
    pub(crate) operation: TaskToken,
}

/// The server as it would be if the guest were its own: the engine compares the guest's mark with the one
/// that follows from this, and touches nothing else.
pub(crate) fn as_server(task: &Task, server: Server) -> Result<Server, Stop> {
    let orphan: Orphan = task
        .payload
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| Stop::Broken("remove_orphan without its payload".into()))?;
    Ok(Server {
        vmid: orphan.vmid,
        node: Some(orphan.node),
        created_by: orphan.operation,
        identity: None,
        ..server
    })
}
