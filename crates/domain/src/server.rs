//! A server: what was asked for, what it is now, and how far its start has come.

use crate::{
    Failure, Identity, Nic, NodeName, Placement, PlannedField, ProjectId, ServerId, TaskToken,
    Timestamp, Vmid,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A server's name: also its hostname, so one DNS label in lower case, 1 to 63 characters, that begins
/// with a letter and does not end in a hyphen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl TryFrom<String> for ServerName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("not a server name")
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl ServerName {
    /// `None` when `text` is not such a label.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let fits = (1..=63).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes[bytes.len() - 1] != b'-'
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// A task is making it.
    Creating,
    /// The guest runs.
    Running,
    /// The guest exists and is off.
    Stopped,
    /// A task is restarting it.
    Restarting,
    /// A task is removing it; it stays so until Proxmox VE confirmed.
    Deleting,
    /// The last task on it failed; what failed stands beside it.
    Error,
    /// The guest is gone although nobody asked for it.
    Missing,
    /// Not known, because what was asked could not be settled.
    Unknown,
    /// Another guest stands under its VMID: nothing is done to it.
    IdentityConflict,
}

impl ServerState {
    /// Every state, in the order above.
    pub const ALL: [Self; 9] = [
        Self::Creating,
        Self::Running,
        Self::Stopped,
        Self::Restarting,
        Self::Deleting,
        Self::Error,
        Self::Missing,
        Self::Unknown,
        Self::IdentityConflict,
    ];

    /// The state's name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::Deleting => "deleting",
            Self::Error => "error",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::IdentityConflict => "identity_conflict",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What a person wants a server's power to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerTarget {
    /// On.
    Running,
    /// Off: asked to shut down, then switched off.
    Stopped,
    /// Off and on again.
    Restarted,
}

/// What happens to a server when its time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// It is switched off and stays.
    #[default]
    Stop,
    /// It is switched off, and deleted a while later.
    Delete,
}

impl OnExpiry {
    /// Both, in the order above.
    pub const ALL: [Self; 2] = [Self::Stop, Self::Delete];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// How far the end of a server's time has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiryStage {
    /// Nothing was done.
    #[default]
    Waiting,
    /// People were warned.
    Warned,
    /// It was switched off.
    Stopped,
    /// Its removal was asked for.
    Deleted,
}

impl ExpiryStage {
    const ALL: [Self; 4] = [Self::Waiting, Self::Warned, Self::Stopped, Self::Deleted];

    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Warned => "warned",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// When a server's time is over, and what happens then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// The moment; `None` is never.
    pub at: Option<Timestamp>,
    /// What happens then.
    pub action: OnExpiry,
    /// How far it has come.
    pub stage: ExpiryStage,
}

/// A rung of the ladder that a new server climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The guest exists.
    Created,
    /// CPU, memory, disk, network and cloud-init are as asked.
    Configured,
    /// The guest's process runs.
    Started,
    /// The guest agent answers.
    Agent,
    /// The guest has the address it was given.
    Address,
}

impl Rung {
    /// The rung's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Started => "started",
            Self::Agent => "agent",
            Self::Address => "address",
        }
    }
}

/// When a rung was reached, or that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungReached {
    /// Which rung.
    pub rung: Rung,
    /// When it was reached; `None` when it was given up.
    pub at: Option<Timestamp>,
    /// Milliseconds since the rung before it, or since the task began.
    pub took_ms: u64,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// What the server is for; a key of the `roles` settings.
    pub role: String,
    /// Virtual CPU cores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Size of the first disk in GiB.
    pub disk_gb: u32,
    /// Network interfaces, the first one first.
    pub nics: Vec<Nic>,
    /// Tags of its own; `None` for those of its role.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// What people wrote about it; `None` leaves what stands on the guest.
    #[serde(default)]
    pub description: Option<String>,
}

impl ServerSpec {
    /// Most tags.
    pub const MOST_TAGS: usize = 32;
    /// Longest tag.
    pub const LONGEST_TAG: usize = 64;
    /// Longest description in characters: Proxmox VE takes 8 KiB, and our mark stands beside it.
    pub const LONGEST_DESCRIPTION: usize = 2000;

    /// Tags as Proxmox VE keeps them: in lower case, in order, each once.
    #[must_use]
    pub fn canonical_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let set: BTreeSet<String> = tags.into_iter().map(str::to_ascii_lowercase).collect();
        set.into_iter().collect()
    }

    /// Whether Proxmox VE takes it as a tag.
    #[must_use]
    pub fn is_tag(text: &str) -> bool {
        let inner = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.len() <= Self::LONGEST_TAG && text.starts_with(first) && text.chars().all(inner)
    }
}

/// Options of the guest that are not ours to set: they stay as they are and are no drift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Others made the guest: only its size is ours, and what was asked for since.
    pub imported: bool,
    /// What the engine that was asked for would have changed on an imported guest, so that it was not given
    /// to that one.
    pub differs: Vec<PlannedField>,
    /// Options that a person decided to leave, by Proxmox VE's names: `net0`.
    pub options: BTreeSet<String>,
}

