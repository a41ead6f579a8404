//! What the audit says: who, what, on what, from where, and how it came out.

use crate::{ProjectId, UserId};
use serde::{Deserialize, Serialize};

/// One thing that somebody did, or was not let do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Who; `None` when nobody is known by that name.
    pub actor: Option<UserId>,
    /// The name, as it was then.
    pub actor_name: String,
    /// By what the person was known: `session`, `key 7`, `password`.
    pub via: String,
    /// From which address.
    pub address: String,
    /// What, as method and path: `POST /api/servers/create`.
    pub action: String,
    /// The kind of thing it was done to: `server`, `task`; empty when to none.
    pub target_kind: String,
    /// Which one.
    pub target: String,
    /// The project that belongs to.
    pub project: Option<ProjectId>,
    /// Why it was refused, as a code on the wire; `None` when it was done.
    pub refused: Option<String>,
    /// The request's id, as in the log.
    pub request_id: String,
}

/// The thing that something is done to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditTarget {
    /// `server`, `task`, `project`, …
    pub kind: &'static str,
    /// Which one.
    pub id: String,
    /// Its project.
    pub project: Option<ProjectId>,
}

impl AuditTarget {
    /// A thing of no project.
    pub fn new(kind: &'static str, id: impl ToString) -> Self {
        Self {
            kind,
            id: id.to_string(),
            project: None,
        }
    }

    /// The same, of a project.
    #[must_use]
    pub fn of(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }
}
