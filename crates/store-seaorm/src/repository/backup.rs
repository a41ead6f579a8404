//! Backups.

use crate::entity::backups;
use crate::error::{broken, store_error};
use crate::repository::servers_of;
use crate::rows::{from_json, to_json};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use std::collections::BTreeMap;
use tpm_domain::{
    Backup, BackupId, BackupMode, BackupOrigin, BackupState, BackupToken, Compression, Freshness,
    NodeName, ScheduleId, ServerId, Timestamp, UserId, Verified, Vmid,
};
use tpm_store::{BackupQuery, BackupReads, BackupWrites, NewBackup, Page, Result};

fn backup(row: backups::Model) -> Result<Backup> {
    let mode = row.mode.as_deref();
    let mode = mode.map(|text| BackupMode::parse(text).ok_or_else(|| broken("backups.mode")));
    let packed = row.compression.as_deref();
    let packed =
        packed.map(|text| Compression::parse(text).ok_or_else(|| broken("backups.compression")));
    let failure = row.failure.as_deref();
    let verified = row.verified.as_deref();
    let size = row.size_bytes.map(u64::try_from);
    Ok(Backup {
        id: BackupId(row.id),
        token: BackupToken(row.token),
        server: ServerId(row.server_id),
        server_name: row.server_name,
        vmid: u32::try_from(row.vmid)
            .map(Vmid)
            .map_err(|_| broken("backups.vmid"))?,
        node: row.node.map(NodeName),
        storage: row.storage,
        volume: row.volume,
        state: BackupState::parse(&row.state).ok_or_else(|| broken("backups.state"))?,
        origin: BackupOrigin::parse(&row.origin).ok_or_else(|| broken("backups.origin"))?,
        mode: mode.transpose()?,
        compression: packed.transpose()?,
        notes: row.notes,
        protected: row.protected,
        size_bytes: size.transpose().map_err(|_| broken("backups.size_bytes"))?,
        warnings: from_json("backups.warnings", &row.warnings)?,
        failure: failure
            .map(|text| from_json("backups.failure", text))
            .transpose()?,
        verified: verified
            .map(|text| from_json("backups.verified", text))
            .transpose()?,
        schedule: row.schedule_id.map(ScheduleId),
        condemned_by: row.condemned_by.map(UserId),
        created_at: Timestamp(row.created_ms),
        finished_at: row.finished_ms.map(Timestamp),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> BackupReads for Session<C> {
    async fn backup(&self, id: BackupId) -> Result<Option<Backup>> {
        let row = backups::Entity::find_by_id(id.0).one(&self.db).await;
        row.map_err(store_error)?.map(backup).transpose()
    }

    async fn backup_named(&self, token: &BackupToken) -> Result<Option<Backup>> {
        let row = backups::Entity::find()
            .filter(backups::Column::Token.eq(token.0.as_str()))
            .one(&self.db)
            .await;
        row.map_err(store_error)?.map(backup).transpose()
    }

    async fn freshness(&self) -> Result<BTreeMap<ServerId, Freshness>> {
        let sql = "SELECT server_id, MAX(created_ms) AS made_ms FROM backups
                   WHERE state = 'completed' AND volume IS NOT NULL GROUP BY server_id";
        let mut all: BTreeMap<ServerId, Freshness> = BTreeMap::new();
        for row in self.listed(sql).await? {
            let server = row.try_get("", "server_id").map_err(store_error)?;
            let made = row.try_get("", "made_ms").map_err(store_error)?;
            all.entry(ServerId(server)).or_default().made_at = Some(Timestamp(made));
        }
        let sql = "SELECT server_id, verified FROM backups
                   WHERE state = 'completed' AND volume IS NOT NULL AND verified IS NOT NULL";
        for row in self.listed(sql).await? {
            let server = row.try_get("", "server_id").map_err(store_error)?;
            let proof: String = row.try_get("", "verified").map_err(store_error)?;
            let proof: Verified = from_json("backups.verified", &proof)?;
            let fresh = all.entry(ServerId(server)).or_default();
            fresh.verified_at = fresh.verified_at.max(Some(proof.at));
        }
        Ok(all)
    }

    async fn backups(&self, query: &BackupQuery) -> Result<Page<Backup>> {
        use backups::Column;
        let mut select = backups::Entity::find();
        if let Some(server) = query.server {
            select = select.filter(Column::ServerId.eq(server.0));
        }
        if let Some(state) = query.state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        if let Some(storage) = &query.storage {
            select = select.filter(Column::Storage.eq(storage.as_str()));
        }
        if query.condemned {
            select = select.filter(Column::CondemnedBy.is_not_null());
        }
        if let Some(projects) = &query.within {
            select = select.filter(Column::ServerId.in_subquery(servers_of(projects)));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let rows = select
            .order_by_desc(Column::CreatedMs)
            .order_by_desc(Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = rows.into_iter().map(backup).collect::<Result<_>>()?;
        Ok(Page { items, total })
    }
}

#[async_trait]
impl BackupWrites for Session<DatabaseTransaction> {
    async fn insert_backup(&self, new: &NewBackup) -> Result<BackupId> {
        let row = backups::ActiveModel {
            id: NotSet,
            token: Set(new.token.0.clone()),
            server_id: Set(new.server.0),
            server_name: Set(new.server_name.clone()),
            vmid: Set(new.vmid.0.into()),
            node: Set(None),
            storage: Set(new.storage.clone()),
            volume: Set(None),
            state: Set(BackupState::Pending.as_str().into()),
            origin: Set(new.origin.as_str().into()),
            mode: Set(new.mode.map(|mode| mode.as_str().into())),
            compression: Set(new.compression.map(|packed| packed.as_str().into())),
            notes: Set(new.notes.clone()),
            protected: Set(new.protected),
            size_bytes: Set(None),
            warnings: Set("[]".into()),
            failure: Set(None),
            verified: Set(None),
            created_ms: Set(self.now_ms),
            finished_ms: Set(None),
            schedule_id: Set(new.schedule.map(|id| id.0)),
            condemned_by: Set(None),
        };
        let done = backups::Entity::insert(row).exec(&self.db).await;
        Ok(BackupId(done.map_err(store_error)?.last_insert_id))
    }

    async fn save_backup(&self, backup: &Backup) -> Result<()> {
        let size = backup.size_bytes.map(i64::try_from).transpose();
        let failure = backup.failure.as_ref().map(to_json).transpose()?;
        let verified = backup.verified.as_ref().map(to_json).transpose()?;
        let row = backups::ActiveModel {
            id: Unchanged(backup.id.0),
            token: NotSet,
            server_id: NotSet,
            server_name: NotSet,
            vmid: NotSet,
            node: Set(backup.node.as_ref().map(|node| node.0.clone())),
            storage: Set(backup.storage.clone()),
            volume: Set(backup.volume.clone()),
            state: Set(backup.state.as_str().into()),
            origin: Set(backup.origin.as_str().into()),
            mode: Set(backup.mode.map(|mode| mode.as_str().into())),
            compression: Set(backup.compression.map(|packed| packed.as_str().into())),
            notes: Set(backup.notes.clone()),
            protected: Set(backup.protected),
            size_bytes: Set(size.map_err(broken)?),
            warnings: Set(to_json(&backup.warnings)?),
            failure: Set(failure),
            verified: Set(verified),
            created_ms: Set(backup.created_at.0),
            finished_ms: Set(backup.finished_at.map(|at| at.0)),
            schedule_id: NotSet,
            condemned_by: Set(backup.condemned_by.map(|by| by.0)),
        };
        let done = backups::Entity::update(row).exec(&self.db).await;
        done.map(|_| ()).map_err(store_error)
    }

    async fn delete_backup(&self, id: BackupId) -> Result<()> {
        let sql = "DELETE FROM backups WHERE id = $1";
        self.run(sql, [id.0.into()]).await.map(|_| ())
    }
}
