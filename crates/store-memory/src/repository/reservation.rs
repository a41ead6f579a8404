//! Holding names, addresses and VMIDs: one row per thing, so that it has one holder.

use crate::rows::{Reservation, Tables, Thing, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tpm_domain::{ServerId, ServerName, Timestamp, Vmid};
use tpm_store::{ReservationWrites, Result, VmidRange};

/// Whether a number may not be given now: held, resting, or somebody else's.
pub(super) fn is_blocked(tables: &Tables, vmid: Vmid, range: VmidRange, now: Timestamp) -> bool {
    let resting = |held: &Reservation| {
        held.quarantined_at
            .is_none_or(|since| since.plus(range.quarantine) > now)
    };
    tables.burnt.contains(&vmid)
        || tables
            .reservations
            .get(&Thing::Vmid(vmid))
            .is_some_and(resting)
}

fn allocate(tables: &mut Tables, range: VmidRange, count: usize, now: Timestamp) -> Vec<Vmid> {
    let (first, last) = (range.first.0, range.last.0);
    // From behind the number given last to the end, then once round from the beginning.
    let next = if (first..last).contains(&tables.last_vmid) {
        tables.last_vmid + 1
    } else {
        first
    };
    let vmids: Vec<Vmid> = (next..=last)
        .chain(first..next)
        .map(Vmid)
        .filter(|vmid| !is_blocked(tables, *vmid, range, now))
        .take(count)
        .collect();
    if let Some(top) = vmids.last() {
        tables.last_vmid = top.0;
    }
    // What is given again has left its quarantine.
    for vmid in &vmids {
        tables.reservations.remove(&Thing::Vmid(*vmid));
    }
    vmids
}

fn hold(tables: &mut Tables, server: ServerId, thing: Thing) -> Result<()> {
    if tables.reservations.contains(&thing) {
        return Err(constraint(format!("{thing:?} held twice")));
    }
    if !tables.servers.contains(&server) {
        return Err(constraint(format!("no server {server}")));
    }
    let row = Reservation {
        server,
        quarantined_at: None,
    };
    tables.reservations.set(thing, row);
    Ok(())
}

/// Lets go of what a server holds; its VMID rests from now on.
fn let_go(tables: &mut Tables, server: ServerId, which: impl Fn(&Thing) -> bool, now: Timestamp) {
    let held: Vec<Thing> = tables
        .reservations
        .iter()
        .filter(|(thing, row)| row.server == server && row.quarantined_at.is_none() && which(thing))
        .map(|(thing, _)| thing.clone())
        .collect();
    for thing in held {
        if !matches!(thing, Thing::Vmid(_)) {
            tables.reservations.remove(&thing);
        } else if let Some(row) = tables.reservations.get_mut(&thing) {
            row.quarantined_at = Some(now);
        }
    }
}

#[async_trait]
impl ReservationWrites for Session<Transaction> {
    async fn lock_reservations(&self) -> Result<()> {
        // The transaction is the only writer already.
        self.0.change(|_| Ok(()))
    }

    async fn allocate_vmids(&self, range: VmidRange, count: usize) -> Result<Vec<Vmid>> {
        let now = self.0.now();
        self.0
            .change(|tables| Ok(allocate(tables, range, count, now)))
    }

    async fn addresses_taken(&self) -> Result<BTreeSet<Ipv4Addr>> {
        let tables = self.0.look().await?;
        let held = tables.reservations.iter().filter_map(|(thing, _)| {
            if let Thing::Address(ip) = thing {
                Some(*ip)
            } else {
                None
            }
        });
        let foreign = tables.foreign_addresses.values().map(|found| found.ip);
        Ok(held.chain(foreign).collect())
    }

    async fn hold(
        &self,
        server: ServerId,
        name: &ServerName,
        addresses: &[Ipv4Addr],
        vmid: Vmid,
    ) -> Result<()> {
        self.0.change(|tables| {
            hold(tables, server, Thing::Name(name.clone()))?;
            hold(tables, server, Thing::Vmid(vmid))?;
            for ip in addresses {
                hold(tables, server, Thing::Address(*ip))?;
            }
            if let Some(row) = tables.servers.get_mut(&server) {
                row.holds = true;
            }
            tables.check_server(server)
        })
    }

    async fn release(&self, server: ServerId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let_go(tables, server, |_| true, now);
            if let Some(row) = tables.servers.get_mut(&server) {
                row.holds = false;
            }
            Ok(())
        })
    }

    async fn is_quarantined(&self, vmid: Vmid) -> Result<bool> {
        let tables = self.0.look().await?;
        let row = tables.reservations.get(&Thing::Vmid(vmid));
        Ok(row.is_some_and(|row| row.quarantined_at.is_some()))
    }

    async fn end_quarantine(&self, vmid: Vmid) -> Result<()> {
        self.0.change(|tables| {
            let thing = Thing::Vmid(vmid);
            let rests = |row: &Reservation| row.quarantined_at.is_some();
            if tables.reservations.get(&thing).is_some_and(rests) {
                tables.reservations.remove(&thing);
            }
            Ok(())
        })
    }

    async fn replace_vmid(&self, server: ServerId, range: VmidRange) -> Result<Option<Vmid>> {
        let now = self.0.now();
        self.0.change(|tables| {
            let Some(vmid) = allocate(tables, range, 1, now).pop() else {
                return Ok(None);
            };
            let_go(tables, server, |thing| matches!(thing, Thing::Vmid(_)), now);
            hold(tables, server, Thing::Vmid(vmid))?;
            let row = tables
                .servers
                .get_mut(&server)
                .ok_or_else(|| broken(format!("no server {server}")))?;
            row.server.vmid = vmid;
            row.server.updated_at = now;
            tables.check_server(server)?;
            Ok(Some(vmid))
        })
    }
}
