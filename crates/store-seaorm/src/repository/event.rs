//! Events and notifications.

use crate::entity::{events, notifications};
use crate::error::{broken, store_error};
use crate::repository::servers_of;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tpm_domain::{Event, Notification, NotificationId};
use tpm_store::{EventWrites, NotificationQuery, NotificationReads, Page, Result};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> NotificationReads for Session<C> {
    async fn notification(&self, id: NotificationId) -> Result<Option<Notification>> {
        let found = notifications::Entity::find_by_id(id.0)
            .find_also_related(events::Entity)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        match found {
            Some((row, Some(event))) => rows::notification(row, event).map(Some),
            _ => Ok(None),
        }
    }

    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<Notification>> {
        let mut select = notifications::Entity::find().find_also_related(events::Entity);
        if let Some(projects) = &query.within {
            select = select.filter(events::Column::ServerId.in_subquery(servers_of(projects)));
        }
        if let Some(severity) = query.severity {
            select = select.filter(notifications::Column::Severity.eq(severity.as_str()));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let found = select
            .order_by_desc(notifications::Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = found
            .into_iter()
            .map(|(row, event)| {
                rows::notification(
                    row,
                    event.ok_or_else(|| broken("notification without event"))?,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Page { items, total })
    }
}

#[async_trait]
impl EventWrites for Session<DatabaseTransaction> {
    async fn add_event(&self, event: &Event) -> Result<()> {
        let row = events::ActiveModel {
            at_ms: Set(self.now_ms),
            kind: Set(rows::to_json(&event.kind)?),
            server_id: Set(event.server.map_or(rows::NO_SERVER, |id| id.0)),
            server_name: Set(event.server_name.clone()),
            task_token: Set(event
                .task
                .as_ref()
                .map_or_else(|| rows::NO_TASK.to_owned(), |token| token.0.clone())),
            ..Default::default()
        };
        let inserted = events::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        let Some(severity) = event.kind.severity() else {
            return Ok(());
        };
        let row = notifications::ActiveModel {
            event_id: Set(inserted.last_insert_id),
            severity: Set(severity.as_str().into()),
            created_ms: Set(self.now_ms),
            ..Default::default()
        };
        notifications::Entity::insert(row)
            .exec(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn delete_notification(&self, id: NotificationId) -> Result<bool> {
        let done = notifications::Entity::delete_by_id(id.0)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected > 0)
    }
}
