//! Notifications, as each person has them: read or not, and removed by one for that one alone.

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{
    AuditTarget, Error, FieldErrors, NotificationId, Permission, Reason, ResourceKind,
};
use tpm_store::{NotificationQuery, NotificationView, Page, Reads};

/// Most notifications that are marked at once.
const AT_ONCE: u64 = 10_000;

impl App {
    /// A page of notifications, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn notifications(
        &self,
        ctx: &Ctx,
        query: &NotificationQuery,
    ) -> Result<Page<NotificationView>> {
        let reach = ctx.reach(Permission::ReadNotifications)?;
        let query = NotificationQuery {
            reader: ctx.actor.id,
            within: reach.bound().cloned(),
            ..query.clone()
        };
        Ok(self.store().reads().notifications(&query).await?)
    }

    /// The newest notification.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn latest_notification(&self, ctx: &Ctx) -> Result<Option<NotificationView>> {
        let query = NotificationQuery {
            limit: Some(1),
            ..NotificationQuery::of(ctx.actor.id)
        };
        Ok(self.notifications(ctx, &query).await?.items.pop())
    }

    /// One that the person has; one about a server that the person may not see is as one that is not there.
    async fn notification_for(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        id: NotificationId,
    ) -> Result<NotificationView> {
        let missing = || AppError::Refused(Error::not_found(ResourceKind::Notification, id.0));
        let reach = ctx.reach(Permission::ReadNotifications)?;
        let found = reads.notification_of(ctx.actor.id, id).await?;
        let found = found.ok_or_else(missing)?;
        if let Some(bound) = reach.bound() {
            let about = found.notification.event.server.ok_or_else(missing)?;
            let server = reads.server_ever(about).await?.ok_or_else(missing)?;
            if !bound.contains(&server.project) {
                return Err(missing());
            }
        }
        Ok(found)
    }

    /// Notes that the person has read a notification, or has not.
    ///
    /// # Errors
    /// Forbidden, invalid, not found, or the store does not answer.
    pub async fn mark_notification(
        &self,
        ctx: &Ctx,
        id: NotificationId,
        read: Option<bool>,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.may_mark()?;
        if read.is_none() && errors.is_empty() {
            errors.add("read", Reason::Required);
        }
        errors.into_result(())?;
        let tx = self.store().begin().await?;
        self.notification_for(ctx, &*tx, id).await?;
        let read = read.unwrap_or_default();
        tx.mark_notifications(ctx.actor.id, &[id], read).await?;
        self.commit(ctx, tx, AuditTarget::new("notification", id.0))
            .await
    }

    /// Notes that the person has read all notifications; how many were not read before.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn read_all_notifications(&self, ctx: &Ctx) -> Result<usize> {
        ctx.may_mark()?;
        let reach = ctx.reach(Permission::ReadNotifications)?;
        let tx = self.store().begin().await?;
        let query = NotificationQuery {
            unread: Some(true),
            within: reach.bound().cloned(),
            limit: Some(AT_ONCE),
            ..NotificationQuery::of(ctx.actor.id)
        };
        let unread = tx.notifications(&query).await?.items;
        let ids: Vec<NotificationId> = unread.iter().map(|one| one.notification.id).collect();
        tx.mark_notifications(ctx.actor.id, &ids, true).await?;
        self.commit(ctx, tx, AuditTarget::new("notification", "all"))
            .await?;
        Ok(ids.len())
    }

    /// Removes a notification from what the person has; others keep it.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn delete_notification(&self, ctx: &Ctx, id: NotificationId) -> Result<()> {
        ctx.may_mark()?;
        let tx = self.store().begin().await?;
        self.notification_for(ctx, &*tx, id).await?;
        tx.hide_notification(ctx.actor.id, id).await?;
        self.commit(ctx, tx, AuditTarget::new("notification", id.0))
            .await
    }
}

impl Ctx {
    /// Everybody marks what they may read; a key needs to be allowed to.
    fn may_mark(&self) -> Result<()> {
        self.reach(Permission::ReadNotifications)?;
        if self.origin.is_key() {
            self.authorize(Permission::WriteNotifications)?;
        }
        Ok(())
    }
}
