//! Holding names, addresses and VMIDs. The partial unique index on `(kind, value)` has the last word.

use crate::entity::reservations::{ActiveModel, Column, Entity};
use crate::error::{broken, store_error};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use tpm_domain::{ServerId, ServerName, Vmid};
use tpm_store::{ReservationWrites, Result, VmidRange};

const VMID_COUNTER: &str = "vmid";

#[async_trait]
impl ReservationWrites for Session<DatabaseTransaction> {
    async fn lock_reservations(&self) -> Result<()> {
        // On SQLite the transaction is the only writer already; on PostgreSQL the row lock of this
        // update makes the others wait until commit.
        self.run(
            "INSERT INTO counters (name, value) VALUES ($1, 0)
             ON CONFLICT (name) DO UPDATE SET value = counters.value",
            [VMID_COUNTER.into()],
        )
        .await
        .map(|_| ())
    }

    async fn allocate_vmids(&self, range: VmidRange, count: usize) -> Result<Vec<Vmid>> {
        self.lock_reservations().await?;
        let row = self
            .first(
                "SELECT value FROM counters WHERE name = $1",
                [VMID_COUNTER.into()],
            )
            .await?
            .ok_or_else(|| broken("no vmid counter"))?;
        let given: i64 = row.try_get("", "value").map_err(store_error)?;
        // A counter that stands beyond the range (the range was moved down) would reuse numbers if it
        // were set back, so numbers known to have been given inside the range are passed over.
        let first = i64::from(range.first.0);
        let last = i64::from(range.last.0);
        let mut next = if given < first || given > last {
            first
        } else {
            given + 1
        };
        if given > last || given < first {
            let row = self
                .first(
                    "SELECT MAX(CAST(value AS BIGINT)) AS top FROM reservations
                     WHERE kind = 'vmid' AND CAST(value AS BIGINT) BETWEEN $1 AND $2",
                    [first.into(), last.into()],
                )
                .await?;
            let top: Option<i64> = match row {
                Some(row) => row.try_get("", "top").map_err(store_error)?,
                None => None,
            };
            next = top.map_or(first, |top| top + 1);
        }
        let wanted = i64::try_from(count).map_err(broken)?;
        let end = (next + wanted - 1).min(last);
        let vmids: Vec<Vmid> = (next..=end)
            .filter_map(|number| u32::try_from(number).ok().and_then(Vmid::new))
            .collect();
        if let Some(top) = vmids.last() {
            self.run(
                "UPDATE counters SET value = $1 WHERE name = $2",
                [i64::from(top.0).into(), VMID_COUNTER.into()],
            )
            .await?;
        }
        Ok(vmids)
    }

    async fn addresses_taken(&self) -> Result<BTreeSet<Ipv4Addr>> {
        let held: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Value)
            .filter(Column::Kind.eq("address"))
            .filter(Column::State.ne("released"))
            .into_tuple()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        held.iter()
            .map(|text| text.parse().map_err(broken))
            .collect()
    }

    async fn hold(
        &self,
        server: ServerId,
        name: &ServerName,
        addresses: &[Ipv4Addr],
        vmid: Vmid,
    ) -> Result<()> {
        let mut values = vec![("name", name.to_string()), ("vmid", vmid.to_string())];
        values.extend(addresses.iter().map(|ip| ("address", ip.to_string())));
        let rows = values.into_iter().map(|(kind, value)| ActiveModel {
            kind: Set(kind.into()),
            value: Set(value),
            server_id: Set(server.0),
            state: Set("held".into()),
            created_ms: Set(self.now_ms),
            ..Default::default()
        });
        Entity::insert_many(rows)
            .exec_without_returning(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn release(&self, server: ServerId) -> Result<()> {
        self.run(
            "UPDATE reservations
             SET state = CASE WHEN kind = 'vmid' THEN 'quarantine' ELSE 'released' END, ended_ms = $1
             WHERE server_id = $2 AND state = 'held'",
            [self.now_ms.into(), server.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn replace_vmid(&self, server: ServerId, range: VmidRange) -> Result<Option<Vmid>> {
        let Some(vmid) = self.allocate_vmids(range, 1).await?.pop() else {
            return Ok(None);
        };
        self.run(
            "UPDATE reservations SET state = 'quarantine', ended_ms = $1
             WHERE server_id = $2 AND kind = 'vmid' AND state = 'held'",
            [self.now_ms.into(), server.0.into()],
        )
        .await?;
        let row = ActiveModel {
            kind: Set("vmid".into()),
            value: Set(vmid.to_string()),
            server_id: Set(server.0),
            state: Set("held".into()),
            created_ms: Set(self.now_ms),
            ..Default::default()
        };
        Entity::insert(row)
            .exec_without_returning(&self.db)
            .await
            .map_err(store_error)?;
        self.run(
            "UPDATE servers SET vmid = $1, updated_ms = $2 WHERE id = $3",
            [
                i64::from(vmid.0).into(),
                self.now_ms.into(),
                server.0.into(),
            ],
        )
        .await?;
        Ok(Some(vmid))
    }
}
