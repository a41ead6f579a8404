//! Rows of `alerts`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub rule: String,
    pub subject_key: String,
    pub server_id: Option<i64>,
    pub subject: String,
    pub detail: String,
    pub severity: String,
    pub state: String,
    pub since_ms: i64,
    pub fired_ms: Option<i64>,
    pub calm_ms: Option<i64>,
    pub resolved_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
