//! Roles: sets of permissions, built in or of one's own.

use crate::user::refused;
use crate::{App, Ctx, Result};
use tpm_domain::{
    Actor, Assignment, AuditTarget, Conflict, Error, FieldErrors, Permission, Permissions, Reason,
    ResourceKind, Role, ServerName,
};
use tpm_store::{Reads, User};

/// Whether somebody with everything would be left.
pub(crate) fn has_admin(users: &[User], roles: &[Role]) -> bool {
    users.iter().filter(|user| !user.disabled).any(|user| {
        let actor = Actor::new(user.id, String::new(), &user.assignments, roles);
        Permission::ALL
            .iter()
            .all(|permission| actor.may(*permission))
    })
}

impl App {
    /// Built-in roles and those of one's own.
    pub(crate) async fn all_roles(&self, reads: &(dyn Reads + Send + Sync)) -> Result<Vec<Role>> {
        let mut roles = Role::built_in();
        roles.extend(reads.own_roles().await?);
        Ok(roles)
    }

    /// What a person may do.
    pub(crate) async fn actor_of(
        &self,
        reads: &(dyn Reads + Send + Sync),
        user: &User,
    ) -> Result<Actor> {
        let mut roles = Role::built_in();
        let own = |one: &Assignment| !roles.iter().any(|role| role.name == one.role);
        if user.assignments.iter().any(own) {
            roles.extend(reads.own_roles().await?);
        }
        let name = user.username.clone();
        Ok(Actor::new(user.id, name, &user.assignments, &roles))
    }

    /// All roles.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn roles(&self, ctx: &Ctx) -> Result<Vec<Role>> {
        ctx.authorize(Permission::ReadUsers)?;
        self.all_roles(&*self.store().reads()).await
    }

    /// Makes a role, or changes one: whoever has it may do what it says from then on.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden (also when it would allow more than oneself may), not found,
    /// conflict when the name is taken or built in; or the store does not answer.
    pub async fn save_role(
        &self,
        ctx: &Ctx,
        name: &str,
        words: Option<&[String]>,
        new: bool,
        mut errors: FieldErrors,
    ) -> Result<Role> {
        ctx.authorize(Permission::WriteUsers)?;
        if new && ServerName::new(name).is_none() {
            errors.add("name", Reason::ServerName);
        }
        let words = words.unwrap_or_default();
        if words.is_empty() && errors.is_empty() {
            errors.add("permissions", Reason::Required);
        }
        let permissions = Permissions::parse(words).unwrap_or_else(|wrong| {
            for n in wrong {
                errors.add(format!("permissions[{n}]"), Reason::NoSuch);
            }
            Permissions::default()
        });
        errors.into_result(())?;
        if !permissions.within(&ctx.actor.permissions()) {
            return Err(refused(Error::Forbidden));
        }
        let tx = self.store().begin().await?;
        let known = self.all_roles(&*tx).await?;
        match (known.iter().find(|role| role.name == name), new) {
            (Some(role), _) if role.built_in => {
                return Err(refused(Error::Conflict(Conflict::BuiltIn)));
            }
            (Some(_), true) => {
                let name = name.to_owned();
                return Err(refused(Error::Conflict(Conflict::LabelTaken { name })));
            }
            (None, false) => return Err(refused(Error::not_found(ResourceKind::Role, name))),
            (Some(role), false) if !role.permissions.within(&ctx.actor.permissions()) => {
                return Err(refused(Error::Forbidden));
            }
            (Some(_), false) | (None, true) => {}
        }
        tx.save_role(name, &permissions).await?;
        self.keep_an_admin(&*tx).await?;
        self.commit(ctx, tx, AuditTarget::new("role", name)).await?;
        Ok(Role {
            name: name.to_owned(),
            permissions,
            built_in: false,
        })
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when somebody has it or it is built in, or the store does not answer.
    pub async fn delete_role(&self, ctx: &Ctx, name: &str) -> Result<()> {
        ctx.authorize(Permission::WriteUsers)?;
        if Role::built_in().iter().any(|role| role.name == name) {
            return Err(refused(Error::Conflict(Conflict::BuiltIn)));
        }
        let tx = self.store().begin().await?;
        let users = tx.users().await?;
        let has = |user: &&User| user.assignments.iter().any(|one| one.role == name);
        let users = users.iter().filter(has).count();
        if users > 0 {
            return Err(refused(Error::Conflict(Conflict::RoleInUse { users })));
        }
        if !tx.delete_role(name).await? {
            return Err(refused(Error::not_found(ResourceKind::Role, name)));
        }
        self.commit(ctx, tx, AuditTarget::new("role", name)).await
    }
}
