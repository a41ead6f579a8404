//! Rows of `deliveries`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub channel_id: i64,
    pub notification_id: Option<i64>,
    pub state: String,
    pub attempts: i64,
    pub claim: i64,
    pub due_ms: i64,
    pub body: Option<String>,
    pub stamp_ms: Option<i64>,
    pub status: Option<i64>,
    pub error: Option<String>,
    pub created_ms: i64,
    pub ended_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
