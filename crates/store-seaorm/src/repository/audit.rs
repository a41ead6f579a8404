//! The audit. Rows are added and never changed; the schema refuses anything else.

use crate::entity::audit::{ActiveModel, Column, Entity};
use crate::error::{broken, store_error};
use crate::repository::literally;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tpm_store::{AuditHead, AuditQuery, AuditReads, AuditRow, AuditWrites, Page, Result};

impl<C: ConnectionTrait> Session<C> {
    async fn head(&self, lock: &str) -> Result<AuditHead> {
        let sql = format!("SELECT seq, link, seal FROM audit_head WHERE id = $1 {lock}");
        let row = self.first(&sql, [1_i64.into()]).await?;
        let row = row.ok_or_else(|| broken("the audit has no end"))?;
        Ok(AuditHead {
            seq: row.try_get("", "seq").map_err(store_error)?,
            link: row.try_get("", "link").map_err(store_error)?,
            seal: row.try_get("", "seal").map_err(store_error)?,
        })
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> AuditReads for Session<C> {
    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>> {
        let mut select = Entity::find();
        if let Some(actor) = query.actor {
            select = select.filter(Column::ActorId.eq(actor.0));
        }
        if let Some(text) = &query.action {
            let like = LikeExpr::new(format!("%{}%", literally(text))).escape('\\');
            select = select.filter(Expr::col(Column::Action).like(like));
        }
        if let Some(kind) = &query.target_kind {
            select = select.filter(Column::TargetKind.eq(kind));
        }
        if let Some(target) = &query.target {
            select = select.filter(Column::Target.eq(target));
        }
        if let Some(project) = query.project {
            select = select.filter(Column::ProjectId.eq(project.0));
        }
        select = match query.refused {
            None => select,
            Some(true) => select.filter(Column::Refused.is_not_null()),
            Some(false) => select.filter(Column::Refused.is_null()),
        };
        if let Some(from) = query.from {
            select = select.filter(Column::AtMs.gte(from.0));
        }
        if let Some(to) = query.to {
            select = select.filter(Column::AtMs.lt(to.0));
        }
        if let Some(below) = query.below {
            select = select.filter(Column::Seq.lt(below));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let found = select
            .order_by_desc(Column::Seq)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        Ok(Page {
            items: found.into_iter().map(rows::audit).collect(),
            total,
        })
    }

    async fn audit_after(&self, after: i64, limit: u64) -> Result<Vec<AuditRow>> {
        let found = Entity::find()
            .filter(Column::Seq.gt(after))
            .order_by_asc(Column::Seq)
            .limit(limit)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        Ok(found.into_iter().map(rows::audit).collect())
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        self.head("").await
    }
}

#[async_trait]
impl AuditWrites for Session<DatabaseTransaction> {
    async fn lock_audit(&self) -> Result<AuditHead> {
        self.head(match self.backend {
            DbBackend::Postgres => "FOR UPDATE",
            // The transaction is the only writer already.
            _ => "",
        })
        .await
    }

    async fn append_audit(&self, row: &AuditRow, head: &AuditHead) -> Result<()> {
        let entry = &row.entry;
        let model = ActiveModel {
            seq: Set(row.seq),
            at_ms: Set(row.at.0),
            actor_id: Set(entry.actor.map(|id| id.0)),
            action: Set(entry.action.clone()),
            target_kind: Set(entry.target_kind.clone()),
            target: Set(entry.target.clone()),
            project_id: Set(entry.project.map(|id| id.0)),
            refused: Set(entry.refused.clone()),
            entry: Set(rows::to_json(entry)?),
            link: Set(row.link.clone()),
        };
        Entity::insert(model)
            .exec_without_returning(&self.db)
            .await
            .map_err(store_error)?;
        self.run(
            "UPDATE audit_head SET seq = $1, link = $2, seal = $3 WHERE id = 1",
            [
                head.seq.into(),
                head.link.clone().into(),
                head.seal.clone().into(),
            ],
        )
        .await
        .map(|_| ())
    }
}