impl Kept {
    /// Whether an option stays as it is.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        let size = [
            "cores",
            "sockets",
            "memory",
            "balloon",
            "tags",
            "description",
        ];
        self.options.contains(option) || (self.imported && !size.contains(&option))
    }
}

/// An option that is not as the server's row says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drift {
    /// Proxmox VE's name of it.
    pub option: String,
    /// What it should be; `None` is unset.
    pub wanted: Option<String>,
    /// What it is.
    pub found: Option<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let (wanted, found) = (shown(&self.wanted), shown(&self.found));
        write!(f, "{}: {wanted}, {found}", self.option)
    }
}

/// What only a change knows: kept with its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePayload {
    /// What the server was.
    #[serde(flatten)]
    pub before: ServerSpec,
    /// Whether a person agreed, by the server's name, to the loss of what it holds.
    #[serde(default)]
    pub consent: bool,
}

/// What only an import knows: kept with its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPayload {
    /// The guest.
    pub vmid: Vmid,
    /// The engine that is to have it.
    pub engine: String,
    /// The server's name; `None` for the guest's.
    pub name: Option<ServerName>,
    /// What it is for; `None` for the role whose tags the guest has.
    pub role: Option<String>,
    /// Whose it is.
    pub project: ProjectId,
}

/// A server, as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Our number.
    pub id: ServerId,
    /// Its name and hostname.
    pub name: ServerName,
    /// Whose it is.
    pub project: ProjectId,
    /// What was asked for.
    pub spec: ServerSpec,
    /// Where it was put and why; `None` for engines without nodes.
    pub placement: Option<Placement>,
    /// When its time is over.
    pub expiry: Expiry,
    /// Options that somebody changed on the guest by hand.
    pub drift: Vec<Drift>,
    /// Options that are left as they are.
    pub kept: Kept,
    /// Where it stands.
    pub state: ServerState,
    /// Which engine makes and changes it.
    pub engine: String,
    /// The guest's number, reserved before the guest exists.
    pub vmid: Vmid,
    /// The node it was last seen on.
    pub node: Option<NodeName>,
    /// Recorded when the guest was made.
    pub identity: Option<Identity>,
    /// The task that creates it; part of its mark.
    pub created_by: TaskToken,
    /// The first address seen or given.
    pub ip_address: Option<std::net::IpAddr>,
    /// What went wrong last, while `state` is `error`, `missing` or `unknown`.
    pub problem: Option<Failure>,
    /// The ladder, as far as it was climbed.
    pub readiness: Vec<RungReached>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When anything above changed last.
    pub updated_at: Timestamp,
}

impl Server {
    /// Whether it has a guest of its own that can be backed up.
    #[must_use]
    pub fn can_be_backed_up(&self) -> bool {
        match self.state {
            ServerState::Running | ServerState::Stopped => true,
            ServerState::Error | ServerState::Unknown => self.identity.is_some(),
            ServerState::Missing
            | ServerState::IdentityConflict
            | ServerState::Creating
            | ServerState::Restarting
            | ServerState::Deleting => false,
        }
    }

    /// The node that its guest is on, or will be.
    #[must_use]
    pub fn place(&self) -> Option<&NodeName> {
        self.node
            .as_ref()
            .or_else(|| self.placement.as_ref().map(|placement| &placement.node))
    }

    /// The address a person would use: the one seen, else the one reserved. None when there is no guest and
    /// none to come: what was reserved for it may be another server's by now.
    #[must_use]
    pub fn address(&self) -> Option<std::net::IpAddr> {
        let given_up = matches!(self.state, ServerState::Error | ServerState::Deleting);
        if given_up && self.identity.is_none() {
            return None;
        }
        self.ip_address.or_else(|| {
            self.spec
                .nics
                .first()
                .and_then(|nic| nic.address)
                .map(|a| std::net::IpAddr::V4(a.ip))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "web-server-01", "w9", &"a".repeat(63)] {
            assert!(ServerName::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "9a",
            "A",
            "a_b",
            "a.b",
            "웹",
            "a b",
            &"a".repeat(64),
            "a\n",
        ] {
            assert!(ServerName::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        for good in ["web", "_x", "a.b", "k8s+node-1", "9"] {
            assert!(ServerSpec::is_tag(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a;b", "웹", &"a".repeat(65)] {
            assert!(!ServerSpec::is_tag(bad), "{bad}");
        }
        assert_eq!(
            ServerSpec::canonical_tags(["web", "DB", "Web"]),
            ["db", "web"]
        );
    }

    #[test]
    fn of_a_guest_that_others_made_only_the_size_is_ours() {
        let mut kept = Kept::default();
        assert!(!kept.has("net0"));
        kept.options.insert("net0".into());
        assert!(kept.has("net0") && !kept.has("net1"));
        kept.imported = true;
        assert!(kept.has("net1") && !kept.has("memory"));
    }

    #[test]
    fn states_have_distinct_names_that_parse() {
        for state in ServerState::ALL {
            assert_eq!(ServerState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ServerState::parse("gone"), None);
    }
}
