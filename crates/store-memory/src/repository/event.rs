//! Events and notifications.

use super::page;
use crate::rows::NotificationRow;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Event, Notification, NotificationId, UserId};
use tpm_store::{
    EventWrites, NotificationQuery, NotificationReads, NotificationView, Page, Result,
};

fn shown(id: NotificationId, row: &NotificationRow) -> Notification {
    Notification {
        id,
        event: row.event.clone(),
        severity: row.severity,
        created_at: row.created_at,
    }
}

#[async_trait]
impl<S: Source> NotificationReads for Session<S> {
    async fn notification(&self, id: NotificationId) -> Result<Option<Notification>> {
        let tables = self.0.look().await?;
        Ok(tables.notifications.get(&id).map(|row| shown(id, row)))
    }

    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<NotificationView>> {
        let tables = self.0.look().await?;
        let mark = |id: NotificationId| tables.marks.get(&(query.reader, id)).copied();
        let all = tables
            .notifications
            .iter()
            .rev()
            .filter(|(id, row)| {
                let (read, hidden) = mark(**id).unwrap_or_default();
                let project = row.event.server.and_then(|id| tables.project_of(id));
                !hidden
                    && query.unread.is_none_or(|unread| unread != read.is_some())
                    && query
                        .severity
                        .is_none_or(|severity| severity == row.severity)
                    && query.within.as_ref().is_none_or(|within| {
                        project.is_some_and(|project| within.contains(&project))
                    })
            })
            .map(|(id, row)| NotificationView {
                notification: shown(*id, row),
                read_at: mark(*id).and_then(|(read, _)| read),
            })
            .collect();
        Ok(page(all, query.limit, query.offset))
    }

    async fn notification_of(
        &self,
        reader: UserId,
        id: NotificationId,
    ) -> Result<Option<NotificationView>> {
        let tables = self.0.look().await?;
        let (read_at, hidden) = tables.marks.get(&(reader, id)).copied().unwrap_or_default();
        let found = tables.notifications.get(&id).filter(|_| !hidden);
        Ok(found.map(|row| NotificationView {
            notification: shown(id, row),
            read_at,
        }))
    }
}

#[async_trait]
impl EventWrites for Session<Transaction> {
    async fn add_event(&self, event: &Event) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = tables.next_id();
            tables.events.set(id, event.clone());
            if let Some(severity) = event.kind.severity() {
                let row = NotificationRow {
                    event: event.clone(),
                    severity,
                    created_at: now,
                };
                let id = NotificationId(tables.next_id());
                tables.tell_channels(&shown(id, &row), now);
                tables.notifications.set(id, row);
            }
            Ok(())
        })
    }

    async fn mark_notifications(
        &self,
        reader: UserId,
        ids: &[NotificationId],
        read: bool,
    ) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            for id in ids {
                let key = (reader, *id);
                let hidden = tables.marks.get(&key).is_some_and(|mark| mark.1);
                tables.marks.set(key, (read.then_some(now), hidden));
            }
            Ok(())
        })
    }

    async fn hide_notification(&self, reader: UserId, id: NotificationId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let key = (reader, id);
            let read = tables.marks.get(&key).and_then(|mark| mark.0);
            tables.marks.set(key, (read.or(Some(now)), true));
            Ok(())
        })
    }
}
