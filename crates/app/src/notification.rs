//! Seeing and removing notifications.

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{AuditTarget, Error, Notification, NotificationId, Permission, ResourceKind};
use tpm_store::{NotificationQuery, Page};

impl App {
    /// A page of notifications, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn notifications(
        &self,
        ctx: &Ctx,
        query: &NotificationQuery,
    ) -> Result<Page<Notification>> {
        let reach = ctx.reach(Permission::ReadNotifications)?;
        let query = NotificationQuery {
            within: reach.bound().cloned(),
            ..query.clone()
        };
        Ok(self.store().reads().notifications(&query).await?)
    }

    /// The newest notification.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn latest_notification(&self, ctx: &Ctx) -> Result<Option<Notification>> {
        let query = NotificationQuery {
            limit: Some(1),
            ..NotificationQuery::default()
        };
        Ok(self.notifications(ctx, &query).await?.items.pop())
    }

    /// Removes a notification.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn delete_notification(&self, ctx: &Ctx, id: NotificationId) -> Result<()> {
        ctx.authorize(Permission::WriteNotifications)?;
        let tx = self.store().begin().await?;
        if !tx.delete_notification(id).await? {
            let missing = Error::not_found(ResourceKind::Notification, id.0);
            return Err(AppError::Refused(missing));
        }
        let about = AuditTarget::new("notification", id.0);
        self.commit(ctx, tx, about).await?;
        Ok(())
    }
}
