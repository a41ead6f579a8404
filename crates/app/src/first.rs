//! The first person, and passwords that are only for the beginning.

use crate::user::{is_guessable, is_username};
use crate::{App, AppError, Result};
use std::time::Duration;
use tpm_domain::{Assignment, Role, UserId};
use tpm_store::{UnitOfWork, User};

/// A password that was made up, or set by somebody else for the beginning, ends after this time unless it is changed.
pub(crate) const FIRST_PASSWORD: Duration = Duration::from_secs(24 * 60 * 60);
impl App {
    /// Makes the first person, of that name, when there is nobody. Returns the password when it was made up: it is shown
    /// once, stored nowhere, and ends after a day unless it is changed. When it has ended, and nobody else may do
    /// everything, the next start makes up another one.
    ///
    /// # Errors
    /// The name is none, or the store does not answer.
    pub async fn ensure_admin(
        &self,
        name: &str,
        password: Option<String>,
    ) -> Result<Option<String>> {
        if self.store().reads().any_user().await? {
            return self.renew_first_password().await;
        }
        if !is_username(name) {
            return Err(AppError::Fault(anyhow::anyhow!(
                "{name:?} is no name to log in with"
            )));
        }
        if password
            .as_deref()
            .is_some_and(|text| is_guessable(text, &[name]))
        {
            tracing::warn!("the given password of the first account is easily guessed: change it");
        }
        let made_up = password.is_none().then(|| self.random_hex(16));
        let hash = self
            .hash(password.or_else(|| made_up.clone()).unwrap_or_default())
            .await?;
        let tx = self.store().begin().await?;
        if tx.any_user().await? {
            return Ok(None);
        }
        let everything = Assignment {
            role: Role::ADMIN.to_owned(),
            project: None,
        };
        let id = tx.insert_user(name, &hash, &[everything]).await?;
        if made_up.is_some() {
            self.end_password(&*tx, id).await?;
        }
        tx.commit().await?;
        Ok(made_up)
    }

    /// The password of that person ends soon, unless it is changed.
    pub(crate) async fn end_password(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
        id: UserId,
    ) -> Result<()> {
        if let Some(mut user) = tx.user_by_id(id).await? {
            user.password_ends_at = Some(self.now().plus(FIRST_PASSWORD));
            tx.save_user(&user).await?;
        }
        Ok(())
    }

    /// Another first password, when the one before has ended and nobody is left who could log in and do everything.
    async fn renew_first_password(&self) -> Result<Option<String>> {
        let everything = |user: &User| {
            let everywhere = user.assignments.iter().filter(|one| one.project.is_none());
            !user.disabled && everywhere.into_iter().any(|one| one.role == Role::ADMIN)
        };
        let now = self.now();
        let ended = |user: &User| user.password_ends_at.is_some_and(|end| end <= now);
        let users = self.store().reads().users().await?;
        let admins: Vec<&User> = users.iter().filter(|user| everything(user)).collect();
        if admins.iter().any(|user| !ended(user)) {
            return Ok(None);
        }
        let Some(first) = admins.iter().min_by_key(|user| user.id) else {
            return Ok(None);
        };
        let made_up = self.random_hex(16);
        let hash = self.hash(made_up.clone()).await?;
        let tx = self.store().begin().await?;
        // Another process may have been here first.
        let user = tx.user_by_id(first.id).await?.filter(|user| ended(user));
        let Some(mut user) = user else {
            return Ok(None);
        };
        user.password_hash = hash;
        user.password_ends_at = Some(self.now().plus(FIRST_PASSWORD));
        tx.save_user(&user).await?;
        tx.delete_sessions_of(user.id, None).await?;
        tx.commit().await?;
        Ok(Some(made_up))
    }
}
