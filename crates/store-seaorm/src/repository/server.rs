//! Servers.

use crate::entity::servers::{ActiveModel, Column, Entity};
use crate::error::store_error;
use crate::repository::literally;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait,
    DatabaseTransaction, DbBackend, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tpm_domain::{
    ExpiryStage, OnExpiry, Server, ServerId, ServerName, ServerState, Timestamp, Vmid,
};
use tpm_store::{
    NewServer, Page, Result, ServerOrder, ServerQuery, ServerReads, ServerWrites, TaskReads,
};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ServerReads for Session<C> {
    async fn server(&self, id: ServerId) -> Result<Option<Server>> {
        Entity::find_by_id(id.0)
            .filter(Column::DeletedMs.is_null())
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::server)
            .transpose()
    }

    async fn servers(&self, query: &ServerQuery) -> Result<Page<Server>> {
        let mut select = Entity::find().filter(Column::DeletedMs.is_null());
        if let Some(state) = query.state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        if let Some(project) = query.project {
            select = select.filter(Column::ProjectId.eq(project.0));
        }
        if let Some(within) = &query.within {
            select = select.filter(Column::ProjectId.is_in(within.iter().map(|id| id.0)));
        }
        if let Some(role) = &query.role {
            select = select.filter(Column::Role.eq(role));
        }
        if let Some(text) = &query.name_contains {
            let like = LikeExpr::new(format!("%{}%", literally(text))).escape('\\');
            select = select.filter(Expr::col(Column::Name).like(like));
        }
        let column = match query.order {
            ServerOrder::Id => Column::Id,
            ServerOrder::Name => Column::Name,
            ServerOrder::State => Column::State,
            ServerOrder::Role => Column::Role,
            ServerOrder::CreatedAt => Column::CreatedMs,
            ServerOrder::UpdatedAt => Column::UpdatedMs,
        };
        let order = if query.descending {
            Order::Desc
        } else {
            Order::Asc
        };
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        // SQLite knows no OFFSET without LIMIT.
        let limit = query.limit.unwrap_or(i64::MAX as u64);
        let found = select
            .order_by(column, order.clone())
            .order_by(Column::Id, order)
            .limit(limit)
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = found.into_iter().map(rows::server).collect::<Result<_>>()?;
        Ok(Page { items, total })
    }

    async fn server_ever(&self, id: ServerId) -> Result<Option<Server>> {
        Entity::find_by_id(id.0)
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::server)
            .transpose()
    }

    async fn servers_under(&self, vmid: Vmid) -> Result<Vec<Server>> {
        let found = Entity::find()
            .filter(Column::Vmid.eq(vmid.0))
            .order_by_desc(Column::Id)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::server).collect()
    }

    async fn servers_with_guests(&self) -> Result<Vec<Server>> {
        let found = Entity::find()
            .filter(Column::DeletedMs.is_null())
            .filter(Column::Holds.eq(true))
            .order_by_asc(Column::Vmid)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::server).collect()
    }

    async fn expiring(&self, before: Timestamp) -> Result<Vec<Server>> {
        let done = Condition::any()
            .add(Column::ExpiryStage.eq(ExpiryStage::Deleted.as_str()))
            .add(
                Column::ExpiryStage
                    .eq(ExpiryStage::Stopped.as_str())
                    .and(Column::OnExpiry.eq(OnExpiry::Stop.as_str())),
            );
        let found = Entity::find()
            .filter(Column::DeletedMs.is_null())
            .filter(Column::ExpiresMs.lt(before.0))
            .filter(done.not())
            .order_by_asc(Column::ExpiresMs)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::server).collect()
    }

    async fn names_taken(&self, names: &[ServerName]) -> Result<Vec<ServerName>> {
        use crate::entity::reservations;
        let held: Vec<String> = reservations::Entity::find()
            .select_only()
            .column(reservations::Column::Value)
            .filter(reservations::Column::Kind.eq("name"))
            .filter(reservations::Column::State.ne("released"))
            .filter(reservations::Column::Value.is_in(names.iter().map(ServerName::as_str)))
            .into_tuple()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        Ok(names
            .iter()
            .filter(|name| held.iter().any(|h| h == name.as_str()))
            .cloned()
            .collect())
    }
}

