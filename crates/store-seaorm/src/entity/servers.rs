//! Rows of `servers`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub role: String,
    pub cpu: i64,
    pub memory_mb: i64,
    pub disk_gb: i64,
    pub nics: String,
    pub state: String,
    pub engine: String,
    pub vmid: i64,
    pub node: Option<String>,
    pub identity: Option<String>,
    pub created_by: String,
    pub ip_address: Option<String>,
    pub problem: Option<String>,
    pub readiness: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub deleted_ms: Option<i64>,
    pub project_id: i64,
    pub holds: bool,
    pub place: Option<String>,
    pub storage: Option<String>,
    pub placement: Option<String>,
    pub drift: String,
    pub expires_ms: Option<i64>,
    pub on_expiry: String,
    pub expiry_stage: String,
    pub tags: Option<String>,
    pub description: Option<String>,
    pub kept: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
