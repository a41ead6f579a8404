//! Events and notifications.

use super::page;
use crate::rows::NotificationRow;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Event, Notification, NotificationId};
use tpm_store::{EventWrites, NotificationQuery, NotificationReads, Page, Result};

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

    async fn notifications(&self, query: &NotificationQuery) -> Result<Page<Notification>> {
        let tables = self.0.look().await?;
        let all = tables
            .notifications
            .iter()
            .rev()
            .filter(|(_, row)| {
                let project = row.event.server.and_then(|id| tables.project_of(id));
                query
                    .severity
                    .is_none_or(|severity| severity == row.severity)
                    && query.within.as_ref().is_none_or(|within| {
                        project.is_some_and(|project| within.contains(&project))
                    })
            })
            .map(|(id, row)| shown(*id, row))
            .collect();
        Ok(page(all, query.limit, query.offset))
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
                tables.notifications.set(id, row);
            }
            Ok(())
        })
    }

    async fn delete_notification(&self, id: NotificationId) -> Result<bool> {
        self.0.change(|tables| Ok(tables.notifications.remove(&id)))
    }
}
