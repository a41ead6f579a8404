//! Whether who asked for a task may still have it done: asked at every claim and right before anything is
//! destroyed, because a task may be carried out long after it was asked for.

use crate::run::{Run, Stop};
use tpm_domain::{Actor, Failure, FailureCode, Permission, Role};
use tpm_provisioner::Operation;

impl Run<'_> {
    /// What the service itself asked for, and undoing, goes on whoever is kept out.
    pub(crate) async fn is_allowed(&self) -> Result<bool, Stop> {
        let task = &self.claim.task;
        if self.claim.undoing || !task.token.is_of_a_person() {
            return Ok(true);
        }
        let reads = self.worker.store().reads();
        let Some(user) = reads.user_by_id(task.requested_by).await? else {
            return Ok(false);
        };
        let mut roles = Role::built_in();
        let known = |name: &str| roles.iter().any(|role| role.name == name);
        if user.assignments.iter().any(|one| !known(&one.role)) {
            roles.extend(reads.own_roles().await?);
        }
        let actor = Actor::new(user.id, user.username, &user.assignments, &roles);
        let needed: &[Permission] = match self.operation {
            Operation::Backup | Operation::EraseBackup => &[Permission::WriteBackups],
            Operation::Restore | Operation::RestoreNew | Operation::Drill => {
                &[Permission::WriteBackups, Permission::WriteServers]
            }
            _ => &[Permission::WriteServers],
        };
        let may = |one: &Permission| actor.may_on(*one, &self.server);
        Ok(!user.disabled && needed.iter().all(may))
    }

    /// Ends a task of somebody who may not have it done any more: what was begun of a create is undone.
    pub(crate) async fn forbid(&mut self) -> Result<(), Stop> {
        let text = "whoever asked for it may not have it done any more";
        let failure = Failure::new(FailureCode::Forbidden, text);
        tracing::warn!(task = %self.claim.task.token, "no longer allowed");
        if self.operation.makes() {
            self.turn_round(Some(failure)).await
        } else {
            self.end_failed(failure).await
        }
    }
}
