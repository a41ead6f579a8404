//! Restore drills.

use crate::entity::drills;
use crate::error::{broken, store_error};
use crate::repository::servers_of;
use crate::rows::{from_json, to_json};
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use tpm_domain::{
    BackupId, BackupToken, Drill, DrillId, DrillState, DrillToken, RunItemId, ScheduleId, ServerId,
    TaskToken, Timestamp, UserId,
};
use tpm_store::{DrillQuery, DrillReads, DrillWrites, NewDrill, Page, Result};

fn drill(row: drills::Model) -> Result<Drill> {
    let failure = row.failure.as_deref();
    Ok(Drill {
        id: DrillId(row.id),
        token: DrillToken(row.token),
        backup: BackupId(row.backup_id),
        backup_token: BackupToken(row.backup_token),
        server: ServerId(row.server_id),
        server_name: row.server_name,
        guest: row.guest_id.map(ServerId),
        task: row.task.map(TaskToken),
        spec: from_json("drills.spec", &row.spec)?,
        item: row.item_id.map(RunItemId),
        schedule: row.schedule_id.map(ScheduleId),
        asked_by: UserId(row.asked_by),
        state: DrillState::parse(&row.state).ok_or_else(|| broken("drills.state"))?,
        failure: failure
            .map(|text| from_json("drills.failure", text))
            .transpose()?,
        evidence: row.evidence,
        digest: row.digest,
        created_at: Timestamp(row.created_ms),
        decided_at: row.decided_ms.map(Timestamp),
        cleared_at: row.cleared_ms.map(Timestamp),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> DrillReads for Session<C> {
    async fn drill(&self, id: DrillId) -> Result<Option<Drill>> {
        let row = drills::Entity::find_by_id(id.0).one(&self.db).await;
        row.map_err(store_error)?.map(drill).transpose()
    }

    async fn drill_named(&self, token: &DrillToken) -> Result<Option<Drill>> {
        let row = drills::Entity::find()
            .filter(drills::Column::Token.eq(token.0.as_str()))
            .one(&self.db)
            .await;
        row.map_err(store_error)?.map(drill).transpose()
    }

    async fn drills(&self, query: &DrillQuery) -> Result<Page<Drill>> {
        use drills::Column;
        let mut select = drills::Entity::find();
        if let Some(server) = query.server {
            select = select.filter(Column::ServerId.eq(server.0));
        }
        if let Some(backup) = &query.backup {
            select = select.filter(Column::BackupToken.eq(backup.0.as_str()));
        }
        if let Some(state) = query.state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        if let Some(item) = query.item {
            select = select.filter(Column::ItemId.eq(item.0));
        }
        if let Some(projects) = &query.within {
            select = select.filter(Column::ServerId.in_subquery(servers_of(projects)));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let rows = select
            .order_by_desc(Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = rows.into_iter().map(drill).collect::<Result<_>>()?;
        Ok(Page { items, total })
    }
}

#[async_trait]
impl DrillWrites for Session<DatabaseTransaction> {
    async fn insert_drill(&self, new: &NewDrill) -> Result<DrillId> {
        let state = match new.failure {
            None => DrillState::Running,
            Some(_) => DrillState::Failed,
        };
        let over = new.failure.as_ref().map(|_| self.now_ms);
        let row = drills::ActiveModel {
            id: NotSet,
            token: Set(new.token.0.clone()),
            backup_id: Set(new.backup.0),
            backup_token: Set(new.backup_token.0.clone()),
            server_id: Set(new.server.0),
            server_name: Set(new.server_name.clone()),
            guest_id: Set(None),
            task: Set(None),
            spec: Set(to_json(&new.spec)?),
            item_id: Set(new.item.map(|id| id.0)),
            schedule_id: Set(new.schedule.map(|id| id.0)),
            asked_by: Set(new.asked_by.0),
            state: Set(state.as_str().into()),
            failure: Set(new.failure.as_ref().map(to_json).transpose()?),
            evidence: Set(None),
            digest: Set(None),
            created_ms: Set(self.now_ms),
            decided_ms: Set(over),
            cleared_ms: Set(over),
        };
        let done = drills::Entity::insert(row).exec(&self.db).await;
        Ok(DrillId(done.map_err(store_error)?.last_insert_id))
    }

    async fn begin_drill(&self, id: DrillId, guest: ServerId, task: &TaskToken) -> Result<()> {
        let sql = "UPDATE drills SET guest_id = $2, task = $3 WHERE id = $1";
        let values = [id.0.into(), guest.0.into(), task.0.as_str().into()];
        self.run(sql, values).await.map(|_| ())
    }

    async fn decide_drill(&self, drill: &Drill) -> Result<bool> {
        let failure = drill.failure.as_ref().map(to_json).transpose()?;
        let done = self
            .run(
                "UPDATE drills SET state = $2, failure = $3, evidence = $4, digest = $5, decided_ms = $6
                 WHERE id = $1 AND state = 'running'",
                [
                    drill.id.0.into(),
                    drill.state.as_str().into(),
                    failure.into(),
                    drill.evidence.clone().into(),
                    drill.digest.clone().into(),
                    self.now_ms.into(),
                ],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn clear_drill(&self, id: DrillId) -> Result<()> {
        let sql = "UPDATE drills SET cleared_ms = $2 WHERE id = $1 AND cleared_ms IS NULL";
        self.run(sql, [id.0.into(), self.now_ms.into()])
            .await
            .map(|_| ())
    }

    async fn trim_drills(&self, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM drills WHERE decided_ms < $1
                   AND id NOT IN (SELECT MAX(id) FROM drills GROUP BY server_id)";
        Ok(self.run(sql, [before.0.into()]).await?.rows_affected())
    }
}
