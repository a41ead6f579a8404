//! The cluster as it was seen last, and what our servers take of it.

use crate::rows::NodeRow;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{ClusterPicture, ForeignAddress, Promised, Timestamp, Vmid};
use tpm_store::{ClusterReads, ClusterWrites, NodeLimit, Result};

#[async_trait]
impl<S: Source> ClusterReads for Session<S> {
    async fn picture(&self) -> Result<ClusterPicture> {
        let tables = self.0.look().await?;
        Ok(ClusterPicture {
            nodes: tables.nodes.values().map(|row| row.view.clone()).collect(),
            storages: tables.storages.values().cloned().collect(),
            templates: tables.templates.values().cloned().collect(),
            seen_at: tables.seen_at,
        })
    }

    async fn promised(&self, picture: &ClusterPicture) -> Result<Promised> {
        let tables = self.0.look().await?;
        let mut promised = Promised::default();
        for (node, _) in tables.nodes.iter() {
            promised.nodes.insert(node.clone(), tables.taken_of(node));
        }
        for row in tables.servers.values().filter(|row| row.holds) {
            let server = &row.server;
            let Some(node) = server.place() else { continue };
            let role = (node.clone(), server.spec.role.clone());
            *promised.roles.entry(role).or_default() += 1;
            if let (None, Some(placement)) = (&server.identity, &server.placement) {
                promised.add_disk(picture, node, &placement.storage, server.spec.disk_gb);
            }
        }
        Ok(promised)
    }

    async fn foreign_addresses(&self) -> Result<Vec<ForeignAddress>> {
        let tables = self.0.look().await?;
        Ok(tables.foreign_addresses.values().cloned().collect())
    }

    async fn foreign_read_at(&self) -> Result<BTreeMap<Vmid, Timestamp>> {
        let tables = self.0.look().await?;
        Ok(tables
            .foreign_read
            .iter()
            .map(|(vmid, at)| (*vmid, *at))
            .collect())
    }
}

#[async_trait]
impl ClusterWrites for Session<Transaction> {
    async fn save_picture(&self, picture: &ClusterPicture, limits: &[NodeLimit]) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            tables.seen_at = Some(now);
            tables.nodes.retain(|_, _| false);
            for view in &picture.nodes {
                let limit = limits.iter().find(|limit| limit.node == view.name);
                let (cpu_limit, memory_limit_mb) =
                    limit.map_or((0, 0), |limit| (limit.cpu, limit.memory_mb));
                // A bound below what is promised is raised to it: promised stays promised.
                let (cpu, memory) = tables.taken_of(&view.name);
                let row = NodeRow {
                    view: view.clone(),
                    cpu_limit: cpu_limit.max(cpu),
                    memory_limit_mb: memory_limit_mb.max(memory),
                };
                tables.nodes.set(view.name.clone(), row);
            }
            tables.storages.retain(|_, _| false);
            for view in &picture.storages {
                let key = (view.node.clone(), view.name.clone());
                tables.storages.set(key, view.clone());
            }
            tables.templates.retain(|_, _| false);
            for view in &picture.templates {
                tables.templates.set(view.vmid, view.clone());
            }
            Ok(())
        })
    }

    async fn save_foreign_addresses(&self, vmid: Vmid, found: &[ForeignAddress]) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            tables.foreign_addresses.retain(|(of, _), _| *of != vmid);
            for address in found {
                let kept = ForeignAddress {
                    vmid,
                    ..address.clone()
                };
                tables.foreign_addresses.set((vmid, address.ip), kept);
            }
            tables.foreign_read.set(vmid, now);
            Ok(())
        })
    }

    async fn forget_guests_except(&self, there: &BTreeSet<Vmid>) -> Result<()> {
        self.0.change(|tables| {
            tables.foreign_read.retain(|vmid, _| there.contains(vmid));
            tables
                .foreign_addresses
                .retain(|(vmid, _), _| there.contains(vmid));
            tables.sightings.retain(|vmid, _| there.contains(vmid));
            Ok(())
        })
    }

    async fn burn_vmid(&self, vmid: Vmid) -> Result<bool> {
        self.0.change(|tables| {
            let new = !tables.burnt.contains(&vmid);
            if new {
                tables.burnt.set(vmid, ());
            }
            Ok(new)
        })
    }

    async fn sight(&self, vmid: Vmid, mark: &str) -> Result<Timestamp> {
        let now = self.0.now();
        self.0.change(|tables| match tables.sightings.get(&vmid) {
            Some((known, first)) if known == mark => Ok(*first),
            // Another mark under the same number is another guest, seen for the first time.
            _ => {
                tables.sightings.set(vmid, (mark.to_owned(), now));
                Ok(now)
            }
        })
    }
}
