//! Who may do what: one table, asked on the first line of every use case.

use serde::{Deserialize, Serialize};

/// The database's number of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// What a person is allowed in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Everything.
    Admin,
    /// Servers and their tasks, not the people.
    Operator,
    /// Looks, touches nothing.
    Viewer,
}

/// Something a use case does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See servers.
    ReadServers,
    /// Create, change and delete servers.
    WriteServers,
    /// See tasks and their logs.
    ReadTasks,
    /// Cancel tasks.
    CancelTasks,
    /// See notifications.
    ReadNotifications,
    /// Remove notifications.
    DeleteNotifications,
    /// See projects and what they have.
    ReadProjects,
    /// Create and change projects.
    WriteProjects,
    /// See networks and who holds which address.
    ReadNetworks,
    /// Create, change and remove networks.
    WriteNetworks,
    /// See how the service and what it depends on are doing.
    ReadSystem,
}

impl UserRole {
    /// Whether this role may do `action`.
    #[must_use]
    pub fn may(self, action: Action) -> bool {
        use Action::*;
        match self {
            Self::Admin => true,
            Self::Operator => !matches!(action, WriteProjects),
            Self::Viewer => match action {
                ReadServers | ReadTasks | ReadNotifications | ReadProjects | ReadNetworks
                | ReadSystem => true,
                WriteServers | CancelTasks | DeleteNotifications | WriteProjects
                | WriteNetworks => false,
            },
        }
    }
}

/// On whose behalf a use case runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person's number.
    pub id: UserId,
    /// The name the person logs in with.
    pub username: String,
    /// What the person may do.
    pub role: UserRole,
}
