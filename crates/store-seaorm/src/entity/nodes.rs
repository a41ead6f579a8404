//! Rows of `nodes`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub online: bool,
    pub cpus: i64,
    pub memory_mb: i64,
    pub foreign_cpu: i64,
    pub foreign_memory_mb: i64,
    pub cpu_limit: i64,
    pub memory_limit_mb: i64,
    pub used_cpu: i64,
    pub used_memory_mb: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
