//! What the engine is set to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a role's guests are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRole {
    /// VMIDs of its templates, the preferred one first: one on shared storage, or one for each node.
    pub templates: Vec<u32>,
    /// cloud-init user.
    pub user: String,
    /// Public SSH keys for that user.
    pub ssh_keys: Vec<String>,
    /// Tags of the guest.
    pub tags: Vec<String>,
}

/// How backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupWidths {
    /// Most at once on one node, over all workers; PVE itself makes one at a time.
    pub per_node: u32,
    /// Most at once to one storage, over all workers.
    pub per_storage: u32,
    /// How long one may take, and a restore too.
    pub timeout: Duration,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Roles by name.
    pub roles: BTreeMap<String, EngineRole>,
    /// Copy the template's disks instead of linking to them.
    pub full_clone: bool,
    /// Storage for copied disks; that of the template when `None`.
    pub storage: Option<String>,
    /// Most clones in flight at once on one storage and of one template, over all workers. How many are
    /// best is found by measuring, and never more than this.
    pub max_clones: u32,
    /// Most clones in flight at once to one node.
    pub max_clones_per_node: u32,
    /// How long a node may be away before what was begun on it is given up.
    pub node_patience: Duration,
    /// How long a guest may take to shut down before it is switched off.
    pub shutdown_timeout: Duration,
    /// How long to wait for the guest agent of a new server.
    pub agent_timeout: Duration,
    /// How long any other step may take in all.
    pub step_timeout: Duration,
    /// DNS servers for cloud-init; the node's own when empty.
    pub dns: Vec<IpAddr>,
    /// How backups are made.
    pub backup: BackupWidths,
    /// DNS search domain for cloud-init.
    pub search_domain: Option<String>,
}