#[async_trait]
impl ServerWrites for Session<DatabaseTransaction> {
    async fn insert_server(&self, server: &NewServer) -> Result<ServerId> {
        let row = ActiveModel {
            name: Set(server.name.to_string()),
            role: Set(server.spec.role.clone()),
            cpu: Set(server.spec.cpu.into()),
            memory_mb: Set(server.spec.memory_mb.into()),
            disk_gb: Set(server.spec.disk_gb.into()),
            nics: Set(rows::to_json(&server.spec.nics)?),
            state: Set(ServerState::Creating.as_str().into()),
            engine: Set(server.engine.clone()),
            project_id: Set(server.project.0),
            holds: Set(true),
            place: Set(server.placement.as_ref().map(|p| p.node.0.clone())),
            storage: Set(server.placement.as_ref().map(|p| p.storage.clone())),
            placement: Set(server.placement.as_ref().map(rows::to_json).transpose()?),
            drift: Set("[]".into()),
            tags: Set(server.spec.tags.as_ref().map(rows::to_json).transpose()?),
            description: Set(server.spec.description.clone()),
            kept: Set("{}".into()),
            expires_ms: Set(server.expiry.at.map(|at| at.0)),
            on_expiry: Set(server.expiry.action.as_str().into()),
            expiry_stage: Set(server.expiry.stage.as_str().into()),
            vmid: Set(server.vmid.0.into()),
            created_by: Set(server.created_by.0.clone()),
            readiness: Set("[]".into()),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        let inserted = Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(ServerId(inserted.last_insert_id))
    }

    async fn save_server(&self, server: &Server) -> Result<()> {
        let row = ActiveModel {
            id: Set(server.id.0),
            cpu: Set(server.spec.cpu.into()),
            memory_mb: Set(server.spec.memory_mb.into()),
            disk_gb: Set(server.spec.disk_gb.into()),
            nics: Set(rows::to_json(&server.spec.nics)?),
            state: Set(server.state.as_str().into()),
            vmid: Set(server.vmid.0.into()),
            created_by: Set(server.created_by.0.clone()),
            project_id: Set(server.project.0),
            node: Set(server.node.as_ref().map(ToString::to_string)),
            place: Set(server.place().map(ToString::to_string)),
            storage: Set(server.placement.as_ref().map(|p| p.storage.clone())),
            placement: Set(server.placement.as_ref().map(rows::to_json).transpose()?),
            drift: Set(rows::to_json(&server.drift)?),
            engine: Set(server.engine.clone()),
            tags: Set(server.spec.tags.as_ref().map(rows::to_json).transpose()?),
            description: Set(server.spec.description.clone()),
            kept: Set(rows::to_json(&server.kept)?),
            expires_ms: Set(server.expiry.at.map(|at| at.0)),
            on_expiry: Set(server.expiry.action.as_str().into()),
            expiry_stage: Set(server.expiry.stage.as_str().into()),
            identity: Set(server.identity.as_ref().map(rows::to_json).transpose()?),
            ip_address: Set(server.ip_address.map(|ip| ip.to_string())),
            problem: Set(server.problem.as_ref().map(rows::to_json).transpose()?),
            readiness: Set(rows::to_json(&server.readiness)?),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        row.update(&self.db).await.map(|_| ()).map_err(store_error)
    }

    async fn idle_server(&self, id: ServerId) -> Result<Option<Server>> {
        let lock = match self.backend {
            DbBackend::Postgres => "FOR UPDATE",
            // The transaction is the only writer already.
            _ => "",
        };
        let sql = format!("SELECT id FROM servers WHERE id = $1 AND deleted_ms IS NULL {lock}");
        if self.first(&sql, [id.0.into()]).await?.is_none() || self.active_task(id).await?.is_some()
        {
            return Ok(None);
        }
        self.server(id).await
    }

    async fn delete_server(&self, id: ServerId) -> Result<()> {
        self.run(
            "UPDATE servers SET deleted_ms = $1, updated_ms = $1 WHERE id = $2",
            [self.now_ms.into(), id.0.into()],
        )
        .await
        .map(|_| ())
    }
}
