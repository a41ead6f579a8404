//! People. Nobody gives more than they have, and there is always somebody who may do everything.

use crate::account::{digest, guesses_within};
use crate::breached::is_breached;
use crate::first::FIRST_PASSWORD;
use crate::role::has_admin;
use crate::{App, AppError, Ctx, Result, SessionToken};
use std::collections::BTreeMap;
use tpm_domain::{
    Assignment, AuditTarget, Conflict, Error, FieldErrors, Permission, Project, Reason,
    ResourceKind, UserId,
};
use tpm_store::{Reads, Session, StoreError, UnitOfWork, User};

type Tx = dyn UnitOfWork + Send + Sync;

/// Shortest and longest password, in characters.
pub(crate) const PASSWORD: (usize, usize) = (8, 256);
/// Longest name.
const MAX_NAME: usize = 64;
/// Most roles of a person.
const MAX_ROLES: usize = 64;

/// A role that a person is to have, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignmentDraft {
    /// The role's name.
    pub role: Option<String>,
    /// The project's name; everywhere when not said.
    pub project: Option<String>,
}

/// A person as asked for; `None` stays as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserDraft {
    /// The name to log in with.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// All roles.
    pub roles: Option<Vec<AssignmentDraft>>,
    /// Whether the password is for the beginning: it ends after a day unless the person changes it.
    pub temporary: Option<bool>,
    /// `false` takes the second factor away, for who has lost it.
    pub second_factor: Option<bool>,
    /// Whether the person is kept out.
    pub disabled: Option<bool>,
    /// The language the person reads: `ko`, `en`; `Some(None)` is what the client asks for.
    pub language: Option<Option<String>>,
}

impl std::fmt::Debug for UserDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserDraft")
            .field("username", &self.username)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// A person with the names of the projects.
#[derive(Clone, Debug)]
pub struct UserView {
    /// The person.
    pub user: User,
    /// Each role, and the name of the project it is on.
    pub roles: Vec<(String, Option<String>)>,
}

pub(crate) fn refused(error: Error) -> AppError {
    AppError::Refused(error)
}

fn target(id: UserId) -> AuditTarget {
    AuditTarget::new("user", id)
}

/// A name to log in with: letters, digits and `.`, `_`, `@`, `-`.
pub(crate) fn is_username(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
}

/// Whether a password is long enough and not easily guessed, by whoever knows these words.
fn check_password(field: &str, text: &str, words: &[&str], errors: &mut FieldErrors) {
    let (min, max) = PASSWORD;
    let length = text.chars().count();
    if length < min || length > max {
        errors.add(field, Reason::Count { min, max });
        return;
    }
    if is_guessable(text, words) {
        errors.add(field, Reason::Guessable);
    }
}

/// Whether a password is easily guessed by whoever knows these words.
pub(crate) fn is_guessable(text: &str, words: &[&str]) -> bool {
    let mut known = vec!["terraform", "proxmox", "manager", "tpm", "pve"];
    known.extend(words);
    is_breached(text) || zxcvbn::zxcvbn(text, &known).score() < zxcvbn::Score::Two
}

