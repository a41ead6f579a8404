//! Networks, and who holds their addresses.

use crate::rows::{Tables, Thing, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::net::Ipv4Addr;
use tpm_domain::{Network, NetworkId, NetworkSpec, ServerId, ServerName};
use tpm_store::{NetworkReads, NetworkWrites, Result};

#[async_trait]
impl<S: Source> NetworkReads for Session<S> {
    async fn networks(&self) -> Result<Vec<Network>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Network> = tables.networks.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn network(&self, id: NetworkId) -> Result<Option<Network>> {
        Ok(self.0.look().await?.networks.get(&id).cloned())
    }

    async fn address_holders(&self) -> Result<Vec<(Ipv4Addr, ServerId, ServerName)>> {
        let tables = self.0.look().await?;
        let holder = |(thing, held): (&Thing, &crate::rows::Reservation)| {
            let Thing::Address(ip) = thing else {
                return None;
            };
            let server = &tables.servers.get(&held.server)?.server;
            Some((*ip, server.id, server.name.clone()))
        };
        Ok(tables.reservations.iter().filter_map(holder).collect())
    }
}

fn check(tables: &Tables, id: NetworkId, name: &ServerName, spec: &NetworkSpec) -> Result<()> {
    let taken = |other: &Network| other.id != id && other.name == *name;
    if tables.networks.values().any(taken) {
        return Err(constraint(format!("network {name} twice")));
    }
    let tag = spec.vlan.is_none_or(|tag| (1..=4094).contains(&tag));
    if !(1..=32).contains(&spec.prefix) || !tag {
        return Err(constraint(format!("prefix or vlan of network {name}")));
    }
    Ok(())
}

#[async_trait]
impl NetworkWrites for Session<Transaction> {
    async fn insert_network(&self, name: &ServerName, spec: &NetworkSpec) -> Result<NetworkId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = NetworkId(tables.next_id());
            check(tables, id, name, spec)?;
            let network = Network {
                id,
                name: name.clone(),
                spec: spec.clone(),
                created_at: now,
                updated_at: now,
            };
            tables.networks.set(id, network);
            Ok(id)
        })
    }

    async fn save_network(&self, network: &Network) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            check(tables, network.id, &network.name, &network.spec)?;
            let row = tables
                .networks
                .get_mut(&network.id)
                .ok_or_else(|| broken(format!("no network {}", network.id)))?;
            row.name = network.name.clone();
            row.spec = network.spec.clone();
            row.updated_at = now;
            Ok(())
        })
    }

    async fn delete_network(&self, id: NetworkId) -> Result<()> {
        self.0.change(|tables| {
            tables.networks.remove(&id);
            Ok(())
        })
    }
}
