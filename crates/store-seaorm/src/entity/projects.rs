//! Rows of `projects`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "projects")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub description: String,
    pub max_servers: Option<i64>,
    pub max_cpu: Option<i64>,
    pub max_memory_mb: Option<i64>,
    pub max_disk_gb: Option<i64>,
    pub used_servers: i64,
    pub used_cpu: i64,
    pub used_memory_mb: i64,
    pub used_disk_gb: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
