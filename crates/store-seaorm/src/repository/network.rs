//! Networks, and who holds their addresses.

use crate::entity::networks::{ActiveModel, Column, Entity};
use crate::entity::{reservations, servers};
use crate::error::{broken, store_error};
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction,
    EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationTrait,
};
use std::net::Ipv4Addr;
use tpm_domain::{Network, NetworkId, NetworkSpec, ServerId, ServerName};
use tpm_store::{NetworkReads, NetworkWrites, Result};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> NetworkReads for Session<C> {
    async fn networks(&self) -> Result<Vec<Network>> {
        let found = Entity::find()
            .order_by_asc(Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::network).collect()
    }

    async fn network(&self, id: NetworkId) -> Result<Option<Network>> {
        Entity::find_by_id(id.0)
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::network)
            .transpose()
    }

    async fn address_holders(&self) -> Result<Vec<(Ipv4Addr, ServerId, ServerName)>> {
        let held: Vec<(String, i64, String)> = reservations::Entity::find()
            .select_only()
            .column(reservations::Column::Value)
            .column(reservations::Column::ServerId)
            .column(servers::Column::Name)
            .join(JoinType::InnerJoin, reservations::Relation::Server.def())
            .filter(reservations::Column::Kind.eq("address"))
            .filter(reservations::Column::State.ne("released"))
            .into_tuple()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let mut holders = held
            .into_iter()
            .map(|(ip, id, name)| {
                let ip: Ipv4Addr = ip.parse().map_err(broken)?;
                let name = ServerName::new(&name).ok_or_else(|| broken("servers.name"))?;
                Ok((ip, ServerId(id), name))
            })
            .collect::<Result<Vec<_>>>()?;
        holders.sort_by_key(|(ip, _, _)| *ip);
        Ok(holders)
    }
}

fn set(row: &mut ActiveModel, spec: &NetworkSpec) -> Result<()> {
    row.first = Set(spec.range.first().to_string());
    row.last = Set(spec.range.last().to_string());
    row.prefix = Set(spec.prefix.into());
    row.gateway = Set(spec.gateway.map(|ip| ip.to_string()));
    row.dns = Set(rows::to_json(&spec.dns)?);
    row.bridge = Set(spec.bridge.clone());
    row.vlan = Set(spec.vlan.map(i64::from));
    row.exclusions = Set(rows::to_json(&spec.exclusions)?);
    Ok(())
}

#[async_trait]
impl NetworkWrites for Session<DatabaseTransaction> {
    async fn insert_network(&self, name: &ServerName, spec: &NetworkSpec) -> Result<NetworkId> {
        let mut row = ActiveModel {
            name: Set(name.to_string()),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        set(&mut row, spec)?;
        let inserted = Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(NetworkId(inserted.last_insert_id))
    }

    async fn save_network(&self, network: &Network) -> Result<()> {
        let mut row = ActiveModel {
            id: Set(network.id.0),
            name: Set(network.name.to_string()),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        set(&mut row, &network.spec)?;
        row.update(&self.db).await.map(|_| ()).map_err(store_error)
    }

    async fn delete_network(&self, id: NetworkId) -> Result<()> {
        Entity::delete_by_id(id.0)
            .exec(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}
