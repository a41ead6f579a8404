//! Projects. What they have is counted from the servers.

use crate::rows::{Tables, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Project, ProjectId, Quota, ServerName, Usage};
use tpm_store::{ProjectReads, ProjectWrites, Result};

fn with_usage(tables: &Tables, project: &Project) -> Project {
    Project {
        usage: tables.usage(project.id),
        ..project.clone()
    }
}

#[async_trait]
impl<S: Source> ProjectReads for Session<S> {
    async fn projects(&self) -> Result<Vec<Project>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Project> = tables
            .projects
            .values()
            .map(|project| with_usage(&tables, project))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        let tables = self.0.look().await?;
        let found = tables.projects.get(&id);
        Ok(found.map(|project| with_usage(&tables, project)))
    }

    async fn project_named(&self, name: &ServerName) -> Result<Option<Project>> {
        let tables = self.0.look().await?;
        let found = tables.projects.values().find(|it| it.name == *name);
        Ok(found.map(|project| with_usage(&tables, project)))
    }
}

fn check_name(tables: &Tables, id: ProjectId, name: &ServerName) -> Result<()> {
    let taken = |other: &Project| other.id != id && other.name == *name;
    if tables.projects.values().any(taken) {
        return Err(constraint(format!("project {name} twice")));
    }
    Ok(())
}

#[async_trait]
impl ProjectWrites for Session<Transaction> {
    async fn insert_project(
        &self,
        name: &ServerName,
        description: &str,
        quota: &Quota,
    ) -> Result<ProjectId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = ProjectId(tables.next_id());
            check_name(tables, id, name)?;
            let project = Project {
                id,
                name: name.clone(),
                description: description.to_owned(),
                quota: *quota,
                usage: Usage::default(),
                created_at: now,
                updated_at: now,
            };
            tables.projects.set(id, project);
            Ok(id)
        })
    }

    async fn save_project(&self, project: &Project) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            check_name(tables, project.id, &project.name)?;
            let row = tables
                .projects
                .get_mut(&project.id)
                .ok_or_else(|| broken(format!("no project {}", project.id)))?;
            row.name = project.name.clone();
            row.description = project.description.clone();
            row.quota = project.quota;
            row.updated_at = now;
            tables.check_project(project.id)
        })
    }
}
