//! Projects and how much of everything they have.

use crate::Result;
use async_trait::async_trait;
use tpm_domain::{Project, ProjectId, Quota, ServerName};

/// Questions about projects.
#[async_trait]
pub trait ProjectReads: Send + Sync {
    /// All of them, by name.
    async fn projects(&self) -> Result<Vec<Project>>;
    /// One of them.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>>;
    /// The one of that name.
    async fn project_named(&self, name: &ServerName) -> Result<Option<Project>>;
}

/// Changes to projects. What a project has is counted by the schema itself, from the servers.
#[async_trait]
pub trait ProjectWrites: Send + Sync {
    /// Writes a new one.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn insert_project(
        &self,
        name: &ServerName,
        description: &str,
        quota: &Quota,
    ) -> Result<ProjectId>;
    /// Writes back name, description and quota.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken or the project has more than the quota.
    async fn save_project(&self, project: &Project) -> Result<()>;
}