impl App {
    /// Everybody.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn users(&self, ctx: &Ctx) -> Result<Vec<UserView>> {
        ctx.authorize(Permission::ReadUsers)?;
        let reads = self.store().reads();
        let projects = reads.projects().await?;
        let users = reads.users().await?;
        Ok(users
            .into_iter()
            .map(|user| view(user, &projects))
            .collect())
    }

    /// The person of the request.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn me(&self, ctx: &Ctx) -> Result<UserView> {
        let reads = self.store().reads();
        let user = reads.user_by_id(ctx.actor.id).await?;
        let user = user.ok_or(Error::Unauthenticated)?;
        Ok(view(user, &reads.projects().await?))
    }

    /// Adds a person.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden (also when a role allows more than oneself may), conflict
    /// when the name is taken, or the store does not answer.
    pub async fn create_user(
        &self,
        ctx: &Ctx,
        draft: &UserDraft,
        mut errors: FieldErrors,
    ) -> Result<UserId> {
        ctx.authorize(Permission::WriteUsers)?;
        if errors.is_empty() {
            for (field, missing) in [
                ("username", draft.username.is_none()),
                ("password", draft.password.is_none()),
                ("roles", draft.roles.is_none()),
            ] {
                if missing {
                    errors.add(field, Reason::Required);
                }
            }
        }
        let username = draft.username.clone().unwrap_or_default();
        if draft.username.is_some() && !is_username(&username) {
            errors.add("username", Reason::UserName);
        }
        if let Some(password) = &draft.password {
            check_password("password", password, &[&username], &mut errors);
        }
        // Checked before the costly hash.
        let reads = self.store().reads();
        let wanted = draft.roles.as_deref().unwrap_or_default();
        let assignments = self.assignments(ctx, &*reads, wanted, &mut errors).await?;
        drop(reads);
        errors.into_result(())?;
        let hash = self
            .hash(draft.password.clone().unwrap_or_default())
            .await?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let id = match tx.insert_user(&username, &hash, &assignments).await {
            Err(StoreError::Constraint(_)) => {
                let taken = Conflict::LabelTaken { name: username };
                return Err(refused(Error::Conflict(taken)));
            }
            done => done?,
        };
        if draft.temporary == Some(true) {
            self.end_password(&*tx, id).await?;
        }
        ctx.remember(&*tx, &id).await?;
        self.commit(ctx, tx, target(id)).await?;
        Ok(id)
    }

    /// Roles as asked for. Nobody gives more than they have.
    async fn assignments(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        wanted: &[AssignmentDraft],
        errors: &mut FieldErrors,
    ) -> Result<Vec<Assignment>> {
        if wanted.len() > MAX_ROLES {
            let max = MAX_ROLES;
            errors.add("roles", Reason::Count { min: 0, max });
            return Ok(Vec::new());
        }
        let roles = self.all_roles(reads).await?;
        let projects = reads.projects().await?;
        let mine = ctx.actor.permissions();
        let mut all = Vec::with_capacity(wanted.len());
        let mut too_much = false;
        for (n, one) in wanted.iter().enumerate() {
            let name = one.role.as_deref().unwrap_or_default();
            let role = roles.iter().find(|role| role.name == name);
            if role.is_none() {
                let allowed = roles.iter().map(|role| role.name.clone()).collect();
                errors.add(format!("roles[{n}].role"), Reason::OneOf { allowed });
            }
            too_much |= role.is_some_and(|role| !role.permissions.within(&mine));
            let project = match &one.project {
                None => None,
                Some(name) => {
                    let found = projects
                        .iter()
                        .find(|project| project.name.as_str() == name);
                    if found.is_none() {
                        errors.add(format!("roles[{n}].project"), Reason::NoSuch);
                    }
                    found.map(|project| project.id)
                }
            };
            all.push(Assignment {
                role: name.to_owned(),
                project,
            });
        }
        if errors.is_empty() && too_much {
            return Err(refused(Error::Forbidden));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Changes a person's roles, password or language, takes a lost second factor away, or keeps the person out: sessions
    /// end with it.
    ///
    /// # Errors
    /// As for adding one, and login again when the last one is long ago, not found, conflict when nobody would be left who may do everything.
    pub async fn change_user(
        &self,
        ctx: &Ctx,
        id: UserId,
        draft: &UserDraft,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.authorize(Permission::WriteUsers)?;
        if draft.password.is_some() || draft.second_factor.is_some() {
            // Also one's own.
            self.recently(ctx)?;
        }
        let reads = self.store().reads();
        let before = self.below(ctx, &*reads, id).await?;
        if let Some(password) = &draft.password {
            check_password("password", password, &[&before.username], &mut errors);
        } else if draft.temporary.is_some() {
            errors.add("temporary", Reason::Needs { other: "password" });
        }
        if draft.second_factor == Some(true) {
            let allowed = vec!["false".to_owned()];
            errors.add("second_factor", Reason::OneOf { allowed });
        }
        let assignments = match &draft.roles {
            Some(wanted) => Some(self.assignments(ctx, &*reads, wanted, &mut errors).await?),
            None => None,
        };
        drop(reads);
        errors.into_result(())?;
        let hash = match &draft.password {
            Some(password) => Some(self.hash(password.clone()).await?),
            None => None,
        };
        let tx = self.store().begin().await?;
        let mut user = self.below(ctx, &*tx, id).await?;
        let loses = draft.second_factor == Some(false) && user.factor.is_some();
        let ends = hash.is_some() || assignments.is_some() || draft.disabled == Some(true) || loses;
        if hash.is_some() {
            let end = self.now().plus(FIRST_PASSWORD);
            user.password_ends_at = (draft.temporary == Some(true)).then_some(end);
        }
        user.password_hash = hash.unwrap_or(user.password_hash);
        user.assignments = assignments.unwrap_or(user.assignments);
        user.disabled = draft.disabled.unwrap_or(user.disabled);
        user.language = draft.language.clone().unwrap_or(user.language);
        tx.save_user(&user).await?;
        if loses && !tx.swap_factor(id, user.factor.as_ref(), None).await? {
            return Err(refused(Error::Conflict(Conflict::NoFactor)));
        }
        if ends {
            tx.delete_sessions_of(id, None).await?;
        }
        self.keep_an_admin(&*tx).await?;
        self.commit(ctx, tx, target(id)).await
    }

    /// Takes a person out, with sessions and keys. What the person asked for goes on.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when nobody would be left who may do everything, or the store does not
    /// answer.
    pub async fn delete_user(&self, ctx: &Ctx, id: UserId) -> Result<()> {
        ctx.authorize(Permission::WriteUsers)?;
        let tx = self.store().begin().await?;
        self.below(ctx, &*tx, id).await?;
        tx.delete_user(id).await?;
        self.keep_an_admin(&*tx).await?;
        self.commit(ctx, tx, target(id)).await
    }

    /// A person who may no more than whoever asks.
    async fn below(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        id: UserId,
    ) -> Result<User> {
        let user = reads.user_by_id(id).await?;
        let user = user.ok_or_else(|| Error::not_found(ResourceKind::User, id))?;
        let theirs = self.actor_of(reads, &user).await?;
        let mine = ctx.actor.permissions();
        if theirs
            .grants
            .iter()
            .all(|grant| grant.permissions.within(&mine))
        {
            Ok(user)
        } else {
            Err(refused(Error::Forbidden))
        }
    }

    pub(crate) async fn keep_an_admin(&self, tx: &Tx) -> Result<()> {
        let roles = self.all_roles(tx).await?;
        if has_admin(&tx.users().await?, &roles) {
            Ok(())
        } else {
            Err(refused(Error::Conflict(Conflict::LastAdmin)))
        }
    }

    /// Changes the language the person of the request reads.
    ///
    /// # Errors
    /// Forbidden for a key, invalid, or the store does not answer.
    pub async fn change_me(
        &self,
        ctx: &Ctx,
        language: Option<Option<String>>,
        errors: FieldErrors,
    ) -> Result<()> {
        ctx.in_person()?;
        errors.into_result(())?;
        let tx = self.store().begin().await?;
        let user = tx.user_by_id(ctx.actor.id).await?;
        let mut user = user.ok_or(Error::Unauthenticated)?;
        user.language = language.unwrap_or(user.language);
        tx.save_user(&user).await?;
        self.commit(ctx, tx, target(ctx.actor.id)).await
    }

    /// Changes the password of the person of the request; every other session ends.
    ///
    /// # Errors
    /// Forbidden for a key, invalid (also when the present password is another one), throttled after wrong ones, or the store does
    /// not answer.
    pub async fn change_password(
        &self,
        ctx: &Ctx,
        present: Option<String>,
        new: Option<String>,
        session: Option<&SessionToken>,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.in_person()?;
        if errors.is_empty() {
            for (field, missing) in [
                ("current_password", present.is_none()),
                ("new_password", new.is_none()),
            ] {
                if missing {
                    errors.add(field, Reason::Required);
                }
            }
        }
        let new = new.unwrap_or_default();
        if errors.is_empty() {
            check_password("new_password", &new, &[&ctx.actor.username], &mut errors);
        }
        errors.into_result(())?;
        let guesses = guesses_within(ctx.actor.id);
        self.may_guess(&guesses).await?;
        let user = self.store().reads().user_by_id(ctx.actor.id).await?;
        let user = user.ok_or(Error::Unauthenticated)?;
        let right = self
            .verify(present.unwrap_or_default(), Some(user.password_hash))
            .await?;
        if !right {
            self.note_wrong_guess(&guesses).await?;
            let mut errors = FieldErrors::default();
            errors.add("current_password", Reason::WrongPassword);
            errors.into_result(())?;
        }
        let hash = self.hash(new).await?;
        let tx = self.store().begin().await?;
        let user = tx.user_by_id(ctx.actor.id).await?;
        let mut user = user.ok_or(Error::Unauthenticated)?;
        user.password_hash = hash;
        user.password_ends_at = None;
        tx.save_user(&user).await?;
        let keep = session.map(|token| digest(&token.0));
        tx.delete_sessions_of(ctx.actor.id, keep.as_deref()).await?;
        self.commit(ctx, tx, target(ctx.actor.id)).await
    }

    /// The sessions of the person of the request, the latest first.
    ///
    /// # Errors
    /// Forbidden for a key, or the store does not answer.
    pub async fn sessions(&self, ctx: &Ctx) -> Result<Vec<Session>> {
        ctx.in_person()?;
        Ok(self.store().reads().sessions_of(ctx.actor.id).await?)
    }

    /// Ends a session of the person of the request, by the beginning of its digest.
    ///
    /// # Errors
    /// Forbidden for a key, login again when the last one is long ago, not found, or the store does not answer.
    pub async fn end_session(&self, ctx: &Ctx, id: &str) -> Result<()> {
        self.freshly(ctx)?;
        let tx = self.store().begin().await?;
        let all = tx.sessions_of(ctx.actor.id).await?;
        let found = all.iter().find(|session| session_id(session) == id);
        let found = found.ok_or_else(|| Error::not_found(ResourceKind::Session, id))?;
        tx.delete_session(&found.digest).await?;
        self.commit(ctx, tx, AuditTarget::new("session", id)).await
    }
}

/// A session's name: it cannot be logged in with.
#[must_use]
pub fn session_id(session: &Session) -> &str {
    session.digest.get(..16).unwrap_or_default()
}

fn view(user: User, projects: &[Project]) -> UserView {
    let names: BTreeMap<_, _> = projects
        .iter()
        .map(|it| (it.id, it.name.to_string()))
        .collect();
    let roles = user
        .assignments
        .iter()
        .map(|one| {
            let project = one
                .project
                .map(|id| names.get(&id).cloned().unwrap_or_default());
            (one.role.clone(), project)
        })
        .collect();
    UserView { user, roles }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_easily_guessed_are_told() {
        let told = |text: &str| {
            let mut errors = FieldErrors::default();
            check_password("password", text, &["alice"], &mut errors);
            errors.len()
        };
        for weak in [
            "",
            "short",
            "password",
            "12345678",
            "aliceproxmox",
            "qwertyui",
        ] {
            assert_eq!(told(weak), 1, "{weak}");
        }
        for good in [
            "correct horse battery",
            "Tr0ub4dour&3-7",
            "소나무 아래 다람쥐 둘",
        ] {
            assert_eq!(told(good), 0, "{good}");
        }
    }

    #[test]
    fn names_to_log_in_with() {
        for good in ["a", "alice", "alice.kim@example.com", "ops-1"] {
            assert!(is_username(good), "{good}");
        }
        for bad in ["", ".a", "a b", "앨리스", "a/b", &"a".repeat(65)] {
            assert!(!is_username(bad), "{bad}");
        }
    }
}
