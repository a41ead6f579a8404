//! Holding names, addresses and VMIDs. The partial unique index on `(kind, value)` has the last word.

use crate::entity::reservations::{ActiveModel, Column, Entity};
use crate::error::{broken, store_error};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QuerySelect, Statement, sea_query::ExprTrait,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tpm_domain::{ServerId, ServerName, Vmid};
use tpm_store::{ClusterReads, ReservationWrites, Result, VmidRange};

const VMID_COUNTER: &str = "vmid";

/// Numbers that are looked at in one question.
const WINDOW: i64 = 256;

impl Session<DatabaseTransaction> {
    /// The numbers from `from` to `to` that may not be given: held, resting, or somebody else's.
    async fn blocked(&self, from: i64, to: i64, rest: Duration) -> Result<BTreeSet<i64>> {
        let rested = self.now_ms - i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        let in_use: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Value)
            .filter(Column::Kind.eq("vmid"))
            .filter(Column::Value.is_in((from..=to).map(|n| n.to_string())))
            .filter(
                Condition::any()
                    .add(Column::State.eq("held"))
                    .add(ExprTrait::and(
                        Column::State.eq("quarantine"),
                        Column::EndedMs.gt(rested),
                    )),
            )
            .into_tuple()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let mut blocked = in_use
            .iter()
            .map(|text| text.parse().map_err(broken))
            .collect::<Result<BTreeSet<i64>>>()?;
        let burnt = Statement::from_sql_and_values(
            self.backend,
            "SELECT vmid FROM burnt_vmids WHERE vmid BETWEEN $1 AND $2",
            [from.into(), to.into()],
        );
        for row in self.db.query_all_raw(burnt).await.map_err(store_error)? {
            blocked.insert(row.try_get("", "vmid").map_err(store_error)?);
        }
        Ok(blocked)
    }
}

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
        let (first, last) = (i64::from(range.first.0), i64::from(range.last.0));
        // From behind the number given last to the end, then once round from the beginning. A counter
        // beyond the range (the range was moved) begins at the beginning: what was given is passed over.
        let next = if (first..last).contains(&given) {
            given + 1
        } else {
            first
        };
        let mut vmids = Vec::with_capacity(count);
        for (from, to) in [(next, last), (first, next - 1)] {
            let mut at = from;
            while vmids.len() < count && at <= to {
                let end = std::cmp::min(to, at + WINDOW - 1);
                let blocked = self.blocked(at, end, range.quarantine).await?;
                let free = (at..=end).filter(|n| !blocked.contains(n));
                let more = count - vmids.len();
                vmids.extend(
                    free.take(more)
                        .filter_map(|n| u32::try_from(n).ok().map(Vmid)),
                );
                at = end + 1;
            }
        }
        if let Some(top) = vmids.last() {
            self.run(
                "UPDATE counters SET value = $1 WHERE name = $2",
                [i64::from(top.0).into(), VMID_COUNTER.into()],
            )
            .await?;
            // What is given again has left its quarantine.
            let values = vmids.iter().map(ToString::to_string);
            Entity::update_many()
                .col_expr(Column::State, "released".into())
                .filter(Column::Kind.eq("vmid"))
                .filter(Column::State.eq("quarantine"))
                .filter(Column::Value.is_in(values))
                .exec(&self.db)
                .await
                .map_err(store_error)?;
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
        let mut taken = held
            .iter()
            .map(|text| text.parse().map_err(broken))
            .collect::<Result<BTreeSet<Ipv4Addr>>>()?;
        let foreign = self.foreign_addresses().await?;
        taken.extend(foreign.into_iter().map(|found| found.ip));
        Ok(taken)
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
            .map_err(store_error)?;
        self.run(
            "UPDATE servers SET holds = $1 WHERE id = $2 AND NOT holds",
            [true.into(), server.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn release(&self, server: ServerId) -> Result<()> {
        self.run(
            "UPDATE reservations
             SET state = CASE WHEN kind = 'vmid' THEN 'quarantine' ELSE 'released' END, ended_ms = $1
             WHERE server_id = $2 AND state = 'held'",
            [self.now_ms.into(), server.0.into()],
        )
        .await?;
        self.run(
            "UPDATE servers SET holds = $1 WHERE id = $2 AND holds",
            [false.into(), server.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn is_quarantined(&self, vmid: Vmid) -> Result<bool> {
        let row = self
            .first(
                "SELECT 1 AS n FROM reservations
                 WHERE kind = 'vmid' AND value = $1 AND state = 'quarantine'",
                [vmid.to_string().into()],
            )
            .await?;
        Ok(row.is_some())
    }

    async fn end_quarantine(&self, vmid: Vmid) -> Result<()> {
        self.run(
            "UPDATE reservations SET state = 'released'
             WHERE kind = 'vmid' AND value = $1 AND state = 'quarantine'",
            [vmid.to_string().into()],
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
