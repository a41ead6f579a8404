//! Identifiers, each its own type so that one cannot be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Our number of a server; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub i64);

/// The database's number of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub i64);

/// The database's number of a network whose addresses are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub i64);

/// The database's number of a task. People see the [`TaskToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub i64);

/// A task's public name, `task_<token>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(pub String);

impl TaskToken {
    /// Whether a person asked for the task, not the service by itself (`task_expiry_…`, `…_undo`).
    #[must_use]
    pub fn is_of_a_person(&self) -> bool {
        let rest = self.0.strip_prefix("task_").unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// A guest's number in Proxmox VE: 100 to 999 999 999, unique in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vmid(pub u32);

impl Vmid {
    /// The smallest number Proxmox VE accepts.
    pub const MIN: u32 = 100;
    /// The largest number Proxmox VE accepts.
    pub const MAX: u32 = 999_999_999;

    /// `None` outside the range Proxmox VE accepts.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX)
            .contains(&number)
            .then_some(Self(number))
    }
}

/// The name of a cluster's node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(pub String);

macro_rules! display_inner {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_inner!(
    ServerId, ProjectId, NetworkId, TaskId, TaskToken, Vmid, NodeName
);
