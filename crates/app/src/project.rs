//! Projects: seeing, making and bounding them.

use crate::{App, AppError, Ctx, Result};
use tpm_domain::{
    AuditTarget, Conflict, Error, FieldErrors, Permission, Project, ProjectId, Quota, Reason,
    ResourceKind, ServerName, Usage,
};
use tpm_store::StoreError;

/// Longest description.
const MAX_DESCRIPTION: usize = 500;

/// One bound of a change: stays, goes, or becomes.
pub type Bound = Option<Option<i64>>;

/// Bounds as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaChange {
    /// Servers.
    pub servers: Bound,
    /// CPU cores.
    pub cpu: Bound,
    /// Memory in MiB.
    pub memory: Bound,
    /// Disks in GiB.
    pub disk: Bound,
}

/// A project as asked for; `None` stays as it is, or is the default of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What it may have.
    pub quota: QuotaChange,
}

impl ProjectChange {
    fn name(&self, errors: &mut FieldErrors) -> Option<ServerName> {
        let name = self.name.as_deref().map(ServerName::new)?;
        if name.is_none() {
            errors.add("name", Reason::ServerName);
        }
        name
    }

    fn description(&self, errors: &mut FieldErrors) -> Option<String> {
        let text = self.description.clone()?;
        if text.chars().count() > MAX_DESCRIPTION {
            let max = MAX_DESCRIPTION;
            errors.add("description", Reason::TooLong { max });
        }
        Some(text)
    }

    fn quota(&self, before: &Quota, errors: &mut FieldErrors) -> Quota {
        let mut bound = |wanted: Bound, before: Option<u64>, field: &str| match wanted {
            None => before,
            Some(None) => None,
            Some(Some(number)) => match u64::try_from(number) {
                Ok(number) if number <= 1 << 40 => Some(number),
                _ => {
                    let (min, max) = (0, 1 << 40);
                    errors.add(format!("quota.{field}"), Reason::Range { min, max });
                    before
                }
            },
        };
        Quota {
            servers: bound(self.quota.servers, before.servers, "servers"),
            cpu: bound(self.quota.cpu, before.cpu, "cpu"),
            memory_mb: bound(self.quota.memory, before.memory_mb, "memory"),
            disk_gb: bound(self.quota.disk, before.disk_gb, "disk_size"),
        }
    }
}

/// A bound that lies below what the project has.
fn below_use(quota: &Quota, used: &Usage) -> Option<Conflict> {
    [
        ("servers", quota.servers, used.servers),
        ("cpu", quota.cpu, used.cpu),
        ("memory", quota.memory_mb, used.memory_mb),
        ("disk", quota.disk_gb, used.disk_gb),
    ]
    .into_iter()
    .find(|(_, limit, used)| limit.is_some_and(|limit| limit < *used))
    .map(|(resource, _, used)| Conflict::QuotaBelowUse { resource, used })
}

impl App {
    /// All projects, by name.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn projects(&self, ctx: &Ctx) -> Result<Vec<Project>> {
        let reach = ctx.reach(Permission::ReadProjects)?;
        let mut all = self.store().reads().projects().await?;
        all.retain(|project| reach.covers(project.id));
        Ok(all)
    }

    /// One project.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn project(&self, ctx: &Ctx, id: ProjectId) -> Result<Project> {
        let reach = ctx.reach(Permission::ReadProjects)?;
        let found = self.store().reads().project(id).await?;
        let found = found.filter(|project| reach.covers(project.id));
        Ok(found.ok_or_else(|| Error::not_found(ResourceKind::Project, id))?)
    }

    /// Makes a project.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict when the name is taken, or the store does not
    /// answer.
    pub async fn create_project(
        &self,
        ctx: &Ctx,
        change: &ProjectChange,
        mut errors: FieldErrors,
    ) -> Result<ProjectId> {
        ctx.authorize(Permission::WriteProjects)?;
        if change.name.is_none() && errors.is_empty() {
            errors.add("name", Reason::Required);
        }
        let name = change.name(&mut errors);
        let description = change.description(&mut errors).unwrap_or_default();
        let quota = change.quota(&Quota::default(), &mut errors);
        let name = errors
            .into_result(name)?
            .ok_or_else(crate::server::incomplete)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let id = match tx.insert_project(&name, &description, &quota).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&name)),
            done => done?,
        };
        ctx.remember(&*tx, &id).await?;
        let about = AuditTarget::new("project", id).of(id);
        self.commit(ctx, tx, about).await?;
        Ok(id)
    }

    /// Changes a project's name, description or quota.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, not found, conflict when the name is taken or the project
    /// has more than the quota, or the store does not answer.
    pub async fn change_project(
        &self,
        ctx: &Ctx,
        id: ProjectId,
        change: &ProjectChange,
        mut errors: FieldErrors,
    ) -> Result<Project> {
        ctx.authorize(Permission::WriteProjects)?;
        let tx = self.store().begin().await?;
        // Nobody reserves meanwhile: what the project has stays as it is read here.
        tx.lock_reservations().await?;
        let before = tx.project(id).await?;
        let mut project = before.ok_or_else(|| Error::not_found(ResourceKind::Project, id))?;
        if let Some(name) = change.name(&mut errors) {
            project.name = name;
        }
        if let Some(description) = change.description(&mut errors) {
            project.description = description;
        }
        project.quota = change.quota(&project.quota, &mut errors);
        errors.into_result(())?;
        if let Some(conflict) = below_use(&project.quota, &project.usage) {
            return Err(AppError::Refused(Error::Conflict(conflict)));
        }
        match tx.save_project(&project).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&project.name)),
            done => done?,
        }
        let saved = tx.project(id).await?.unwrap_or(project);
        let about = AuditTarget::new("project", id).of(id);
        self.commit(ctx, tx, about).await?;
        Ok(saved)
    }
}

pub(crate) fn label_taken(name: &ServerName) -> AppError {
    let name = name.to_string();
    AppError::Refused(Error::Conflict(Conflict::LabelTaken { name }))
}
