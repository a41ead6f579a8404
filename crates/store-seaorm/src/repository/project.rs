//! Projects. What they have is counted by the schema.

use crate::entity::projects::{ActiveModel, Column, Entity};
use crate::error::store_error;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction,
    EntityTrait, QueryFilter, QueryOrder,
};
use tpm_domain::{Project, ProjectId, Quota, ServerName};
use tpm_store::{ProjectReads, ProjectWrites, Result};

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ProjectReads for Session<C> {
    async fn projects(&self) -> Result<Vec<Project>> {
        let found = Entity::find()
            .order_by_asc(Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::project).collect()
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        Entity::find_by_id(id.0)
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::project)
            .transpose()
    }

    async fn project_named(&self, name: &ServerName) -> Result<Option<Project>> {
        Entity::find()
            .filter(Column::Name.eq(name.as_str()))
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(rows::project)
            .transpose()
    }
}

fn bounds(row: &mut ActiveModel, quota: &Quota) {
    row.max_servers = Set(quota.servers.map(rows::stored));
    row.max_cpu = Set(quota.cpu.map(rows::stored));
    row.max_memory_mb = Set(quota.memory_mb.map(rows::stored));
    row.max_disk_gb = Set(quota.disk_gb.map(rows::stored));
}

#[async_trait]
impl ProjectWrites for Session<DatabaseTransaction> {
    async fn insert_project(
        &self,
        name: &ServerName,
        description: &str,
        quota: &Quota,
    ) -> Result<ProjectId> {
        let mut row = ActiveModel {
            name: Set(name.to_string()),
            description: Set(description.to_owned()),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        bounds(&mut row, quota);
        let inserted = Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(ProjectId(inserted.last_insert_id))
    }

    async fn save_project(&self, project: &Project) -> Result<()> {
        let mut row = ActiveModel {
            id: Set(project.id.0),
            name: Set(project.name.to_string()),
            description: Set(project.description.clone()),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        bounds(&mut row, &project.quota);
        row.update(&self.db).await.map(|_| ()).map_err(store_error)
    }
}
