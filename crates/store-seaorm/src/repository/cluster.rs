//! The cluster as it was seen last, and what our servers take of it.

use crate::entity::{foreign_addresses, nodes, storages, templates};
use crate::error::{broken, store_error};
use crate::rows::{size, stored};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QueryResult, Statement,
};
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{
    ClusterPicture, ForeignAddress, NodeName, NodeView, Promised, StorageView, TemplateView,
    Timestamp, Vmid,
};
use tpm_store::{ClusterReads, ClusterWrites, NodeLimit, ReservationWrites, Result};

/// The counter that keeps when the picture was taken.
const SEEN: &str = "picture";

fn vmid(number: i64) -> Result<Vmid> {
    u32::try_from(number).map(Vmid).map_err(broken)
}

impl<C: ConnectionTrait> Session<C> {
    async fn rows(&self, sql: &str) -> Result<Vec<QueryResult>> {
        self.db
            .query_all_raw(Statement::from_string(self.backend, sql))
            .await
            .map_err(store_error)
    }
}

fn text(row: &QueryResult, column: &str) -> Result<String> {
    row.try_get("", column).map_err(store_error)
}

fn number(row: &QueryResult, column: &str) -> Result<i64> {
    row.try_get("", column).map_err(store_error)
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ClusterReads for Session<C> {
    async fn picture(&self) -> Result<ClusterPicture> {
        let seen = self
            .first("SELECT value FROM counters WHERE name = $1", [SEEN.into()])
            .await?;
        let seen_at = seen.map(|row| number(&row, "value")).transpose()?;
        let nodes = nodes::Entity::find()
            .order_by_asc(nodes::Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(|row| {
                Ok(NodeView {
                    name: NodeName(row.name),
                    online: row.online,
                    cpus: u32::try_from(row.cpus).map_err(broken)?,
                    memory_mb: size("nodes.memory_mb", row.memory_mb)?,
                    foreign_cpu: size("nodes.foreign_cpu", row.foreign_cpu)?,
                    foreign_memory_mb: size("nodes.foreign_memory_mb", row.foreign_memory_mb)?,
                })
            })
            .collect::<Result<_>>()?;
        let storages = storages::Entity::find()
            .order_by_asc(storages::Column::Node)
            .order_by_asc(storages::Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(|row| {
                Ok(StorageView {
                    node: NodeName(row.node),
                    name: row.name,
                    shared: row.shared,
                    usable: row.usable,
                    total_gb: size("storages.total_gb", row.total_gb)?,
                    used_gb: size("storages.used_gb", row.used_gb)?,
                })
            })
            .collect::<Result<_>>()?;
        let templates = templates::Entity::find()
            .order_by_asc(templates::Column::Vmid)
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(|row| {
                Ok(TemplateView {
                    vmid: vmid(row.vmid)?,
                    node: NodeName(row.node),
                    storage: row.storage,
                })
            })
            .collect::<Result<_>>()?;
        Ok(ClusterPicture {
            nodes,
            storages,
            templates,
            seen_at: seen_at.map(Timestamp),
        })
    }

    async fn promised(&self, picture: &ClusterPicture) -> Result<Promised> {
        let mut promised = Promised::default();
        for row in self
            .rows("SELECT name, used_cpu, used_memory_mb FROM nodes")
            .await?
        {
            let held = (
                size("nodes.used_cpu", number(&row, "used_cpu")?)?,
                size("nodes.used_memory_mb", number(&row, "used_memory_mb")?)?,
            );
            promised.nodes.insert(NodeName(text(&row, "name")?), held);
        }
        let roles = "SELECT place, role, COUNT(*) AS n FROM servers
                     WHERE holds AND place IS NOT NULL GROUP BY place, role";
        for row in self.rows(roles).await? {
            let key = (NodeName(text(&row, "place")?), text(&row, "role")?);
            let count = u32::try_from(number(&row, "n")?).map_err(broken)?;
            promised.roles.insert(key, count);
        }
        let unbuilt = "SELECT place, storage, CAST(SUM(disk_gb) AS BIGINT) AS gb FROM servers
                       WHERE holds AND identity IS NULL AND place IS NOT NULL
                         AND storage IS NOT NULL
                       GROUP BY place, storage";
        for row in self.rows(unbuilt).await? {
            let gb = u32::try_from(number(&row, "gb")?).unwrap_or(u32::MAX);
            let node = NodeName(text(&row, "place")?);
            promised.add_disk(picture, &node, &text(&row, "storage")?, gb);
        }
        Ok(promised)
    }

    async fn foreign_addresses(&self) -> Result<Vec<ForeignAddress>> {
        foreign_addresses::Entity::find()
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(|row| {
                Ok(ForeignAddress {
                    ip: row.ip.parse().map_err(broken)?,
                    vmid: vmid(row.vmid)?,
                    name: row.name,
                })
            })
            .collect()
    }

    async fn foreign_read_at(&self) -> Result<BTreeMap<Vmid, Timestamp>> {
        self.rows("SELECT vmid, read_ms FROM foreign_guests")
            .await?
            .iter()
            .map(|row| {
                Ok((
                    vmid(number(row, "vmid")?)?,
                    Timestamp(number(row, "read_ms")?),
                ))
            })
            .collect()
    }
}

#[async_trait]
impl ClusterWrites for Session<DatabaseTransaction> {
    async fn save_picture(&self, picture: &ClusterPicture, limits: &[NodeLimit]) -> Result<()> {
        // Nobody reserves meanwhile, so that what is counted here is what is held.
        self.lock_reservations().await?;
        for table in ["storages", "templates"] {
            self.run(&format!("DELETE FROM {table}"), []).await?;
        }
        let names: Vec<_> = picture.nodes.iter().map(|n| n.name.0.clone()).collect();
        nodes::Entity::delete_many()
            .filter(nodes::Column::Name.is_not_in(names))
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        for node in &picture.nodes {
            let limit = limits.iter().find(|limit| limit.node == node.name);
            self.save_node(node, limit).await?;
        }
        let rows = picture.storages.iter().map(|view| storages::ActiveModel {
            node: Set(view.node.0.clone()),
            name: Set(view.name.clone()),
            shared: Set(view.shared),
            usable: Set(view.usable),
            total_gb: Set(stored(view.total_gb)),
            used_gb: Set(stored(view.used_gb)),
        });
        if !picture.storages.is_empty() {
            storages::Entity::insert_many(rows)
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
        }
        let rows = picture.templates.iter().map(|view| templates::ActiveModel {
            vmid: Set(view.vmid.0.into()),
            node: Set(view.node.0.clone()),
            storage: Set(view.storage.clone()),
        });
        if !picture.templates.is_empty() {
            templates::Entity::insert_many(rows)
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
        }
        self.run(
            "INSERT INTO counters (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET value = $2",
            [SEEN.into(), self.now_ms.into()],
        )
        .await
        .map(|_| ())
    }

    async fn save_foreign_addresses(&self, vmid: Vmid, found: &[ForeignAddress]) -> Result<()> {
        let id = i64::from(vmid.0);
        self.run("DELETE FROM foreign_addresses WHERE vmid = $1", [id.into()])
            .await?;
        let distinct: BTreeMap<_, _> = found.iter().map(|it| (it.ip, &it.name)).collect();
        let rows: Vec<_> = distinct
            .into_iter()
            .map(|(ip, name)| foreign_addresses::ActiveModel {
                vmid: Set(id),
                ip: Set(ip.to_string()),
                name: Set(name.clone()),
            })
            .collect();
        if !rows.is_empty() {
            foreign_addresses::Entity::insert_many(rows)
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
        }
        self.run(
            "INSERT INTO foreign_guests (vmid, read_ms) VALUES ($1, $2)
             ON CONFLICT (vmid) DO UPDATE SET read_ms = $2",
            [id.into(), self.now_ms.into()],
        )
        .await
        .map(|_| ())
    }

    async fn forget_guests_except(&self, there: &BTreeSet<Vmid>) -> Result<()> {
        for table in ["foreign_guests", "foreign_addresses", "sightings"] {
            let known = self
                .rows(&format!("SELECT DISTINCT vmid FROM {table}"))
                .await?;
            for row in known {
                let id = number(&row, "vmid")?;
                if !there.contains(&vmid(id)?) {
                    self.run(&format!("DELETE FROM {table} WHERE vmid = $1"), [id.into()])
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn burn_vmid(&self, vmid: Vmid) -> Result<bool> {
        let done = self
            .run(
                "INSERT INTO burnt_vmids (vmid, created_ms) VALUES ($1, $2)
                 ON CONFLICT (vmid) DO NOTHING",
                [i64::from(vmid.0).into(), self.now_ms.into()],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn sight(&self, vmid: Vmid, mark: &str) -> Result<Timestamp> {
        // Another mark under the same number is another guest, seen for the first time.
        let row = self
            .first(
                "INSERT INTO sightings (vmid, mark, first_ms) VALUES ($1, $2, $3)
                 ON CONFLICT (vmid) DO UPDATE SET
                    first_ms = CASE WHEN sightings.mark = $2 THEN sightings.first_ms ELSE $3 END,
                    mark = $2
                 RETURNING first_ms",
                [i64::from(vmid.0).into(), mark.into(), self.now_ms.into()],
            )
            .await?
            .ok_or_else(|| broken("no sighting"))?;
        number(&row, "first_ms").map(Timestamp)
    }
}

impl Session<DatabaseTransaction> {
    /// What our servers take of a node is counted anew; a bound below that is raised to it, since what
    /// was promised stays promised.
    async fn save_node(&self, node: &NodeView, limit: Option<&NodeLimit>) -> Result<()> {
        let row = self
            .first(
                "SELECT CAST(COALESCE(SUM(cpu), 0) AS BIGINT) AS cpu,
                        CAST(COALESCE(SUM(memory_mb), 0) AS BIGINT) AS memory
                 FROM servers WHERE holds AND place = $1",
                [node.name.0.clone().into()],
            )
            .await?
            .ok_or_else(|| broken("no sum"))?;
        let (cpu, memory) = (number(&row, "cpu")?, number(&row, "memory")?);
        let (cpu_limit, memory_limit) =
            limit.map_or((0, 0), |limit| (stored(limit.cpu), stored(limit.memory_mb)));
        self.run(
            "INSERT INTO nodes (name, online, cpus, memory_mb, foreign_cpu, foreign_memory_mb,
                    cpu_limit, memory_limit_mb, used_cpu, used_memory_mb)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (name) DO UPDATE SET online = $2, cpus = $3, memory_mb = $4,
                    foreign_cpu = $5, foreign_memory_mb = $6, cpu_limit = $7,
                    memory_limit_mb = $8, used_cpu = $9, used_memory_mb = $10",
            [
                node.name.0.clone().into(),
                node.online.into(),
                i64::from(node.cpus).into(),
                stored(node.memory_mb).into(),
                stored(node.foreign_cpu).into(),
                stored(node.foreign_memory_mb).into(),
                cpu_limit.max(cpu).into(),
                memory_limit.max(memory).into(),
                cpu.into(),
                memory.into(),
            ],
        )
        .await
        .map(|_| ())
    }
}
