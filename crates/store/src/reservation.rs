//! Names, addresses and VMIDs: held for one server, decided by unique indexes and not by luck.

use crate::Result;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tpm_domain::{ServerId, ServerName, Vmid};

/// The numbers this installation may give to guests, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmidRange {
    /// The first.
    pub first: Vmid,
    /// The last.
    pub last: Vmid,
}

/// Holding and letting go. All of it only inside the transaction that writes the server.
#[async_trait]
pub trait ReservationWrites: Send + Sync {
    /// Waits until no other transaction is reserving, so that what is read now stays true until commit.
    async fn lock_reservations(&self) -> Result<()>;
    /// The next `count` numbers of the range that were never given before, fewer when it runs out.
    /// Each of them is then held in the same transaction, and counts as given for good.
    async fn allocate_vmids(&self, range: VmidRange, count: usize) -> Result<Vec<Vmid>>;
    /// Every address that is held.
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
    /// Lets go of a server's name and addresses, and puts its VMID into quarantine: it is never given
    /// again.
    async fn release(&self, server: ServerId) -> Result<()>;
    /// Puts the server's VMID into quarantine and holds another for it, which is returned and written
    /// to the server's row; `None` when the range is used up.
    async fn replace_vmid(&self, server: ServerId, range: VmidRange) -> Result<Option<Vmid>>;
}
