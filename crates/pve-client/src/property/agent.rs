//! `agent`: whether and how the QEMU guest agent is used.

use std::{fmt, str::FromStr};

use super::{Parts, PropertyError, Writer, parse_flag};

const PROPERTY: &str = "agent";

/// How the agent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// A virtio serial port, PVE's default.
    Virtio,
    /// An ISA serial port.
    Isa,
}

/// Settings of the guest agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentOption {
    /// Whether PVE talks to it.
    pub enabled: bool,
    /// Trim the file systems after a disk was moved.
    pub fstrim_cloned_disks: Option<bool>,
    /// How it is reached.
    pub kind: Option<AgentKind>,
    rest: Parts,
}

impl AgentOption {
    /// The agent on or off, all else left to PVE.
    #[must_use]
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ..Self::default()
        }
    }
}

impl FromStr for AgentOption {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Parts::parse(PROPERTY, Some("enabled"), text)?;
        let enabled = parts
            .take_as(PROPERTY, "enabled", parse_flag)?
            .ok_or_else(|| PropertyError::new(PROPERTY, text))?;
        Ok(Self {
            enabled,
            fstrim_cloned_disks: parts.take_flag(PROPERTY, "fstrim_cloned_disks")?,
            kind: parts.take_as(PROPERTY, "type", |kind| match kind {
                "virtio" => Some(AgentKind::Virtio),
                "isa" => Some(AgentKind::Isa),
                _ => None,
            })?,
            rest: parts,
        })
    }
}

impl fmt::Display for AgentOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::new(f);
        out.pair("enabled", u8::from(self.enabled))?;
        out.flag("fstrim_cloned_disks", self.fstrim_cloned_disks)?;
        let kind = self.kind.map(|kind| match kind {
            AgentKind::Virtio => "virtio",
            AgentKind::Isa => "isa",
        });
        out.maybe("type", kind)?;
        self.rest.write(&mut out)
    }
}
