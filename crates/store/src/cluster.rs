//! What was seen of the cluster, kept so that requests need not ask it.

use crate::Result;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{ClusterPicture, ForeignAddress, NodeName, Promised, Timestamp, Vmid};

/// Questions about the cluster as it was seen last.
#[async_trait]
pub trait ClusterReads: Send + Sync {
    /// Nodes, storages and templates.
    async fn picture(&self) -> Result<ClusterPicture>;
    /// What our servers take, built or not, on top of what was seen.
    async fn promised(&self, picture: &ClusterPicture) -> Result<Promised>;
    /// Addresses that guests of others have.
    async fn foreign_addresses(&self) -> Result<Vec<ForeignAddress>>;
    /// When each guest of others was last asked for its addresses.
    async fn foreign_read_at(&self) -> Result<BTreeMap<Vmid, Timestamp>>;
}

/// What may be promised of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    /// The node.
    pub node: NodeName,
    /// Cores.
    pub cpu: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
}

/// Writing down what was seen.
#[async_trait]
pub trait ClusterWrites: Send + Sync {
    /// Replaces the picture. The schema refuses servers beyond `limits` from then on; what is promised
    /// already stays promised.
    async fn save_picture(&self, picture: &ClusterPicture, limits: &[NodeLimit]) -> Result<()>;
    /// Replaces what is known of one guest's addresses.
    async fn save_foreign_addresses(&self, vmid: Vmid, found: &[ForeignAddress]) -> Result<()>;
    /// Forgets addresses and sightings of all guests but these.
    async fn forget_guests_except(&self, there: &BTreeSet<Vmid>) -> Result<()>;
    /// Takes a number that belongs to somebody else out of the range for good; `false` when it was
    /// already.
    async fn burn_vmid(&self, vmid: Vmid) -> Result<bool>;
    /// Notes that a leftover guest was seen; the moment it was seen first.
    async fn sight(&self, vmid: Vmid, mark: &str) -> Result<Timestamp>;
}
