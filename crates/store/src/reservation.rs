//! Names, addresses and VMIDs: held for one server, decided by unique indexes and not by luck.

use crate::Result;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tpm_domain::{ServerId, ServerName, Vmid};

/// The numbers this installation may give to guests, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmidRange {
    /// The first.
    pub first: Vmid,
    /// The last.
    pub last: Vmid,
    /// How long a number that was given rests before it may be given again.
    pub quarantine: Duration,
}

/// Holding and letting go. All of it only inside the transaction that writes the server.
#[async_trait]
pub trait ReservationWrites: Send + Sync {
    /// Waits until no other transaction is reserving, so that what is read now stays true until commit.
    async fn lock_reservations(&self) -> Result<()>;
    /// The next `count` numbers of the range, in ascending order, fewer when it runs out. Numbers that
    /// were given are given again only once the whole range was used up, and only when they have been in
    /// quarantine for [`VmidRange::quarantine`]. Each is then held in the same transaction.
    async fn allocate_vmids(&self, range: VmidRange, count: usize) -> Result<Vec<Vmid>>;
    /// Every address that is held, or that a guest of others has.
    async fn addresses_taken(&self) -> Result<BTreeSet<Ipv4Addr>>;
    /// Holds a name, addresses and a VMID for a server.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when one of them is held already.
    async fn hold(
        &self,
        server: ServerId,
        name: &ServerName,
        addresses: &[Ipv4Addr],
        vmid: Vmid,
    ) -> Result<()>;
    /// Lets go of a server's name and addresses, puts its VMID into quarantine, and gives its room back to
    /// node and project.
    async fn release(&self, server: ServerId) -> Result<()>;
    /// Whether a number is in quarantine.
    async fn is_quarantined(&self, vmid: Vmid) -> Result<bool>;
    /// Ends a number's quarantine, because the guest that it was given up for turned out to be ours.
    async fn end_quarantine(&self, vmid: Vmid) -> Result<()>;
    /// Puts the server's VMID into quarantine and holds another for it, which is returned and written
    /// to the server's row; `None` when the range is used up.
    async fn replace_vmid(&self, server: ServerId, range: VmidRange) -> Result<Option<Vmid>>;
}
