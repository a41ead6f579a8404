//! Rows of `drills`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "drills")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub token: String,
    pub backup_id: i64,
    pub backup_token: String,
    pub server_id: i64,
    pub server_name: String,
    pub guest_id: Option<i64>,
    pub task: Option<String>,
    pub spec: String,
    pub item_id: Option<i64>,
    pub schedule_id: Option<i64>,
    pub asked_by: i64,
    pub state: String,
    pub failure: Option<String>,
    pub evidence: Option<String>,
    pub digest: Option<String>,
    pub created_ms: i64,
    pub decided_ms: Option<i64>,
    pub cleared_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
