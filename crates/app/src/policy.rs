//! What may be asked for on this installation: roles, bounds, where numbers and addresses come from.

use std::collections::BTreeMap;
use tpm_domain::{BackupMode, Compression, PlacementPolicy, Spread};
use tpm_store::VmidRange;

/// What one role asks of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleProfile {
    /// Smallest disk in GiB: that of the role's template.
    pub min_disk_gb: u32,
    /// Tags of its servers that have none of their own.
    pub tags: Vec<String>,
    /// Whether its servers keep away from each other, when the request does not say.
    pub spread: Spread,
}

/// Bounds of a request, all included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most CPU cores.
    pub max_cpu: u32,
    /// Least memory in MiB.
    pub min_memory_mb: u32,
    /// Most memory in MiB.
    pub max_memory_mb: u32,
    /// Largest disk in GiB.
    pub max_disk_gb: u32,
    /// Most servers in one bulk.
    pub max_bulk: usize,
    /// Most network interfaces of one server.
    pub max_nics: usize,
}

/// What an interface is when the request does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkDefaults {
    /// The bridge.
    pub bridge: String,
    /// The VLAN tag.
    pub vlan: Option<u16>,
}

/// What a backup is when the request does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPolicy {
    /// Where it goes.
    pub storage: String,
    /// How a running guest is treated.
    pub mode: BackupMode,
    /// How it is packed.
    pub compression: Compression,
    /// Whether a server is backed up before a backup is restored over it.
    pub safety: bool,
    /// How backups are tried.
    pub drill: DrillPolicy,
}

/// Where the guests of drills are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPolicy {
    /// The name of the network that they are on: its bridge leads nowhere.
    pub network: String,
    /// The engine that makes them.
    pub engine: String,
}

impl Default for DrillPolicy {
    fn default() -> Self {
        Self {
            network: "drill".into(),
            engine: "direct".into(),
        }
    }
}

impl Default for BackupPolicy {
    fn default() -> Self {
        Self {
            storage: "local".into(),
            mode: BackupMode::Snapshot,
            compression: Compression::Zstd,
            safety: true,
            drill: DrillPolicy::default(),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Roles by name.
    pub roles: BTreeMap<String, RoleProfile>,
    /// The engine of a server whose request names none.
    pub default_engine: String,
    /// The engines there are.
    pub engines: Vec<String>,
    /// Numbers for guests.
    pub vmids: VmidRange,
    /// Interfaces of who does not say.
    pub network: NetworkDefaults,
    /// How servers are placed, by engine; engines without nodes are not in it.
    pub placement: BTreeMap<String, PlacementPolicy>,
    /// How backups are made.
    pub backup: BackupPolicy,
    /// Whether everybody who logs in has to have a second factor.
    pub second_factor: bool,
    /// Bounds.
    pub limits: Limits,
}
