//! Events and notifications.

use crate::entity::{events, notifications};
use crate::error::{broken, store_error};
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryOrder, QuerySelect,
};
use tpm_domain::{Event, Notification, NotificationId};
use tpm_store::{EventWrites, NotificationQuery, NotificationReads, Page, Result};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> NotificationReads for Session<C> {
    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<Notification>> {
        let total = notifications::Entity::find()
            .count(&self.db)
            .await
            .map_err(store_error)?;
        let found = notifications::Entity::find()
            .find_also_related(events::Entity)
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
