//! Events and notifications.

use crate::entity::{events, notification_marks, notifications};
use crate::error::{broken, store_error};
use crate::repository::servers_of;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::{OnConflict, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::BTreeMap;
use tpm_domain::{Event, Notification, NotificationId, Timestamp, UserId};
use tpm_store::{
    EventWrites, NotificationQuery, NotificationReads, NotificationView, Page, Result,
};

/// Marks that are written by one statement.
const AT_ONCE: usize = 500;

/// Notifications that somebody marked so.
fn marked(reader: UserId, how: SimpleExpr) -> SelectStatement {
    Query::select()
        .column(notification_marks::Column::NotificationId)
        .from(notification_marks::Entity)
        .and_where(notification_marks::Column::UserId.eq(reader.0))
        .and_where(how)
        .to_owned()
}

impl<C: ConnectionTrait + Send + Sync> Session<C> {
    /// When somebody read these.
    async fn read_at(
        &self,
        reader: UserId,
        found: Vec<Notification>,
    ) -> Result<Vec<NotificationView>> {
        let ids = found.iter().map(|one| one.id.0);
        let marks = notification_marks::Entity::find()
            .filter(notification_marks::Column::UserId.eq(reader.0))
            .filter(notification_marks::Column::NotificationId.is_in(ids))
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let read: BTreeMap<i64, Timestamp> = marks
            .into_iter()
            .filter_map(|mark| Some((mark.notification_id, Timestamp(mark.read_ms?))))
            .collect();
        Ok(found
            .into_iter()
            .map(|notification| NotificationView {
                read_at: read.get(&notification.id.0).copied(),
                notification,
            })
            .collect())
    }
}

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

    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<NotificationView>> {
        let hidden = marked(query.reader, notification_marks::Column::Hidden.eq(true));
        let mut select = notifications::Entity::find()
            .find_also_related(events::Entity)
            .filter(notifications::Column::Id.not_in_subquery(hidden));
        if let Some(projects) = &query.within {
            select = select.filter(events::Column::ServerId.in_subquery(servers_of(projects)));
        }
        if let Some(severity) = query.severity {
            select = select.filter(notifications::Column::Severity.eq(severity.as_str()));
        }
        if let Some(unread) = query.unread {
            let read = notification_marks::Column::ReadMs.is_not_null();
            let read = marked(query.reader, read);
            select = select.filter(if unread {
                notifications::Column::Id.not_in_subquery(read)
            } else {
                notifications::Column::Id.in_subquery(read)
            });
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let found = select
            .order_by_desc(notifications::Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let found = found
            .into_iter()
            .map(|(row, event)| {
                rows::notification(
                    row,
                    event.ok_or_else(|| broken("notification without event"))?,
                )
            })
            .collect::<Result<_>>()?;
        let items = self.read_at(query.reader, found).await?;
        Ok(Page { items, total })
    }

    async fn notification_of(
        &self,
        reader: UserId,
        id: NotificationId,
    ) -> Result<Option<NotificationView>> {
        let mark = notification_marks::Entity::find_by_id((reader.0, id.0))
            .one(&self.db)
            .await
            .map_err(store_error)?;
        if mark.as_ref().is_some_and(|mark| mark.hidden) {
            return Ok(None);
        }
        let found = self.notification(id).await?;
        Ok(found.map(|notification| NotificationView {
            notification,
            read_at: mark.and_then(|mark| mark.read_ms).map(Timestamp),
        }))
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
        let inserted = notifications::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        self.tell_channels(inserted.last_insert_id, severity).await
    }

    async fn mark_notifications(
        &self,
        reader: UserId,
        ids: &[NotificationId],
        read: bool,
    ) -> Result<()> {
        for ids in ids.chunks(AT_ONCE) {
            let marks = ids.iter().map(|id| notification_marks::ActiveModel {
                user_id: Set(reader.0),
                notification_id: Set(id.0),
                read_ms: Set(read.then_some(self.now_ms)),
                hidden: Set(false),
            });
            let key = [
                notification_marks::Column::UserId,
                notification_marks::Column::NotificationId,
            ];
            let known = OnConflict::columns(key)
                .update_column(notification_marks::Column::ReadMs)
                .to_owned();
            notification_marks::Entity::insert_many(marks)
                .on_conflict(known)
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn hide_notification(&self, reader: UserId, id: NotificationId) -> Result<()> {
        self.run(
            "INSERT INTO notification_marks (user_id, notification_id, read_ms, hidden)
             VALUES ($1, $2, $3, TRUE)
             ON CONFLICT (user_id, notification_id) DO UPDATE SET hidden = TRUE",
            [reader.0.into(), id.0.into(), self.now_ms.into()],
        )
        .await
        .map(|_| ())
    }
}
