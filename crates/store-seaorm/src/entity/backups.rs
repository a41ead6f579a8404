//! Rows of `backups`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backups")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub token: String,
    pub server_id: i64,
    pub server_name: String,
    pub vmid: i64,
    pub node: Option<String>,
    pub storage: String,
    pub volume: Option<String>,
    pub state: String,
    pub origin: String,
    pub mode: Option<String>,
    pub compression: Option<String>,
    pub notes: String,
    pub protected: bool,
    pub size_bytes: Option<i64>,
    pub warnings: String,
    pub failure: Option<String>,
    pub verified: Option<String>,
    pub created_ms: i64,
    pub finished_ms: Option<i64>,
    pub schedule_id: Option<i64>,
    pub condemned_by: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
