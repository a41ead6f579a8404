//! Taking over guests that others made. What they are is read by a worker; here it is only decided that it
//! may be asked for.

use crate::{App, Ctx, Result};
use std::collections::BTreeSet;
use tpm_domain::{
    AuditTarget, Conflict, DEFAULT_PROJECT, Error, FieldErrors, ImportPayload, Permission, Reason,
    ServerName, TaskKind, TaskToken, Vmid,
};
use tpm_store::NewTask;

/// A guest that is to be taken over. `None` where the request said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportDraft {
    /// Its number.
    pub vmid: Option<i64>,
    /// The server's name; the guest's when not said.
    pub name: Option<String>,
    /// What it is for; when not said, the role whose tags the guest has.
    pub role: Option<String>,
    /// The engine that is to have it; it gets it when it would change nothing on the guest.
    pub engine: Option<String>,
    /// Name of the project it belongs to.
    pub project: Option<String>,
}

impl App {
    /// Begins to take over a guest. It is not changed by it.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict when a server has that guest or name, or the
    /// store does not answer.
    pub async fn import_server(
        &self,
        ctx: &Ctx,
        draft: &ImportDraft,
        mut errors: FieldErrors,
    ) -> Result<TaskToken> {
        let reach = ctx.reach(Permission::WriteServers)?;
        let policy = self.policy();
        let vmid = draft.vmid.and_then(|number| {
            let vmid = u32::try_from(number).ok().and_then(Vmid::new);
            if vmid.is_none() {
                let (min, max) = (Vmid::MIN.into(), Vmid::MAX.into());
                errors.add("vmid", Reason::Range { min, max });
            }
            vmid
        });
        let name = draft.name.as_deref().and_then(|text| {
            let name = ServerName::new(text);
            if name.is_none() {
                errors.add("name", Reason::ServerName);
            }
            name
        });
        let mut one_of = |field: &str, value: &Option<String>, allowed: BTreeSet<&String>| {
            if value.as_ref().is_some_and(|value| !allowed.contains(value)) {
                let allowed = allowed.into_iter().cloned().collect();
                errors.add(field, Reason::OneOf { allowed });
            }
        };
        one_of("role", &draft.role, policy.roles.keys().collect());
        one_of("engine", &draft.engine, policy.engines.iter().collect());
        let engine = draft.engine.as_ref().unwrap_or(&policy.default_engine);
        let wanted = ServerName::new(draft.project.as_deref().unwrap_or(DEFAULT_PROJECT));

        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let project = match &wanted {
            Some(wanted) => tx.project_named(wanted).await?,
            None => None,
        };
        let project = project.filter(|project| reach.covers(project.id));
        if project.is_none() {
            errors.add("project", Reason::NoSuch);
        }
        let (Some(vmid), Some(project)) = errors.into_result((vmid, project))? else {
            return Err(super::incomplete());
        };
        let known = tx.servers_with_guests().await?;
        if let Some(server) = known.iter().find(|server| server.vmid == vmid) {
            let server = server.name.to_string();
            return Err(Error::Conflict(Conflict::GuestKnown { vmid, server }).into());
        }
        if let Some(name) = &name
            && !tx.names_taken(std::slice::from_ref(name)).await?.is_empty()
        {
            let name = name.to_string();
            return Err(Error::Conflict(Conflict::NameTaken { name }).into());
        }
        let payload = ImportPayload {
            vmid,
            engine: engine.clone(),
            name,
            role: draft.role.clone(),
            project: project.id,
        };
        let payload = serde_json::to_string(&payload)
            .map_err(|error| crate::AppError::Fault(error.into()))?;
        let token = self.new_task_token();
        let task = NewTask {
            payload: Some(payload),
            ..NewTask::without_server(TaskKind::ImportServer, token.clone(), ctx.actor.id)
        };
        tx.insert_task(&task).await?;
        ctx.remember(&*tx, &token).await?;
        let about = AuditTarget::new("task", &token).of(project.id);
        self.commit(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(token)
    }
}
