//! What a cluster was seen to consist of, so that placement and reservation need not ask it.

use crate::{GuestFigures, NodeName, Timestamp, Vmid};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A node as last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Whether it took part in the cluster.
    pub online: bool,
    /// Logical processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Cores of running guests that are not ours.
    pub foreign_cpu: u64,
    /// Memory in MiB of running guests that are not ours.
    pub foreign_memory_mb: u64,
}

/// A storage as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageView {
    /// The node.
    pub node: NodeName,
    /// The storage's name.
    pub name: String,
    /// Whether all nodes see the same content.
    pub shared: bool,
    /// Whether it takes disks of guests, and answered.
    pub usable: bool,
    /// Size in GiB.
    pub total_gb: u64,
    /// In use, in GiB.
    pub used_gb: u64,
}

/// A template as last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateView {
    /// Its number.
    pub vmid: Vmid,
    /// The node it is on.
    pub node: NodeName,
    /// The storage of its first disk.
    pub storage: String,
}

/// A guest in the list of the cluster. Name and status may be some seconds old.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestEntry {
    /// Its number.
    pub vmid: Vmid,
    /// The node it is on.
    pub node: NodeName,
    /// Its name, when the list knows it yet.
    pub name: Option<String>,
    /// `Some(true)` runs, `Some(false)` is off, `None` is not known.
    pub running: Option<bool>,
    /// Whether it is a template.
    pub template: bool,
    /// Whether it is a virtual machine, not a container.
    pub machine: bool,
    /// Its configuration's lock.
    pub lock: Option<String>,
    /// Virtual CPU cores.
    pub cpus: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// How much of what it has is in use.
    pub figures: GuestFigures,
}

/// Everything that one look at the list of a cluster shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Nodes, their foreign figures left at 0: who is foreign is known to the store.
    pub nodes: Vec<NodeView>,
    /// Storages, once for each node.
    pub storages: Vec<StorageView>,
    /// Templates that roles are made of.
    pub templates: Vec<TemplateView>,
    /// Guests.
    pub guests: Vec<GuestEntry>,
}

/// What was seen, as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPicture {
    /// Nodes.
    pub nodes: Vec<NodeView>,
    /// Storages.
    pub storages: Vec<StorageView>,
    /// Templates.
    pub templates: Vec<TemplateView>,
    /// When it was seen; `None` when never.
    pub seen_at: Option<Timestamp>,
}

/// An address that somebody else uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignAddress {
    /// The address.
    pub ip: Ipv4Addr,
    /// The guest that has it.
    pub vmid: Vmid,
    /// Its name.
    pub name: String,
}
